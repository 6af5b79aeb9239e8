"""The report of a run: one HTML page with charts and tables that can be opened offline."""

from __future__ import annotations

from lightwork.runs.report.report import Report

__all__ = ["Report"]
