"""Timing and result rows, shared by the benchmarks."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: what was measured.
        target: the target, in words; empty if the figure has none.
        measured: the result, in words.
        ok: whether the result meets the target; None if the figure has none.
        detail: the measurements of both sides.
    """

    what: str
    target: str
    measured: str
    ok: bool | None
    detail: str


def times(what: str, target: float, ours: float, theirs: float, detail: str) -> Row:
    """Make a row for a speed-up over a peer: `theirs / ours` must be at least `target`."""
    ratio = theirs / ours
    return Row(what, f"{target:g} times faster", f"{ratio:,.1f} times", bool(ratio >= target), detail)


def within(what: str, target: float, ours: float, ideal: float, detail: str) -> Row:
    """Make a row for the distance from an ideal: `ours / ideal` must be at most `target`."""
    ratio = ours / ideal
    return Row(what, f"within {target:g}", f"{ratio:.3f}", bool(ratio <= target), detail)


def timed(function: Callable[[], Any], repeat: int = 1) -> float:
    """Time a call, in seconds: the median of some repetitions."""
    durations = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        durations.append(time.perf_counter() - begin)
    return statistics.median(durations)


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> None:
    """Poll twice a second until `ready()` is true.

    Raises:
        TimeoutError: it did not become true in time.
    """
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: timed out after {seconds:.0f} s")
        time.sleep(0.5)


@contextlib.contextmanager
def workers(count: int = WORKERS) -> Iterator[str]:
    """Run a Dask cluster of single-threaded worker processes; yields its scheduler's address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=count, threads_per_worker=1, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for a lake, and delete it afterwards."""
    with tempfile.TemporaryDirectory(prefix="lightwork-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def apart(module: str) -> list[Row]:
    """Run a benchmark in a process of its own and return its rows."""
    command = [sys.executable, "-m", "bench", "--apart", module]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        return [Row(module, "", f"failed with exit code {process.returncode}", False, "see above")]
    return [Row(**row) for row in json.loads(process.stdout.splitlines()[-1])]


def to_json(rows: list[Row]) -> str:
    """Encode rows as one line of JSON."""
    return json.dumps([asdict(row) for row in rows])
