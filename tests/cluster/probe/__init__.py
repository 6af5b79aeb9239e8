"""A pipeline for the tests, in an image of its own: it writes down each element that it has computed."""
