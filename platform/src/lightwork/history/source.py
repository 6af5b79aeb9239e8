"""Runs as the history takes them: one plain mapping each, read from the records of a lake."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.store import records

if TYPE_CHECKING:
    from lightwork.lake import Lake

Run = dict[str, Any]
"""A run, as `store.records` describes it."""


def names(lake: Lake) -> list[str]:
    """Return the names of all runs in a lake."""
    return lake.folders("runs")


def run(lake: Lake, name: str) -> Run | None:
    """Return a run; None if it has no record that can be read."""
    record = records.record_of(lake, name)
    return None if record is None else {"name": name, **record, "status": records.status(lake, record)}


def ended(run: Run) -> bool:
    """Return whether a run has its final status: nothing more of it is to come."""
    return run["status"] not in ("submitted", "running", "lost") or bool(run.get("finished"))


def moment(run: Run, *fields: str) -> dt.datetime:
    """Return the first of some moments in a run's record, in UTC; that of 1970 if it has none of them."""
    for field in fields:
        if run.get(field):
            return dt.datetime.fromisoformat(str(run[field])).astimezone(dt.UTC)
    return dt.datetime.fromtimestamp(0, dt.UTC)
