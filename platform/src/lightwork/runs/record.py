"""What a driver writes of its own attempt at a run: at its start, with each heartbeat, and at its end."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from typing import TYPE_CHECKING, Any

from lightwork.functions.raised import describe
from lightwork.kube import contract
from lightwork.runs import provenance
from lightwork.runs.phases import EVERY as LOOK_EVERY
from lightwork.runs.phases import Phases
from lightwork.store import attempts, batches, failures, marks
from lightwork.store.documents import seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.lake import Lake
    from lightwork.runs.kept_log import KeptLog
    from lightwork.runs.session import Session


_ERROR = 1000
"""Characters of the run's error that its record has."""


class Record:
    """The document of one attempt in the lake, `runs/<run>/attempts/<id>.json`.

    Args:
        session: the run's session.
        parameters: plain JSON values, defaults included.
        git_commit: the commit of the pipeline's source.
        retry_of: the run that this one tries again; empty if it is not a retry.
        begin: when the attempt began, before its session was opened.
        log: its log, where it is kept in the lake.
    """

    def __init__(
        self,
        session: Session,
        parameters: Mapping[str, Any],
        *,
        git_commit: str | None = None,
        retry_of: str = "",
        begin: dt.datetime | None = None,
        log: KeptLog | None = None,
    ) -> None:
        environment = os.environ
        self.session = session
        self.begin = begin or now()
        self._log = log
        self._lock = threading.Lock()
        self._kept_failures = 0
        created = environment.get(contract.ENV_RUN_CREATED)
        waited = self.begin.timestamp() - float(created) if created else 0.0
        self.phases = Phases(session.runner, session.workers, waited)
        step = environment.get(contract.ENV_STEP) or ""
        self.id = attempts.new_id(step, self.begin)
        self.values: dict[str, Any] = {
            "id": self.id,
            "run": session.run_id,
            "pipeline": session.pipeline,
            "tenant": session.tenant,
            "on": session.on,
            "status": "running",
            "parameters": parameters,
            "interval": None,
            "retry_of": retry_of or None,
            "started": text(self.begin),
            "seen": None,
            "finished": None,
            "seconds": None,
            "error": None,
            "git_commit": git_commit,
            "versions": provenance.versions(),
            "artifacts": [],
            # In a cluster: the Workflow's name and id, the step, and the name of the driver's pod.
            "workflow": environment.get(contract.ENV_RUN),
            "workflow_uid": environment.get(contract.ENV_RUN_UID),
            "step": step or None,
            "pod": environment.get("POD_NAME"),
        }

    def write(self, **values: Any) -> None:
        """Write the document, atomically, with what the run has done so far, and mark it for the history.

        Args:
            values: fields that change.
        """
        with self._lock:
            self._write(values)
        marks.mark(self.session.lake, self.session.run_id)

    def _write(self, values: Mapping[str, Any], lake: Lake | None = None) -> None:
        session, durable = self.session, lake is None
        lake = lake or session.lake
        self.phases.look()
        self.values |= {
            "seen": text(now()),
            "elements": session.runner.counts()[0],
            "tasks": session.runner.counts_by_task(),
            "phases": self.phases.seconds(),
            "worker_seconds": self.phases.worker_seconds(),
            "code_keys": dict(session.runner.tally.code_keys),
            "artifacts": [item.to_json() for item in session.artifacts.written],
            batches.FIELD: session.runner.tally.batches.document(),
            **values,
        }
        path = attempts.path(session.run_id, self.id)
        lake.write(path, seal(self.values, indent=2), durable=durable)
        self._write_failures(lake)

    def _write_failures(self, lake: Lake) -> None:
        found = self.session.runner.tally.failures
        if len(found) > self._kept_failures:
            self._kept_failures = len(found)
            failures.write(lake, self.session.run_id, self.id, found)

    def beat(self) -> None:
        """Write what the run has done so far, as a sign of life; nothing once it has ended."""
        with self._lock:
            if self.values["status"] == "running":
                self._write({}, self.session.lake.with_patience(0.0))  # the next beat follows
        if self._log is not None:
            self._log.refresh()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the number of workers each second while the `with` block runs."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOOK_EVERY):
                with contextlib.suppress(Exception):  # the run does not need it
                    self.phases.look()

        threading.Thread(target=look, name="lightwork-phases", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def finish(
        self,
        status: str,
        *,
        error: BaseException | None = None,
        result: Any = None,
        report: str | None = None,
    ) -> None:
        """Write the record of an attempt that has ended; an error of the lake does not replace its own."""
        end = now()
        if error is not None and self._log is not None:
            with contextlib.suppress(Exception):  # an exception whose texts raise
                self._log.note(error)
        try:
            self.write(
                status=status,
                finished=text(end),
                seconds=round((end - self.begin).total_seconds(), 3),
                error=None if error is None else describe(error)[:_ERROR],
                result=result,
                report=report,
            )
        except Exception as write_error:
            if error is None:
                raise
            error.add_note(f"the run's record could not be written either: {write_error}")


def now() -> dt.datetime:
    """Return the current time in UTC."""
    return dt.datetime.now(dt.UTC)


def text(moment: dt.datetime) -> str:
    """Return a moment as records have it: ISO 8601 with milliseconds."""
    return moment.isoformat(timespec="milliseconds")
