"""Canonical bytes of values by type, and of data files."""
