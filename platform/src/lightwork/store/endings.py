"""What drivers cannot record themselves, written by the process that watches their Workflows.

A driver records its own attempt. This module adds what no driver knows: that a Workflow was submitted, how it
has ended, and how its drivers did that were killed, stopped, or refused by the lake. It writes no file of a
driver's. `store.records` puts both together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.lake.threads import in_threads
from lightwork.store import attempts, documents, workflows
from lightwork.store.documents import OddError, seal
from lightwork.store.workflows import Ending as Ending

if TYPE_CHECKING:
    from lightwork.lake import Lake

__all__ = ["Ending", "Ledger", "Submitted"]

OPEN = "runs/.open"
"""The folder with a file for each Workflow that is recorded as submitted, and not as ended."""
_THREADS = 8
_UNSETTLED = ("running", "stopped")
"""The statuses of attempts that do not say how they ended: a stop has no reason of its own."""
_GONE: Ending = ("lost", "its pod was gone before it had recorded its end")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A Workflow, as far as its record is concerned.

    Attributes:
        workflow: its name, which is the run's.
        uid: its id, which no other Workflow has, also of the same name.
        pipeline: the pipeline's name in the tenant's file.
        created: when it was submitted.
        parameters: what was submitted, as texts by name.
        retry_of: the run that it tries again; empty if it is not a retry.
        long: the parameters whose values are not in the Workflow, as they are too long.
    """

    workflow: str
    uid: str
    pipeline: str
    created: dt.datetime
    parameters: Mapping[str, str] = field(default_factory=dict)
    retry_of: str = ""
    long: tuple[str, ...] = ()


class Ledger:
    """The records of Workflows in one lake, for the process that watches them."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def note(self, run: Submitted) -> None:
        """Record that a run was submitted, unless that is recorded already."""
        document = self._document(run)
        self.lake.create(f"{OPEN}/{run.workflow}.json", seal(document))
        known = workflows.read(self.lake, run.workflow) if self._is_recorded(run) else None
        if known is None or known["uid"] != run.uid:
            self._write(document)
        if run.retry_of:
            link(self.lake, run.retry_of, run.workflow)

    def settle(
        self,
        run: Submitted,
        ending: Ending,
        finished: dt.datetime,
        of_pod: Callable[[str], Ending | None],
    ) -> None:
        """Record how a run has ended, when none of its drivers is there any more.

        Attempts that have no end, or say only that they were stopped, get one: that of their pod if it is
        known, else that of the run.

        Args:
            run: the run.
            ending: how its Workflow has ended.
            finished: when.
            of_pod: returns how the driver in the pod of a name has ended; None if that is not known.
        """
        drivers = {}
        for attempt in attempts.of_run(self.lake, run.workflow):
            if attempt.get("workflow_uid") in (None, run.uid) and attempt["status"] in _UNSETTLED:
                end = of_pod(str(attempt.get("pod"))) or (_GONE if ending[0] == "succeeded" else ending)
                drivers[attempt["id"]] = {"status": end[0], "error": end[1][:1000] or None}
        status, reason = ending
        seconds = max(0.0, (finished - run.created).total_seconds())
        self._write(
            self._document(run)
            | {
                "status": status,
                "error": reason[:1000] or None,
                "finished": finished.isoformat(timespec="milliseconds"),
                "seconds": round(seconds, 3),
                "drivers": drivers,
            }
        )
        self.lake.delete([f"{OPEN}/{run.workflow}.json"])

    def open_notes(self) -> list[Submitted]:
        """Return the Workflows that are recorded as submitted, and not as ended, the oldest first."""
        paths = [entry.path for entry in self.lake.entries(OPEN)]
        found = in_threads(lambda path: attempts.read(self.lake, path, _checked), paths, _THREADS)
        notes = [_submitted(document) for document in found if document is not None]
        return sorted(notes, key=lambda note: note.created)

    def _is_recorded(self, run: Submitted) -> bool:
        # A list first: without the right to list the whole bucket, S3 refuses to read a missing file.
        path = workflows.path(run.workflow)
        return any(entry.path == path for entry in self.lake.entries(f"runs/{run.workflow}"))

    def _write(self, document: dict[str, Any]) -> None:
        self.lake.write(workflows.path(document["run"]), seal(document, indent=2))

    def _document(self, run: Submitted) -> dict[str, Any]:
        return {
            "run": run.workflow,
            "uid": run.uid,
            "pipeline": run.pipeline,
            "tenant": self.lake.tenant,
            "status": "submitted",
            "parameters": dict(run.parameters),
            "started": run.created.isoformat(timespec="milliseconds"),
            "finished": None,
            "seconds": None,
            "error": None,
            "retry_of": run.retry_of or None,
            "long_parameters": list(run.long),
            "drivers": {},
        }


def link(lake: Lake, earlier: str, later: str) -> None:
    """Note beside a run that another one tries it again."""
    lake.create(f"runs/{earlier}/retries/{later}", later.encode())


def _checked(document: dict[str, Any], path: str) -> dict[str, Any]:
    if path != f"{OPEN}/{documents.text(document, 'run')}.json":
        raise OddError("run: it is the note of another run")
    for name in ("uid", "pipeline"):
        documents.text(document, name)
    documents.moment(document, "started")
    return document


def _submitted(document: dict[str, Any]) -> Submitted:
    return Submitted(
        document["run"],
        document["uid"],
        document["pipeline"],
        documents.moment(document, "started"),
        document.get("parameters") or {},
        str(document.get("retry_of") or ""),
        tuple(map(str, document.get("long_parameters") or ())),
    )
