"""Streams: the driver's peak memory for ten million elements, and the first results of slow elements."""

from __future__ import annotations

import itertools
import resource
import time
from typing import Any

from bench.measure import WORKERS, Row, folder, timed, within, workers
from lightwork import connect, task

ELEMENTS = 10_000_000
LIMIT = 500
SLOW = 0.2
FIRST_RESULTS = 4


@task(cache=False)
def increment(x: int) -> int:
    return x + 1


def nap(x: int) -> int:
    time.sleep(SLOW)
    return x


def run() -> list[Row]:
    """Measure both kinds of stream."""
    return [*_memory(), _first_results()]


def _first_results() -> Row:
    """Time the first results of slow elements without a known length, against joblib."""
    from joblib import Parallel, delayed

    def first(results: Any) -> float:
        return timed(lambda: list(itertools.islice(results, FIRST_RESULTS)))

    with workers() as address, folder() as lake, connect(on=address, lake=lake, progress="off"):
        task(cache=False)(nap).map(range(WORKERS)).wait()
        ours = first(task(cache=False)(nap).map(itertools.count()))
    with Parallel(n_jobs=WORKERS, return_as="generator") as parallel:
        list(parallel(delayed(nap)(x) for x in range(WORKERS)))
        theirs = first(parallel(delayed(nap)(x) for x in range(100)))
    return within(
        f"the {FIRST_RESULTS}th result of {SLOW} s elements of unknown length / joblib",
        2,
        ours,
        theirs,
        f"{ours:.2f} s; joblib {theirs:.2f} s",
    )


def _memory() -> list[Row]:
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
