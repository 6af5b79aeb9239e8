"""Whose code it is: the standard library, an installed distribution, or first-party source."""
