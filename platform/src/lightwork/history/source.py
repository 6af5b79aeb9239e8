"""Runs as the history takes them: one plain mapping each, as `store.records` derives it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.store.records import ended, names, run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Run", "ended", "moment", "names", "run"]

Run = dict[str, Any]
"""A run, as `store.records` describes it."""


def moment(run: Mapping[str, Any], *fields: str) -> dt.datetime:
    """Return the first of some moments in a run's record, in UTC; that of 1970 if it has none of them."""
    for field in fields:
        if run.get(field):
            return dt.datetime.fromisoformat(str(run[field])).astimezone(dt.UTC)
    return dt.datetime.fromtimestamp(0, dt.UTC)
