"""All code and libraries that a function reaches."""
