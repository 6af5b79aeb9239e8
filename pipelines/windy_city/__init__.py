"""Windy city: which place is windiest at each hour, and how often each one is."""

from pipelines.windy_city.pipeline import windiest, windy_city

__all__ = ["windiest", "windy_city"]
