"""Pipelines about daylight. The platform's image runs them once this package is installed in it."""
