"""A pipeline whose task asks workers for a device."""

from __future__ import annotations

import os
import time

from lightwork import pipeline, task


@task(cache=False, batch=1, resources={"GPU": 1})
def on_device(number: int) -> dict[str, object]:
    """Return where and when a number was worked on."""
    begin = time.time()
    time.sleep(4)
    return {"number": number, "pod": os.uname().nodename, "begin": begin, "end": time.time()}


@pipeline
def devices(elements: int = 6, each: int = 1) -> list[dict[str, object]]:
    """Work on some numbers, each on a device.

    Args:
        elements: how many.
        each: how many devices each takes.
    """
    return list(on_device.with_options(resources={"GPU": each}).map(range(elements)))
