"""Looking up what is done already."""

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
    """All elements done: against joblib.Memory, and a million of them."""
    with folder() as lake:
        joblib = _joblib(lake / "joblib") * FEW / JOBLIB_CALLS
        few = _done(lake / "few", FEW)[0]
        many, peak = _done(lake / "many", MANY)
    return [
        times(
            f"{FEW:,} elements done / joblib.Memory",
            20,
            few,
            joblib,
            f"{few:.2f} s; joblib {joblib:.1f} s, scaled from {JOBLIB_CALLS:,}",
        ),
        Row(
            f"{FEW:,} elements done",
            "under 0.5 s",
            f"{few:.2f} s",
            few < 0.5,
            "in a process of its own",
        ),
        Row(
            f"{MANY:,} elements done",
            "under 5 s, 1 GB",
            f"{many:.2f} s, {peak:.2f} GB",
            many < 5 and peak < 1,
            "peak memory of the whole process",
        ),
    ]


def _done(lake: Path, count: int) -> tuple[float, float]:
    """Seconds and peak memory in GB of a new process that looks so many finished elements up."""
    with connect(lake=lake, progress="off"):
        increment.map(range(count)).wait()
    command = [sys.executable, "-m", "bench.cache", str(lake), str(count)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(found[0]), float(found[1])


def _joblib(path: Path) -> float:
    from joblib import Memory

    memory = Memory(path, verbose=0)
    remembered = memory.cache(increment.fn)
    for x in range(JOBLIB_CALLS):
        remembered(x)
    return timed(lambda: [remembered(x) for x in range(JOBLIB_CALLS)])


def _look_up(lake: str, count: int) -> None:
    from bench.cache import increment as same  # the task by its own name, not __main__'s

    with connect(lake=lake, progress="off"):
        results = same.map(range(count))
        seconds = timed(lambda: sum(results))
        assert results.stats.cached == count, results.stats
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    _look_up(sys.argv[1], int(sys.argv[2]))
