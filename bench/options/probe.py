"""Measures maps that use no options of tasks: `probe.py maps FOLDER` prints seconds by name as JSON."""

from __future__ import annotations

import json
import math
import tempfile
import time
from typing import TYPE_CHECKING

from lightwork import connect, task

if TYPE_CHECKING:
    from collections.abc import Callable

ELEMENTS = 200_000


@task(cache=False)
def plus_one(x: int) -> int:
    return x + 1


@task
def kept(x: int) -> int:
    return x + 1


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that a call takes, the least of three."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Print the seconds of each."""
    from lightwork.engine.worker import pack_batch, run_batch

    with (
        tempfile.TemporaryDirectory() as lake,
        connect("serial", lake=lake, progress="off", refresh=True) as session,
    ):
        measured = {
            "a serial map": seconds(lambda: plus_one.map(range(ELEMENTS)).wait()),
            "a serial map whose results are kept": seconds(lambda: kept.map(range(ELEMENTS)).wait()),
        }
        runner = session.runner
        parcel = runner.store(runner.pack(runner.job(plus_one, None)))
        payload = pack_batch(parcel, list(range(ELEMENTS)), None, math.inf)
        measured["a worker's batch"] = seconds(lambda: run_batch(payload))
        small = pack_batch(parcel, list(range(10)), None, math.inf)
        measured["1,000 small batches of a worker"] = seconds(lambda: [run_batch(small) for _ in range(1000)])
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
