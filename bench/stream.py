"""Ten million elements as a stream: the driver's peak memory."""

from __future__ import annotations

import resource

from bench.measure import Row, folder, timed, workers
from lightwork import connect, task

ELEMENTS = 10_000_000
LIMIT = 500


@task(cache=False)
def increment(x: int) -> int:
    return x + 1


def run() -> list[Row]:
    """Sum ten million results, and measure the driver's peak memory."""
    with workers() as address, folder() as lake, connect(on=address, lake=lake, progress="off"):
        increment.map(range(1000)).wait()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

        def add_up() -> None:
            assert sum(increment.map(iter(range(ELEMENTS)))) == sum(range(1, ELEMENTS + 1))

        seconds = timed(add_up)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return [
        Row(
            f"{ELEMENTS:,} elements summed as a stream",
            f"driver under {LIMIT} MB",
            f"{peak:.0f} MB",
            peak < LIMIT,
            f"scheduler included; {before:.0f} MB before the first element; {seconds:.1f} s",
        )
    ]
