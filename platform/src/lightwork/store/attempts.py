"""What the driver of a run writes about itself: a document for each attempt, renewed while the attempt runs.

A run on a laptop has one attempt. In a cluster, each start of a driver is one, and each step with a driver
has its own.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.lake import Lake

EVERY = 60.0
"""Seconds between two heartbeats; each writes a small file."""
SILENCE = dt.timedelta(minutes=5)
"""Time without a heartbeat after which an attempt counts as lost; longer than a short outage of the lake."""
COUNTS = ("total", "cached", "computed", "failed")
"""The numbers of elements in a record."""
FURTHER = ("retried", "timed_out")
"""Further numbers, there only if they are not 0: of elements that were tried more than once, and of failed
ones that exceeded a time limit."""

_THREADS = 8


def new_id(step: str, now: dt.datetime) -> str:
    """Return the id of a new attempt; ids of a run sort by start."""
    return "-".join(filter(None, [f"{now:%Y%m%dt%H%M%S%f}"[:-3], step, secrets.token_hex(3)]))


def path(run: str, attempt: str) -> str:
    """Return the path of an attempt's document."""
    return f"runs/{run}/attempts/{attempt}.json"


def of_run(lake: Lake, run: str) -> list[dict[str, Any]]:
    """Return the documents of a run's attempts, in the order in which these started; no damaged ones."""
    # A list first: without the right to list the whole bucket, S3 refuses to read a missing file.
    paths = [entry.path for entry in lake.entries(f"runs/{run}/attempts")]
    return read_all(lake, [item for item in paths if item.endswith(".json")])


def read_all(lake: Lake, paths: list[str]) -> list[dict[str, Any]]:
    """Return the documents of attempts at these paths; damaged ones are ignored with a warning."""
    found = in_threads(lambda item: read(lake, item, check), paths, _THREADS)
    return [document for document in found if document is not None]


def read(
    lake: Lake, path: str, check: Callable[[dict[str, Any], str], dict[str, Any]]
) -> dict[str, Any] | None:
    """Return a document; None if it is missing or, with a warning, if it is damaged.

    Args:
        lake: the lake.
        path: its path.
        check: checks it, given its path; raises OddError.
    """
    try:
        return check(documents.parse(lake.read(path)), path)
    except FileNotFoundError:
        return None
    except OddError as error:
        get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(path)}: {one_line(error)}")
        return None


def check(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Check the document of an attempt.

    Raises:
        OddError: it is not that of the attempt at this path.
    """
    _, run, _, file = path.split("/")
    if documents.text(document, "run") != run or documents.text(document, "id") != file[: -len(".json")]:
        raise OddError("run: it is the record of another run")
    return check_fields(document)


def check_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Check the fields that records of all versions have.

    Raises:
        OddError: one of them is not of its type.
    """
    documents.text(document, "status")
    for name in ("pipeline", "error"):
        if document.get(name) is not None:
            documents.text(document, name)
    for name in ("started", "finished", "seen"):
        if document.get(name) is not None:
            documents.moment(document, name)
    if document.get("seconds") is not None:
        documents.number(document, "seconds")
    counts = [document.get("elements"), *_items(document, "tasks").values()]
    for item in counts:
        if item is not None and not isinstance(item, dict):
            raise OddError("elements: expected numbers by name")
        for name in item or {}:
            documents.whole(item or {}, name)
    for name in _items(document, "phases"):
        documents.number(document["phases"], name)
    for worker in document.get("worker_seconds") or []:
        documents.number(worker, "seconds")
    for name in ("parameters", "code_keys", "versions"):
        _items(document, name)
    return document


def _items(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise OddError(f"{name}: expected values by name")
    return value or {}


def locks_of(lake: Lake, files: list[str]) -> set[str]:
    """Return the states of the locks that the processes of a run hold; empty where the lake has no locks.

    To be called before the attempts are read: what is recorded as running after its lock was free was killed.

    Args:
        lake: the lake.
        files: the files in the run's folder.
    """
    return {lake.lock_state(item) for item in files if item.split("/")[2].startswith("owner-")}


def status(attempt: dict[str, Any], now: dt.datetime, locks: set[str]) -> str:
    """Return the status of an attempt: `lost` if it is recorded as running and its process has ended.

    Args:
        attempt: its document.
        now: the current time.
        locks: what `locks_of` returned for its run.
    """
    recorded = str(attempt["status"])
    if recorded != "running" or "held" in locks:
        return recorded
    if locks == {"free"}:
        return "lost"
    times = [documents.moment(attempt, name) for name in ("started", "seen") if attempt.get(name)]
    return "lost" if times and now - max(times) > SILENCE else recorded
