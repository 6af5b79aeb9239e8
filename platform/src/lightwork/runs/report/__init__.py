"""A run's report: one HTML page with charts and tables that opens anywhere, also offline."""

from __future__ import annotations

from lightwork.runs.report.report import Report

__all__ = ["Report"]
