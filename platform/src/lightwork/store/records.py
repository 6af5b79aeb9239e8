"""The records of runs in a lake, and the heartbeat that tells a running one from one that was killed."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.lake import Lake

EVERY = 60.0
"""Seconds between two signs of life; one is a small file."""
SILENCE = dt.timedelta(minutes=5)
"""How long a run may say nothing before it counts as lost: a lake may be away for a while."""
_NAME = "alive"


@contextlib.contextmanager
def beating(lake: Lake, folder: str, every: float = EVERY) -> Iterator[None]:
    """Say in a run's folder that it goes on, for as long as the `with` block runs.

    Args:
        lake: where the run's record is.
        folder: the run's, such as `runs/<id>`.
        every: seconds between two signs of life.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every):
            with contextlib.suppress(Exception):  # the run's own writes say what is wrong with the lake
                lake.write(f"{folder}/{_NAME}", dt.datetime.now(dt.UTC).isoformat().encode())

    thread = threading.Thread(target=beat, name="lightwork-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()  # a write that hangs is not waited for


def status(lake: Lake, record: Mapping[str, Any], now: dt.datetime | None = None) -> str:
    """A run's status: as its record says, or `lost` if it says `running` and nobody has seen it for a while.

    Args:
        lake: where the record is.
        record: the run's.
        now: the time, for tests.
    """
    said = str(record.get("status"))
    if said != "running":
        return said
    times = [_time(record.get("started"))]
    with contextlib.suppress(FileNotFoundError):
        times.append(_time(lake.read(f"runs/{record.get('run_id')}/{_NAME}").decode()))
    seen = max((time for time in times if time is not None), default=None)
    if seen is not None and (now or dt.datetime.now(dt.UTC)) - seen > SILENCE:
        return "lost"
    return said


def recent(lake: Lake, limit: int | None = None) -> list[dict[str, Any]]:
    """The records of the runs in a lake, newest first; unreadable ones are left out.

    A run that was killed could not say so: its status is `lost` here once it has been silent for a while.
    """
    found: list[dict[str, Any]] = []
    for folder in sorted(lake.folders("runs"), reverse=True):
        if limit is not None and len(found) >= limit:
            break
        try:
            record = json.loads(lake.read(f"runs/{folder.rsplit('/', 1)[-1]}/run.json"))
        except (FileNotFoundError, ValueError):
            continue
        if isinstance(record, dict):
            found.append({**record, "status": status(lake, record)})
    return found


def place(lake: Lake, path: str) -> str:
    """Where something in the lake is: a path for a lake in a folder, else its address."""
    uri = lake.uri(path)
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
