"""How the benchmarks measure, and how they say what they found."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: what was measured.
        reach: what it should reach, in words; empty for a figure that is only shown.
        found: what was found, in words.
        ok: whether it reached that; None for a figure that is only shown.
        detail: both sides as measured.
    """

    what: str
    reach: str
    found: str
    ok: bool | None
    detail: str


def times(what: str, reach: float, ours: float, theirs: float, detail: str) -> Row:
    """A row that says how many times faster ours is, and should at least be."""
    ratio = theirs / ours
    return Row(what, f"{reach:g} times faster", f"{ratio:,.1f} times", bool(ratio >= reach), detail)


def within(what: str, reach: float, ours: float, ideal: float, detail: str) -> Row:
    """A row that says how near ours is to the ideal, and should at most be."""
    ratio = ours / ideal
    return Row(what, f"within {reach:g}", f"{ratio:.3f}", bool(ratio <= reach), detail)


def timed(function: Callable[[], Any], repeat: int = 1) -> float:
    """Seconds that a call takes: the median of some repetitions."""
    found = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> None:
    """Ask twice a second until `ready()` is true.

    Raises:
        TimeoutError: it was not within so many seconds.
    """
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.5)


@contextlib.contextmanager
def workers(count: int = WORKERS) -> Iterator[str]:
    """A local cluster of worker processes with one thread each; gives its scheduler's address."""
    from lightwork.cluster.cluster import Cluster

    cluster = Cluster("local", count)
    try:
        yield cluster.client.scheduler.address
    finally:
        cluster.close()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for a lake, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lightwork-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def apart(module: str) -> list[Row]:
    """Run a benchmark in a process of its own; its rows."""
    command = [sys.executable, "-m", "bench", "--apart", module]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return [Row(module, "", f"failed, exit code {done.returncode}", False, "see above")]
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def to_json(rows: list[Row]) -> str:
    """Rows as one line."""
    return json.dumps([asdict(row) for row in rows])
