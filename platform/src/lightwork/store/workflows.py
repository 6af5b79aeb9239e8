"""What the process that watches Workflows writes of each: that it was submitted, and how it has ended."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.store import attempts, documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.lake import Lake

Ending = tuple[str, str]
"""A status and the reason in words, which is empty if there is none."""


def path(name: str) -> str:
    """Return the path of the document of a Workflow."""
    return f"runs/{name}/workflow.json"


def read(lake: Lake, name: str) -> dict[str, Any] | None:
    """Return the document of a Workflow; None if it is missing or, with a warning, if it is damaged."""
    return attempts.read(lake, path(name), _check)


def _check(document: dict[str, Any], path: str) -> dict[str, Any]:
    if documents.text(document, "run") != path.split("/")[1]:
        raise OddError("run: it is the record of another run")
    documents.text(document, "uid")
    documents.moment(document, "started")
    drivers = document.get("drivers") or {}
    if not isinstance(drivers, dict):
        raise OddError("drivers: expected ends by attempt")
    for end in drivers.values():
        if not isinstance(end, dict):
            raise OddError("drivers: expected a status and a reason")
        documents.text(end, "status")
    return attempts.check_fields(document)


def completed(attempt: dict[str, Any], workflow: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the document of an attempt, with the end that its Workflow's has for it, if any."""
    end = ((workflow or {}).get("drivers") or {}).get(attempt["id"])
    if end is None or attempt["status"] not in ("running", "stopped", "lost"):
        return attempt
    known = attempt.get("finished") or (workflow or {}).get("finished")
    seconds = attempt.get("seconds")
    if known and attempt.get("started"):
        begin, finish = (dt.datetime.fromisoformat(str(item)) for item in (attempt["started"], known))
        seconds = round(max(0.0, (finish - begin).total_seconds()), 3)
    error = str(end.get("error") or "") or None
    return {**attempt, "status": end["status"], "error": error, "finished": known, "seconds": seconds}


def as_record(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run's record that its Workflow's document decides."""
    names = (
        "pipeline",
        "tenant",
        "status",
        "started",
        "finished",
        "error",
        "retry_of",
        "interval",
        "schedule",
    )
    fields = {name: document[name] for name in names if document.get(name) is not None}
    has_ended = document["status"] != "submitted"
    return fields | {
        "on": "cluster",
        "parameters": document.get("parameters") or {},
        "long_parameters": document.get("long_parameters") or [],
        "finished": document.get("finished"),
        "workflow": document["run"],
        "workflow_uid": document["uid"],
        "watched": True,
        "ended_by": "workflow" if has_ended else None,
    }
