"""A pipeline with one element that ends its worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lightwork import pipeline, task

BAD = 3
"""The element that does."""


def end_worker(kind: str) -> None:
    """End this worker in one of several ways."""
    if kind == "exit":
        os._exit(3)
    elif kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind in ("memory", "leak"):
        held = []
        while True:
            held.append(bytearray(b"x") * (64 << 20 if kind == "memory" else 8 << 20))
            time.sleep(0 if kind == "memory" else 0.2)
    elif kind == "disk":
        with Path("/spill/large").open("wb") as file:
            for _ in range(400):
                file.write(bytes(1 << 20))
                file.flush()
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # the cache counts as memory
            time.sleep(600)


@task(cache=False, batch=1, on_error="collect")
def perhaps(number: int, kind: str) -> int:
    """Return a number, or end the worker."""
    if number == BAD:
        end_worker(kind)
    time.sleep(0.5)
    return number


@task(cache=False)
def alone(kind: str) -> int:
    """End the worker."""
    end_worker(kind)
    return 0


@pipeline
def faults(kind: str = "exit", call: bool = False) -> dict[str, list[str]]:
    """Compute eight elements, of which one ends its worker.

    Args:
        kind: how: exit, segfault, memory, leak or disk.
        call: by a single call instead, which fails the run.

    Returns:
        The numbers that were computed, and the errors.
    """
    if call:
        alone.submit(kind).result()
    found = list(perhaps.map(range(8), shared={"kind": kind}))
    numbers = [str(item) for item in found if isinstance(item, int)]
    return {"numbers": numbers, "errors": [str(item) for item in found if not isinstance(item, int)]}
