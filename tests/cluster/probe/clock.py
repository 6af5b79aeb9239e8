"""A pipeline that reports when its elements are computed, for measurements."""

from __future__ import annotations

import time

from lightwork import pipeline, task


@task(cache=False)
def moment(number: int, seconds: float) -> float:
    """Pause, and return when the pause began, in seconds since 1970."""
    start = time.time()
    if seconds:
        time.sleep(seconds)
    return start


@pipeline
def clock(elements: int = 1000, seconds: float = 0.0) -> dict[str, float]:
    """Compute a number of elements.

    Args:
        elements: the number of elements.
        seconds: how long each takes.

    Returns:
        When the first began and the last ended, in seconds since 1970, and the number of elements.
    """
    first = last = 0.0
    for start in moment.map(range(elements), shared={"seconds": seconds}):
        first = min(first or start, start)
        last = max(last, start + seconds)
    return {"first": first, "last": last, "elements": elements}
