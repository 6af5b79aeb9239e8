"""Lookup of cached results."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.measure import Row, folder, timed, times
from lightwork import connect, task

if TYPE_CHECKING:
    from pathlib import Path

FEW = 100_000
MANY = 1_000_000
JOBLIB_CALLS = 5_000


@task
def increment(x: int) -> int:
    return x + 1


def run() -> list[Row]:
    """Map over elements that are all cached: 100,000 against joblib.Memory, and a million."""
    with folder() as lake:
        joblib = _joblib(lake / "joblib") * FEW / JOBLIB_CALLS
        few = _cached(lake / "few", FEW)[0]
        many, peak = _cached(lake / "many", MANY)
    return [
        times(
            f"{FEW:,} cached elements / joblib.Memory",
            20,
            few,
            joblib,
            f"{few:.2f} s; joblib {joblib:.1f} s, scaled from {JOBLIB_CALLS:,}",
        ),
        Row(
            f"{FEW:,} cached elements",
            "under 0.5 s",
            f"{few:.2f} s",
            few < 0.5,
            "in a process of its own",
        ),
        Row(
            f"{MANY:,} cached elements",
            "under 5 s, 1 GB",
            f"{many:.2f} s, {peak:.2f} GB",
            many < 5 and peak < 1,
            "peak memory of the whole process",
        ),
    ]


def _cached(lake: Path, count: int) -> tuple[float, float]:
    """Measure a new process that looks up cached elements: seconds, and peak memory in GB."""
    with connect(lake=lake, progress="off"):
        increment.map(range(count)).wait()
    command = [sys.executable, "-m", "bench.cache", str(lake), str(count)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, gigabytes = output.split()
    return float(seconds), float(gigabytes)


def _joblib(path: Path) -> float:
    from joblib import Memory

    memory = Memory(path, verbose=0)
    memorized = memory.cache(increment.fn)
    for x in range(JOBLIB_CALLS):
        memorized(x)
    return timed(lambda: [memorized(x) for x in range(JOBLIB_CALLS)])


def _look_up(lake: str, count: int) -> None:
    from bench.cache import increment as same  # the task of the module bench.cache, not of __main__

    with connect(lake=lake, progress="off"):
        results = same.map(range(count))
        seconds = timed(lambda: sum(results))
        assert results.stats.cached == count, results.stats
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    _look_up(sys.argv[1], int(sys.argv[2]))
