"""The tests' own pipeline, in an image of its own: it records each element that it computes."""
