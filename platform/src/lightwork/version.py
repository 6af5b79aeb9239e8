"""The version of this distribution; its metadata takes it from here."""

__version__ = "0.1.0"
