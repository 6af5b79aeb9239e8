"""Large inputs: five arrays of 100 MB, one of 200 MB for eight workers, and two million numbers in a key."""

from __future__ import annotations

import functools
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.measure import WORKERS, Row, folder, timed, within
from lightwork import connect, task
from lightwork.keys import code_key, encode

if TYPE_CHECKING:
    from collections.abc import Callable

ARRAYS = 5
NUMBERS = 100_000_000 // 8
"""Numbers of eight bytes in 100 MB."""
SHARERS = 8
MEGABYTE = 1_000_000
MOST_SHARED = 250
"""Megabytes that a shared array of 200 MB may add to all workers together."""
MANY = 2_000_000
MOST_SECONDS = 0.3


def total(array: np.ndarray[Any, Any]) -> float:
    return float(array.sum())


uncached = task(cache=False)(total)
cached = task(total)


@task(cache=False)
def share(number: int, table: np.ndarray[Any, Any], here: str, workers: int) -> int:
    """Read the table, wait for all other workers to do so, and return this one's part of memory in bytes."""
    table.sum()
    (Path(here) / str(number)).touch()
    until = time.monotonic() + 120
    while len(os.listdir(here)) < workers and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1.0)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def run() -> list[Row]:
    """Compare lightwork with Dask and joblib on large arrays; measure memory, and the time of keys."""
    arrays = [np.random.default_rng(seed).random(NUMBERS) for seed in range(ARRAYS)]
    right = [total(array) for array in arrays]
    without, with_cache = _ours(arrays, right)
    dask, joblib = _dask(arrays, right), _joblib(arrays, right)
    del arrays
    what = f"{ARRAYS} arrays of 100 MB on {WORKERS} local workers"
    peers = f"Dask {dask:.2f} s, joblib {joblib:.2f} s"
    return [
        within(f"{what}, cache off / Dask", 1, without, dask, f"{without:.2f} s; {peers}"),
        within(f"{what}, cache on / Dask", 1, with_cache, dask, f"{with_cache:.2f} s; {peers}"),
        Row(
            f"{what} / joblib",
            "",
            f"{without / joblib:.1f} times its time",
            None,
            f"{without:.2f} s; {peers}",
        ),
        *_memory(),
        *_keys(),
    ]


def _ours(arrays: list[Any], right: list[float]) -> tuple[float, float]:
    seconds = []
    with folder() as lake, connect("local", workers=WORKERS, lake=lake, progress="off"):
        for function in (uncached, cached):
            list(function.map([np.zeros(3), np.ones(3)] * WORKERS))

            def compute(function: Any = function) -> None:
                assert list(function.map(arrays)) == right

            seconds.append(timed(compute))
    return seconds[0], seconds[1]


def _dask(arrays: list[Any], right: list[float]) -> float:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(total, [np.zeros(3), np.ones(3)] * WORKERS))

        def compute() -> None:
            assert client.gather(client.map(total, arrays)) == right

        return timed(compute)


def _joblib(arrays: list[Any], right: list[float]) -> float:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=WORKERS) as parallel:
        parallel(delayed(total)(np.zeros(3)) for _ in range(WORKERS))

        def compute() -> None:
            assert parallel(delayed(total)(array) for array in arrays) == right

        return timed(compute)


def _memory() -> list[Row]:
    if not Path("/proc/self/smaps_rollup").exists():
        return []
    used = []
    with folder() as lake, connect("local", workers=SHARERS, lake=lake, progress="off"):
        for numbers in (200_000, 2 * NUMBERS):
            table = np.ones(numbers)
            with folder() as here:
                shared = {"table": table, "here": str(here), "workers": SHARERS}
                used.append(sum(share.map(range(SHARERS), shared=shared)))
    added = (used[1] - used[0]) / MEGABYTE
    return [
        Row(
            f"200 MB shared with {SHARERS} workers: proportional memory of all",
            f"at most {MOST_SHARED} MB more",
            f"{added:.0f} MB more",
            added <= MOST_SHARED,
            f"{used[0] / MEGABYTE:.0f} MB before, {used[1] / MEGABYTE:.0f} MB with it",
        )
    ]


def _keys() -> list[Row]:
    numbers = list(range(MANY))
    frozen = tuple(numbers)

    def read() -> int:
        return len(numbers)

    def read_frozen() -> int:
        return len(frozen)

    code_key(read_frozen)  # reads it once
    rows = [
        _fast(f"key of a function that reads a global list of {MANY:,} ints", lambda: code_key(read)),
        _fast("the same with a tuple, the second time", lambda: code_key(read_frozen)),
    ]
    others: dict[str, Callable[[], Any]] = {
        "floats": lambda: [0.5 * number for number in numbers],
        "texts": lambda: list(map(str, numbers)),
        "pairs": lambda: list(zip(numbers, numbers, strict=True)),
        "set": lambda: set(numbers),
        "dict": lambda: dict.fromkeys(numbers, 1),
    }
    for name, make in others.items():
        value = make()
        seconds = _processor_time(functools.partial(encode, value))
        rows.append(Row(f"key of {MANY:,} items: {name}", "", f"{seconds:.2f} s", None, "processor time"))
    return rows


def _fast(what: str, function: Callable[[], Any]) -> Row:
    seconds = _processor_time(function)
    return Row(
        what, f"at most {MOST_SECONDS} s", f"{seconds:.3f} s", seconds <= MOST_SECONDS, "processor time"
    )


def _processor_time(function: Callable[[], Any]) -> float:
    """Return the processor time of a call in seconds, the median of three."""
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        function()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)
