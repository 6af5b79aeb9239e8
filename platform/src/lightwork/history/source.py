"""Runs as the history takes them: one plain mapping each, as `store.records` derives it."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.store.records import ended, names, run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Run", "ended", "moment", "names", "run", "short_error"]

Run = dict[str, Any]
"""A run, as `store.records` describes it."""


def moment(run: Mapping[str, Any], *fields: str) -> dt.datetime:
    """Return the first of some moments in a run's record, in UTC; that of 1970 if it has none of them."""
    for field in fields:
        if run.get(field):
            return dt.datetime.fromisoformat(str(run[field])).astimezone(dt.UTC)
    return dt.datetime.fromtimestamp(0, dt.UTC)


def short_error(run: Mapping[str, Any]) -> str:
    """Return a run's error for a list: an element's without its type and the module of its task."""
    text = one_line(run.get("error") or "")
    return re.sub(r"^ElementError: (?:\S+\.)?(\S+: (?:element \d+|the call) )", r"\1", text)
