"""What it costs that results survive a power cut: the same work with files synced, and not."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING
from unittest import mock

from bench.measure import Row, folder, within
from lightwork import connect, task
from lightwork.lake import syncing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CALLS = 1_000
PAUSE = 0.01
TURNS = 3


@task
def waits(x: int) -> int:
    time.sleep(PAUSE)
    return x


def run() -> list[Row]:
    """Map over 1,000 elements of 10 ms, and submit as many calls, with the cache on, in alternating turns."""
    return [
        _row(f"a map of {CALLS:,} elements of 10 ms, synced / not synced", 1.1, _map),
        _row(f"{CALLS:,} submits of 10 ms, synced / not synced", 1.3, _submit),
    ]


def _row(what: str, target: float, work: Callable[[], None]) -> Row:
    synced, plain = [], []
    with folder() as path:
        for turn in range(TURNS):
            synced.append(_timed(path / f"synced-{turn}", work))
            with _unsynced():
                plain.append(_timed(path / f"plain-{turn}", work))
    ours, ideal = statistics.median(synced), statistics.median(plain)
    spread = max(max(times) / min(times) for times in (synced, plain))
    detail = f"{ours:.2f} s; not synced {ideal:.2f} s; the turns differ by up to {spread:.2f}"
    return within(what, target, ours, ideal, detail)


def _timed(lake: Path, work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    with connect("serial", lake=lake, progress="off"):
        work()
    return time.perf_counter() - begin


def _map() -> None:
    waits.map(range(CALLS)).wait()


def _submit() -> None:
    for x in range(CALLS):
        waits.submit(x).result()


@contextlib.contextmanager
def _unsynced() -> Iterator[None]:
    with mock.patch.object(syncing, "sync_data"), mock.patch.object(syncing, "sync_folder"):
        yield
