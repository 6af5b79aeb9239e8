"""Commands about the history of 100,000 runs, and its page, against the time of `lightwork --help`."""

from __future__ import annotations

import datetime as dt
import functools
import http.client
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.measure import Row, folder, timed, within
from lightwork.history import cache, segments
from lightwork.history.collect import collect
from lightwork.history.packing import Packing
from lightwork.lake import Lake, open_lake
from lightwork.store import attempts
from lightwork.store.documents import seal

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNS = 100_000
DAYS = 365
PIPELINES = 20
_REPEAT = 7
_SHOWN = "pipeline-0-run-0"
_NOW = dt.datetime.now(dt.UTC)


def run() -> list[Row]:
    """Pack the runs, and time each command in a process of its own."""
    with folder() as path:
        os.environ["XDG_CACHE_HOME"] = str(path / "cache")
        lake = open_lake(path / "lake", tenant="local")
        fill(lake, range(DAYS - 1, -1, -1), RUNS)
        # The one that is shown has a record of its own, as all runs of the last months have.
        lake.write(attempts.path(_SHOWN, "1"), seal(_attempt()))
        lake.write(segments.STATE, b"-")
        first = timed(lambda: _lightwork(path, "runs", "--last", "30"))
        size = sum(entry.size for entry in lake.entries("history"))
        help_seconds = timed(lambda: _lightwork(path, "--help"), _REPEAT)
        commands = (
            ("runs", 2.0, "runs", "--last", "30"),
            ("show", 2.0, "show", _SHOWN),
            ("cost", 4.0, "cost", "--by", "pipeline"),
        )
        rows = []
        for what, target, *words in commands:
            seconds = timed(functools.partial(_lightwork, path, *words), _REPEAT)
            rows.append(_row(f"{what} of {RUNS:,} runs", target, seconds, help_seconds))
        first_bytes = sorted(_first_bytes(path) for _ in range(_REPEAT))[_REPEAT // 2]
        rows.append(_row(f"the page's first bytes, of {RUNS:,} runs", 3.0, first_bytes, help_seconds))
        fill(lake, (-1, -2, -3), 3 * RUNS // DAYS)
        fresh = _after_new_days(path, lake)
        rows.append(_row("runs, with three new days to fetch", 6.0, fresh, help_seconds))
        detail = (
            f"{size / 1e6:.1f} MB of segments, to a database of {_database(lake).stat().st_size / 1e6:.0f} MB"
        )
        rows.append(Row("runs, for the first time", "", f"{first:.1f} s", None, detail))
        rows.append(_look(lake))
        return rows


def fill(lake: Lake, days: Iterable[int], count: int) -> None:
    """Pack so many runs, on days that lie so many days before now."""
    days = list(days)
    packing = Packing(lake, segments.listing(lake).segments, _NOW)
    for day in days:
        packing.add([_packed(day, number) for number in range(count // len(days))])
    packing.fold()


def _packed(day: int, number: int) -> dict[str, Any]:
    ended = _NOW - dt.timedelta(days=day, seconds=7 * number)
    seconds = 60.0 + number % 600
    pipeline = f"pipeline-{number % PIPELINES}"
    return {
        "name": f"{pipeline}-run-{number}" if not day else f"{pipeline}-{ended:%Y%m%dt%H%M%S}-{number}",
        "pipeline": pipeline,
        "tenant": "local",
        "on": "cluster",
        "status": "failed" if number % 37 == 0 else "succeeded",
        "started": (ended - dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
        "finished": ended.isoformat(timespec="milliseconds"),
        "seconds": seconds,
        "parameters": {"max_timestamps": number, "start": f"{ended:%Y-%m-%d}", "mode": "fast"},
        "elements": {"total": 10_000, "cached": 9_000, "computed": 1_000, "failed": 0},
        "tasks": {"winds.windiest": {"total": 10_000, "cached": 9_000, "computed": 1_000, "failed": 0}},
        "phases": {"waiting": 1.5, "scheduler": 6.0, "workers": 20.25, "computing": seconds},
        "worker_seconds": [{"size": "cpu=2 memory=8Gi", "spot": True, "seconds": 20 * seconds}],
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "versions": {"python": "3.13.1", "lightwork": "0.2.0", "dask": "2026.8.0"},
        "attempts": [{"id": "1", "status": "succeeded", "pod": "a-pod", "error": None}],
        "error": "KeyError: 'no such place'" if number % 37 == 0 else None,
        "final": True,
    }


def _attempt() -> dict[str, Any]:
    return {**_packed(0, 0), "id": "1", "run": _SHOWN, "status": "succeeded", "workflow": None}


def _lightwork(path: Path, *words: str) -> None:
    lake = [] if words[0].startswith("-") else ["--lake", str(path / "lake"), "--tenant", "local"]
    subprocess.run([sys.executable, "-m", "lightwork", *words, *lake], stdout=subprocess.DEVNULL, check=True)


def _first_bytes(path: Path) -> float:
    """Return the seconds from the start of `lightwork ui` to the first bytes of its page."""
    words = ("ui", "--no-open", "--lake", str(path / "lake"), "--tenant", "local")
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "lightwork", *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().split()[1].decode())
        connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=60)
        connection.request("GET", f"/?{address.query}")
        entered = connection.getresponse()
        entered.read()
        cookie = (entered.getheader("Set-Cookie") or "").partition(";")[0]
        connection.request("GET", "/", headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.read(1) == b"<"
        seconds = time.perf_counter() - begin
        assert answer.status == 200
        process.kill()
    return seconds


def _after_new_days(path: Path, lake: Lake) -> float:
    """Return how long `runs` takes with a database that lacks three days: the median."""
    database = _database(lake)
    before = path / "before.sqlite"
    shutil.copy(database, before)

    def again() -> None:
        shutil.copy(before, database)

    def look() -> float:
        again()
        return timed(lambda: _lightwork(path, "runs", "--last", "30"))

    return sorted(look() for _ in range(_REPEAT))[_REPEAT // 2]


def _database(lake: Lake) -> Path:
    path = cache.path_of(lake)
    assert path is not None
    return path


def _look(lake: Lake) -> Row:
    """Return how long the collector takes, with the daily look at all runs and with nothing to do."""
    lake.delete([segments.STATE])
    looked, idle = timed(lambda: collect(lake)), timed(lambda: collect(lake), _REPEAT)
    return Row("the collector's daily look", "", f"{looked:.1f} s", None, f"with nothing to do: {idle:.3f} s")


def _row(what: str, target: float, ours: float, help_seconds: float) -> Row:
    return within(what, target, ours, help_seconds, f"{ours:.2f} s, --help {help_seconds:.2f} s; median of 7")
