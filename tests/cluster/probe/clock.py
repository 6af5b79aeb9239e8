"""When elements are computed: the first and the last moment, for measurements."""

from __future__ import annotations

import time

from lightwork import pipeline, task


@task(cache=False)
def moment(number: int, seconds: float) -> float:
    """When it was computed, in seconds since 1970; after a pause."""
    begun = time.time()
    if seconds:
        time.sleep(seconds)
    return begun


@pipeline
def clock(elements: int = 1000, seconds: float = 0.0) -> dict[str, float]:
    """Compute so many elements.

    Args:
        elements: how many.
        seconds: how long each takes.

    Returns:
        When the first began and the last ended, in seconds since 1970.
    """
    first = last = 0.0
    for begun in moment.map(range(elements), shared={"seconds": seconds}):
        first = min(first or begun, begun)
        last = max(last, begun + seconds)
    return {"first": first, "last": last, "elements": elements}
