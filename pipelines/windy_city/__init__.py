"""Windy city: the windiest place at each hour, and how often each place wins."""

from pipelines.windy_city.pipeline import windiest, windy_city

__all__ = ["windiest", "windy_city"]
