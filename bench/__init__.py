"""Benchmarks: each compares two sides that were measured in the same run."""
