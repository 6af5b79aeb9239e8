"""Elements of pure Python on as many workers as cores, and a million calls of x + 1."""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.cores.turns import CORES, Apart, Side, alternate, listed, most
from bench.measure import Row, folder
from lightwork import connect, task

if TYPE_CHECKING:
    from collections.abc import Iterator

Work = Callable[[float], Any]
"""Does so many elements, or so many seconds of work."""

LENGTHS = {0.001: 1.05, 0.01: 1.02}
"""Seconds of an element, and the most processor time over that of the function alone."""
ELAPSED = 1.10
"""The most elapsed time over that of the faster peer."""
DRIVER = 2.0
"""The most milliseconds of the driver for each batch."""
CALLS = 1_000_000
BATCH = 0.5
"""Seconds of a task on bare Dask, as those of a batch."""
FEW, MANY, FLAT = 2, 16, 1.2
"""Workers, and the most processor time with many over that with few."""
_LOOPS = 10**7
"""An element is its number times this, plus its loops; so each is another one."""


def burn(element: int) -> float:
    """Spend some processor time in pure Python; return how much, in seconds."""
    begin = time.thread_time()
    total = 0
    for number in range(element % _LOOPS):
        total += number * number
    return time.thread_time() - begin


def increment(x: int) -> int:
    return x + 1


uncached = task(cache=False)(burn)
cached = task(burn)
uncached_increment = task(cache=False)(increment)


def real_work(seconds: float, turns: int) -> list[Row]:
    """Compare elements of 1 ms and 10 ms: processor time, elapsed time, and the driver's part."""
    return [row for length in LENGTHS for row in _elements(length, seconds, turns)]


def _elements(length: float, seconds: float, turns: int) -> list[Row]:
    count = max(CORES, math.ceil(seconds * CORES / length))
    elements = _Elements(_loops(length))

    @contextmanager
    def session(function: Any) -> Iterator[Work]:
        with _session("local", CORES):
            yield lambda amount: _mapped(function, elements.take(amount))

    @contextmanager
    def elsewhere() -> Iterator[Work]:
        from bench.cores.elsewhere import cluster  # a program of its own too

        with cluster(CORES) as address, _session(address):
            yield lambda amount: _mapped(uncached, elements.take(amount))

    @contextmanager
    def joblib() -> Iterator[Work]:
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor

        with Parallel(n_jobs=CORES) as parallel:
            yield lambda amount: (sum(parallel(delayed(burn)(x) for x in elements.take(amount))), 1)
        # Its processes would go on for the next side, which counts only those that it has started.
        get_reusable_executor().shutdown(wait=True)

    @contextmanager
    def pool() -> Iterator[Work]:
        with multiprocessing.get_context("spawn").Pool(CORES) as processes:
            yield lambda amount: (sum(processes.map(burn, elements.take(amount))), 1)

    @contextmanager
    def bare() -> Iterator[Work]:
        with _bare(max(1, round(BATCH / length))) as work:
            yield lambda amount: (work(elements.take(amount)), 1)

    ours = Side("lightwork", functools.partial(session, uncached), count)
    kept = Side("with the cache", functools.partial(session, cached), count)
    dask = Side(f"bare Dask with tasks of {BATCH:g} s", bare, count)
    alone = Side("the scheduler elsewhere", elsewhere, count)
    peers = (Side("joblib", joblib, count), Side("Pool.map", pool, count))
    with peers[0], peers[1]:
        alternate((Apart(ours), Apart(kept), Apart(dask), Apart(alone), *peers), turns)
    return [*_rows(length, seconds, (ours, kept, dask), peers), _driver_row(length, seconds, alone, ours)]


@contextmanager
def _bare(size: int) -> Iterator[Callable[[list[int]], float]]:
    """Start a LocalCluster as a session has it; yields what maps elements in tasks of so many."""
    from distributed import Client, LocalCluster, as_completed

    with (
        LocalCluster(
            n_workers=CORES, threads_per_worker=1, protocol="tls", security=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):

        def work(elements: list[int]) -> float:
            parts = (elements[i : i + size] for i in range(0, len(elements), size))
            tasks = [client.submit(_burn_all, part, pure=False) for part in parts]
            return math.fsum(task.result() for task in as_completed(tasks))

        yield work


def _burn_all(elements: list[int]) -> float:
    return sum(map(burn, elements))


def _rows(length: float, seconds: float, daskish: tuple[Side, ...], peers: tuple[Side, ...]) -> list[Row]:
    """Make the rows of elements of one length; the first of `daskish` is ours."""
    ours, sides = daskish[0], (*daskish, *peers)
    what = _what(length, ours)
    over = {side.name: [turn.processor / turn.result[0] for turn in side.turns] for side in sides}
    others = {name: statistics.median(values) for name, values in over.items() if name != ours.name}
    elapsed = {side.name: statistics.median(turn.elapsed for turn in side.turns) for side in sides}
    best = min(peers, key=lambda side: elapsed[side.name])
    ratios = [mine.elapsed / other.elapsed for mine, other in zip(ours.turns, best.turns, strict=True)]
    target = LENGTHS[length]
    turns = f"turns of {seconds:g} s"
    return [
        most(
            f"{what}: processor time / the function's own", target, over[ours.name], target - 1,
            f"{turns}; {listed(others)}",
        ),
        most(
            f"{what}: elapsed / the faster of joblib and Pool.map", ELAPSED, ratios, ELAPSED - 1,
            f"{turns}; {listed(elapsed, 2)} s",
        ),
    ]  # fmt: skip


def _driver_row(length: float, seconds: float, alone: Side, ours: Side) -> Row:
    """Make the row of the driver's processor time, with its scheduler in another process."""
    each = {side.name: [1000 * turn.driver / turn.result[1] for turn in side.turns] for side in (alone, ours)}
    batches = alone.turns[-1].result[1]
    return most(
        f"{_what(length, ours)}: the driver's processor time a batch", DRIVER, each[alone.name], DRIVER / 4,
        f"turns of {seconds:g} s; the scheduler in a process of its own; {batches:,} batches a turn; "
        f"with the scheduler in the driver {statistics.median(each[ours.name]):.2f} ms",
        unit=" ms",
    )  # fmt: skip


def _what(length: float, ours: Side) -> str:
    return f"{ours.amount:,} elements of {1000 * length:g} ms, {CORES} workers"


def many_calls(seconds: float, turns: int) -> Row:
    """Compare the processor time of a million calls of x + 1 with 2 and with 16 workers."""
    expected = CALLS * (CALLS + 1) // 2

    @contextmanager
    def session(workers: int) -> Iterator[Work]:
        def work(least: float) -> int:
            """Make a million calls again and again for so many seconds; return how often."""
            begin, times = time.perf_counter(), 0
            while not times or time.perf_counter() - begin < least:
                assert sum(uncached_increment.map(range(CALLS))) == expected
                times += 1
            return times

        with _session("local", workers):
            yield work

    few = Side(f"{FEW} workers", functools.partial(session, FEW), seconds)
    many = Side(f"{MANY} workers", functools.partial(session, MANY), seconds)
    alternate((Apart(few), Apart(many)), turns)
    each = {side.name: [turn.processor / turn.result for turn in side.turns] for side in (few, many)}
    ratios = [b / a for a, b in zip(each[few.name], each[many.name], strict=True)]
    medians = listed({name: statistics.median(values) for name, values in each.items()}, 2)
    return most(
        f"{CALLS:,} calls of x + 1: processor time with {MANY} workers / {FEW}", FLAT, ratios, FLAT - 1,
        f"turns of {seconds:g} s; {medians} s a million",
    )  # fmt: skip


def _loops(length: float) -> int:
    """Return how many loops take so many seconds of processor time here."""
    trial = 200_000
    return max(1, round(trial * length / min(burn(trial) for _ in range(5))))


class _Elements:
    """Elements that no turn of any side has had."""

    def __init__(self, loops: int) -> None:
        self._loops = loops
        self._numbers = itertools.count(1)

    def take(self, count: float) -> list[int]:
        return [n * _LOOPS + self._loops for n in itertools.islice(self._numbers, max(CORES, int(count)))]


def _mapped(function: Any, elements: list[int]) -> tuple[float, int]:
    """Return the function's own seconds, and the number of batches."""
    results = function.map(elements)
    return sum(results), max(1, results.stats.batches)


@contextmanager
def _session(on: str, workers: int | None = None) -> Iterator[None]:
    """Open a session with a lake of its own."""
    with folder() as lake, connect(on, workers=workers, lake=lake, progress="off"):
        yield
