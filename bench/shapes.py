"""Elements that take time: equal durations, and very unequal ones."""

from __future__ import annotations

import time

from bench.measure import WORKERS, Row, folder, timed, within, workers
from lightwork import connect, task


@task(cache=False)
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def run() -> list[Row]:
    """Compare wall time with the ideal: the sum of the durations divided by the workers."""
    import numpy as np

    equal = [0.05] * 200
    unequal = list(np.random.default_rng(7).lognormal(np.log(0.02), 1.5, 2000))
    rows = []
    with workers() as address, folder() as lake, connect(on=address, lake=lake, progress="off"):
        list(nap.map([0.001] * 8))
        for name, durations, target in (
            ("200 calls of 50 ms / the ideal", equal, 1.08),
            ("2,000 calls, lognormal (median 20 ms, sigma 1.5) / the ideal", unequal, 1.10),
        ):
            seconds = timed(lambda values=durations: list(nap.map(values)))  # type: ignore[misc]
            ideal = sum(durations) / WORKERS
            longest = max(durations)
            rows.append(
                within(
                    name,
                    target,
                    seconds,
                    ideal,
                    f"{seconds:.2f} s; ideal {ideal:.2f} s, longest call {longest:.2f} s",
                )
            )
    return rows
