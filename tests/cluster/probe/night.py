"""A pipeline over the measurements of a night, which a test puts into the tenant's bucket."""

from __future__ import annotations

import datetime as dt

from lightwork import pipeline, task
from pipelines.probe.pipeline import bucket


@task
def knots(line: str) -> float:
    """Convert the gust of a line such as `2013-04-05 00:03 7.2`, in metres per second."""
    return float(line.split()[2]) * 1.944


@pipeline(interval=("start", "end"))
def night(start: dt.datetime, end: str) -> dict[str, float | str]:
    """Return the strongest gust of a night.

    Args:
        start: its first moment; the object `night/<date>.txt` has its lines.
        end: the first moment after it.
    """
    body = bucket().Object(f"night/{start:%Y-%m-%d}.txt").get()["Body"].read()
    return {"strongest": round(max(knots.map(body.decode().splitlines())), 1), "until": end}
