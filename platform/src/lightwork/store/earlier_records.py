"""Records of runs as earlier versions wrote them: one `run.json` a driver, and one a Workflow.

They are read for good, so that a lake keeps its history. Nothing writes them any more.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.store import attempts, documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from lightwork.lake import Lake

ALIVE = "alive"
"""The name of the heartbeat's file in a run's folder."""


def path(name: str) -> str:
    """Return the path of a record."""
    return f"runs/{name}/run.json"


def read(lake: Lake, name: str, now: dt.datetime, files: list[str]) -> dict[str, Any] | None:
    """Return the record of a run as `records.run` does; None if it is damaged, or another one says more.

    Args:
        lake: the lake.
        name: the name of its folder.
        now: the current time.
        files: the files in that folder.
    """
    locks = attempts.locks_of(lake, files)
    record = attempts.read(lake, path(name), _check)
    if record is None:
        return None
    if record["status"] == "submitted" and _has_another(lake, record):
        return None
    if f"runs/{name}/{ALIVE}" in files:
        record["seen"] = _seen(lake, f"runs/{name}/{ALIVE}")
    record["status"] = attempts.status(record, now, locks)
    attempt = {
        key: record.get(key)
        for key in ("status", "started", "finished", "seconds", "pod", "error", "elements")
    }
    record = {key: value for key, value in record.items() if key not in ("run_id", "seen")}
    return {**record, "name": name, "attempts": [{"id": name, **attempt}]}


def _check(document: dict[str, Any], path: str) -> dict[str, Any]:
    if documents.text(document, "run_id") != path.split("/")[1]:
        raise OddError("run_id: it is the record of another run")
    return attempts.check_fields(document)


def _has_another(lake: Lake, record: dict[str, Any]) -> bool:
    """Return whether a Workflow that was recorded as submitted has a record of its own by now."""
    workflow = record.get("workflow")
    return bool(workflow) and bool(lake.entries(f"runs/{workflow}"))


def _seen(lake: Lake, path: str) -> str | None:
    try:
        text = lake.read(path).decode(errors="replace")
        return text if dt.datetime.fromisoformat(text).tzinfo else None
    except (FileNotFoundError, ValueError):
        return None
