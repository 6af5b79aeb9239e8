"""A pipeline whose task waits for a limit, has a time limit, and is tried again after certain errors."""

from __future__ import annotations

import os
import time
import uuid

from lightwork import ElementError, pipeline, task

HANGS, FAILS_ONCE, HOLDS = 1, 2, 3
"""Elements that exceed their time, raise at first, and hold their slot until their worker is lost."""


@task(
    timeout=30,
    retries=2,
    retry_on=(ConnectionError,),
    retry_delay=0,
    limit="api",
    on_error="collect",
    cache=False,
    batch=1,
)
def ask(number: int, label: str) -> list[float]:
    """Return when an element began and ended; record each attempt, with the pod that it runs in.

    What it imports here imports boto3 in a body, which the driver has loaded and a new worker has not.
    """
    from pipelines.probe.pipeline import bucket, record

    begin = time.time()
    earlier = list(bucket().objects.filter(Prefix=f"probe/{label}/{number}/"))
    record(f"probe/{label}/{number}/{os.uname().nodename}/{uuid.uuid4().hex}")
    if number == FAILS_ONCE and not earlier:
        raise ConnectionResetError("once")
    if number == HANGS or (number == HOLDS and not earlier):
        time.sleep(1000)
    time.sleep(0.2)
    return [begin, time.time()]


@pipeline
def careful(label: str = "none") -> dict[str, list[object]]:
    """Ask for six numbers; return when each was at work, and what failed."""
    outcomes = list(ask.map(range(6), shared={"label": label}))
    return {
        "spans": [item for item in outcomes if not isinstance(item, ElementError)],
        "errors": [str(item) for item in outcomes if isinstance(item, ElementError)],
    }
