"""The version of this distribution; its metadata is built from it."""

__version__ = "0.1.0"
