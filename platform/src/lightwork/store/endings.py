"""Records of what drivers cannot record themselves, written by the process that watches their Workflows.

A driver writes the record of its own run. This module adds what no driver knows: a record of each Workflow
from its submission on, which stays if no driver's record says how the Workflow has ended; and the end of the
records of drivers that were killed, stopped, or refused by the lake.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.lake.threads import in_threads
from lightwork.store import records
from lightwork.store.documents import seal

if TYPE_CHECKING:
    from lightwork.lake import Lake

__all__ = ["Ending", "Ledger", "Submitted", "complete"]

MARK = "w"
"""What follows the time in the id of a Workflow's own record; drivers' ids are hexadecimal there."""
_SKEW = dt.timedelta(minutes=5)
"""How far the clocks of a driver and of the API server may differ."""
_NEWEST = 5_000
"""How many of the newest runs are looked through for records of Workflows that have no end."""

_THREADS = 8
_REMEMBERED = 50_000
"""How many drivers' records are remembered as another run's, so that they are read once."""

Ending = tuple[str, str]
"""A status and the reason in words, which is empty if there is none."""
_GONE: Ending = ("lost", "its pod was gone before it had recorded its end")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A Workflow, as far as its record is concerned.

    Attributes:
        workflow: its name.
        uid: its id, which no other Workflow has, also of the same name.
        pipeline: the pipeline's name in the tenant's file.
        created: when it was submitted.
        parameters: what was submitted, as texts by name.
    """

    workflow: str
    uid: str
    pipeline: str
    created: dt.datetime
    parameters: Mapping[str, str]

    @property
    def run_id(self) -> str:
        """The id of its own record, which sorts by time as all ids of runs do."""
        return f"{self.created:%Y%m%dT%H%M%S}-{MARK}{self.uid.replace('-', '')[:8]}"


class Ledger:
    """The records of runs in one lake, for the process that watches their Workflows."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._workflows: dict[str, str] = {}

    def note(self, run: Submitted) -> None:
        """Record that a run was submitted, unless that is recorded already."""
        self.lake.create(_path(run.run_id), seal(self._own(run), indent=2))

    def settle(
        self,
        run: Submitted,
        ending: Ending,
        finished: dt.datetime,
        of_pod: Callable[[str], Ending | None],
    ) -> None:
        """Record how a run has ended, when none of its drivers is there any more.

        The records of its drivers that have no end, or say only that they were stopped, are completed: by the
        end of their pod if that is known, else by the end of the run. If the newest one then says how the run
        has ended, the Workflow's own record is deleted; else it says that.

        Args:
            run: the run.
            ending: how its Workflow has ended.
            finished: when.
            of_pod: returns how the driver in the pod of a name has ended; None if that is not known.
        """
        newest = ""
        for record in self._of_drivers(run):
            newest = str(record["status"])
            if newest in ("running", "stopped"):  # a stop has no reason of its own
                ended = of_pod(str(record.get("pod"))) or (_GONE if ending[0] == "succeeded" else ending)
                self._write(complete(record, ended, finished))
                newest = ended[0]
        if newest == ending[0]:
            self.lake.delete([_path(run.run_id)])
        else:
            self._write(complete(self._own(run), ending, finished))

    def open_notes(self) -> list[Submitted]:
        """Return the Workflows that are recorded as submitted, and not as ended, the oldest first."""
        own = [run_id for run_id in self._ids()[-_NEWEST:] if _is_own(run_id)]
        found = in_threads(lambda run_id: records.record_of(self.lake, run_id), own, _THREADS)
        return [
            Submitted(
                str(record.get("workflow")),
                str(record.get("workflow_uid")),
                str(record.get("pipeline")),
                dt.datetime.fromisoformat(str(record["started"])),
                record.get("parameters") or {},
            )
            for record in found
            if record is not None and record["status"] == records.SUBMITTED
        ]

    def _of_drivers(self, run: Submitted) -> list[dict[str, Any]]:
        """Return the records that drivers have written of a run, the oldest first."""
        since = f"{run.created - _SKEW:%Y%m%dT%H%M%S}"
        ids = [item for item in self._ids() if item >= since and not _is_own(item)]
        others = [item for item in ids if self._workflows.get(item, run.workflow) != run.workflow]
        found = in_threads(self._driver_record, [item for item in ids if item not in others], _THREADS)
        return [record for record in found if record and _is_of(record, run)]

    def _driver_record(self, run_id: str) -> dict[str, Any] | None:
        path = _path(run_id)
        # A list first: without the right to list the whole bucket, S3 refuses to read a missing file.
        if all(entry.path != path for entry in self.lake.entries(f"runs/{run_id}")):
            return None
        if len(self._workflows) > _REMEMBERED:
            self._workflows.clear()
        if (record := records.record_of(self.lake, run_id)) is not None:
            self._workflows[run_id] = str(record.get("workflow"))
        return record

    def _ids(self) -> list[str]:
        return [folder.rpartition("/")[2] for folder in self.lake.folders("runs")]

    def _write(self, record: dict[str, Any]) -> None:
        self.lake.write(_path(record["run_id"]), seal(record, indent=2))

    def _own(self, run: Submitted) -> dict[str, Any]:
        return {
            "run_id": run.run_id,
            "pipeline": run.pipeline,
            "tenant": self.lake.tenant,
            "on": "cluster",
            "status": records.SUBMITTED,
            "parameters": dict(run.parameters),
            "started": run.created.isoformat(timespec="milliseconds"),
            "finished": None,
            "seconds": None,
            "elements": None,
            "error": None,
            "artifacts": [],
            "workflow": run.workflow,
            "workflow_uid": run.uid,
            "step": None,
            "pod": None,
        }


def complete(record: Mapping[str, Any], ending: Ending, finished: dt.datetime) -> dict[str, Any]:
    """Return a record with an end; one that has said when it ended keeps that."""
    status, reason = ending
    known = record.get("finished")
    end = dt.datetime.fromisoformat(str(known)) if known else finished
    started = dt.datetime.fromisoformat(str(record["started"]))
    seconds = max(0.0, (end - started).total_seconds())
    return {
        **record,
        "status": status,
        "error": reason[:1000] or None,
        "finished": end.isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 3),
    }


def _is_of(record: Mapping[str, Any], run: Submitted) -> bool:
    """Return whether a driver's record is of a run; those of earlier versions have no unique id."""
    return record.get("workflow") == run.workflow and record.get("workflow_uid") in (None, run.uid)


def _is_own(run_id: str) -> bool:
    return run_id.rpartition("-")[2].startswith(MARK)


def _path(run_id: str) -> str:
    return f"runs/{run_id}/run.json"
