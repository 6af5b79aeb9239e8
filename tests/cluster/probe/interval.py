"""A pipeline that works on an interval of time, and tells which."""

from __future__ import annotations

import datetime as dt
import json

from lightwork import pipeline


@pipeline(interval=("start", "end"))
def interval(start: dt.datetime, end: str, bad: str = "") -> dict[str, str]:
    """Return the interval.

    Args:
        start: its first moment.
        end: the first moment after it.
        bad: a start for which the run fails.
    """
    print(json.dumps({"event": "interval", "start": start.isoformat(), "end": end}), flush=True)
    if bad == start.isoformat():
        raise ValueError(f"no data for {bad}")
    return {"start": start.isoformat(), "end": end}
