"""Watch a tenant's runs: `python -m lightwork.pods.controller`, one process in each tenant's namespace.

Nothing of a run's own works while its pods cannot start, and no driver records a run that has none. So this
process looks at the namespace's Workflows and pods every few seconds. It ends a run whose pods wait in vain
(`kube.stuck`), with the reason as an annotation of its Workflow, and it sees to it that each Workflow has a
record in the lake that says how it ended (`store.endings`). It leaves figures for the platform's metrics as
well (`pods.figures`).

It keeps nothing that it needs: after a restart it sees the Workflows anew, and those that ended and were
deleted meanwhile are recorded as lost.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork import logs, settings
from lightwork.cli import fatal
from lightwork.errors import LightworkError, one_line
from lightwork.kube import ends, firing, stuck, texts
from lightwork.kube.api import InCluster, RefusedError
from lightwork.kube.contract import ANNOTATION_REASON, ANNOTATION_RETRY_OF, ARGO, LABEL_PIPELINE, LABEL_ROLE
from lightwork.lake import open_lake
from lightwork.pods import figures
from lightwork.store.endings import Ending, Ledger, Submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.kube.api import KubeApi

EVERY = 5.0
"""Seconds between two looks. An ended Workflow stays for 45 s, but one may also be deleted by hand."""
HUNG = 300
"""Seconds after which a look has hung; the process is killed then, and Kubernetes starts it again."""
LAKE_PATIENCE = 10.0
"""Seconds for which one look waits for a lake that is away; the next one tries again."""
DRIVER_PATIENCE = 600.0
"""Seconds after a run's end after which a driver that seems to live, on a lost node, is not waited for."""
PAGE = "50"
"""Objects per response: hundreds of Workflows may wait, and each comes with the templates it uses."""
_OF_PODS = "involvedObject.kind=Pod"
_METADATA = ("uid", "name", "labels", "deletionTimestamp")
TITLE = "workflows.argoproj.io/description"
"""An annotation that Argo's own pages show."""


@dataclass(slots=True)
class Run:
    """What is known of a Workflow.

    Attributes:
        submitted: what its record says from the start.
        version: the version of the Workflow that was seen last.
        stoppable: whether it is active, and nobody has ended it yet.
        noted: whether its submission is recorded.
        end: how it has ended; None if it has not.
        pods: how its pods have ended, by the last part of their names.
        finished: when it ended, if Argo says that.
        ended_since: when its end was seen, by the clock of this process.
        settled: whether its end is recorded.
        told: whether its end is in the figures.
        going: how far it is; None if it has ended.
        begun: when its first pod was started (Unix seconds), if that is known.
    """

    submitted: Submitted
    version: str = ""
    stoppable: bool = True
    noted: bool = False
    end: ends.End | None = None
    pods: dict[str, ends.End] = field(default_factory=dict)
    finished: dt.datetime | None = None
    ended_since: float = 0.0
    settled: bool = False
    told: bool = False
    going: figures.Going | None = None
    begun: float | None = None

    @property
    def name(self) -> str:
        """The Workflow's name."""
        return self.submitted.workflow

    def see(self, workflow: dict[str, Any], now: float) -> None:
        """Take over how the Workflow is."""
        self.version = str(workflow["metadata"].get("resourceVersion"))
        self.pods = ends.of_pods(workflow) or self.pods
        was_active = self.end is None
        self.end = ends.how(workflow)
        self.stoppable = self.end is None and not workflow["spec"].get("shutdown")
        self.begun = figures.begun(workflow) or self.begun
        self.going = figures.going(workflow, self.submitted.pipeline) if self.end is None else None
        if self.end is not None and was_active:
            finished = workflow.get("status", {}).get("finishedAt")
            self.finished, self.ended_since = _moment(finished) if finished else None, now

    def vanish(self, end: ends.End, now: float) -> None:
        """Take over that the Workflow is gone."""
        if self.end is None:
            self.end, self.stoppable, self.going = end, False, None
            self.finished, self.ended_since = dt.datetime.now(dt.UTC), now

    def ended(self) -> figures.Ended | None:
        """Return how it has ended, for the figures; None if it has not."""
        if self.end is None:
            return None
        moment = (self.finished or dt.datetime.now(dt.UTC)).timestamp()
        seconds = None if self.begun is None else max(0.0, moment - self.begun)
        run, end = self.submitted, self.end
        return figures.Ended(run.workflow, run.uid, run.pipeline, end.status, end.reason, moment, seconds)

    def of_pod(self, name: str) -> Ending | None:
        """Return how one of its pods has ended; None if Argo does not say."""
        end = self.pods.get(name.rpartition("-")[2])
        return None if end is None else (end.status, end.reason)


class Controller:
    """What one process knows of its namespace, from one look to the next.

    Args:
        api: the Kubernetes API.
        namespace: the tenant's namespace.
        ledger: the records in the tenant's lake.
        board: the figures of the tenant's pipelines; None to leave none.
    """

    def __init__(
        self, api: KubeApi, namespace: str, ledger: Ledger, board: figures.Board | None = None
    ) -> None:
        self._api = api
        self._argo = f"/apis/{ARGO}/namespaces/{namespace}/workflows"
        self._core = f"/api/v1/namespaces/{namespace}"
        self._ledger = ledger
        self._board = board
        self._runs: dict[str, Run] = {}
        self._waits = stuck.Waits()
        self._last: float | None = None
        self._log = logs.get_logger("lightwork.controller")
        self._recovered = False

    def look(self, now: float) -> None:
        """Look once at everything, end runs that wait in vain, and record what is to be recorded.

        Args:
            now: the time, in seconds of a clock that does not go back.

        Raises:
            RefusedError: the API refused a request.
            OSError: the API cannot be reached.
        """
        self._see_workflows(now)
        self._tell()
        if any(not run.settled for run in self._runs.values()):
            pods = [_slim(pod) for pod in self._list(f"{self._core}/pods")]
            self._end_hopeless(pods, now)
            self._record(pods, now)
        gone = [uid for uid, run in self._runs.items() if run.settled and not run.version]
        for uid in gone:
            del self._runs[uid]
        self._recover(now)

    def _see_workflows(self, now: float) -> None:
        seen = set()
        for workflow in self._list(self._argo):
            uid = str(workflow["metadata"]["uid"])
            seen.add(uid)
            run = self._runs.setdefault(uid, Run(_submitted(workflow)))
            run.see(workflow, now)
        # An ended Workflow stays for longer than this, so one that vanished between two looks was deleted.
        deleted = self._last is not None and now - self._last < ends.SEEN_WITHIN
        for uid in self._runs.keys() - seen:
            self._runs[uid].vanish(ends.DELETED if deleted else ends.UNSEEN, now)
            self._runs[uid].version = ""
        self._last = now

    def _tell(self) -> None:
        """Leave the figures of the pipelines; what goes wrong with them must not hold up the records."""
        if self._board is None:
            return
        for run in self._runs.values():
            if not run.told and (ended := run.ended()) is not None:
                self._board.end(ended)
                run.told = True
        going = [run.going for run in self._runs.values() if run.going is not None]
        try:
            self._board.publish(going, time.time())
        except (RefusedError, OSError) as error:
            self._log.warning("the figures could not be left yet", reason=one_line(error))

    def _list(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list, with a page of them in memory at a time."""
        more = ""
        while True:
            page = self._api.get(path, limit=PAGE, **query, **({"continue": more} if more else {}))
            yield from page["items"]
            more = str(page["metadata"].get("continue") or "")
            if not more:
                return

    def _end_hopeless(self, pods: list[dict[str, Any]], now: float) -> None:
        pending = {pod["metadata"]["uid"] for pod in pods if pod["status"].get("phase") == "Pending"}
        events = [
            event
            for event in (self._list(f"{self._core}/events", fieldSelector=_OF_PODS) if pending else [])
            if event["involvedObject"].get("uid") in pending
        ]
        reasons = self._waits.hopeless(pods, events, now)
        for run in self._runs.values():
            if run.stoppable and run.name in reasons:
                self._end(run, reasons[run.name])

    def _end(self, run: Run, reason: str) -> None:
        """End a run; its exit handler still runs, and frees what it holds."""
        annotations = {ANNOTATION_REASON: reason, TITLE: reason}
        metadata = {"resourceVersion": run.version, "annotations": annotations}
        body = {"metadata": metadata, "spec": {"shutdown": "Stop"}}
        try:
            self._api.patch(f"{self._argo}/{run.name}", body)
        except RefusedError as error:
            if error.status not in (404, 409):  # else it has changed meanwhile: the next look sees how
                self._log.warning("a run could not be ended", run=run.name, reason=str(error))
        else:
            run.stoppable = False
            self._log.warning("a run was ended: its pods do not start", run=run.name, reason=reason)

    def _record(self, pods: list[dict[str, Any]], now: float) -> None:
        at_work = {stuck.run_of(pod) for pod in pods if _is_driver_at_work(pod)}
        for run in self._runs.values():
            try:
                if run.end is None and not run.noted:
                    self._ledger.note(run.submitted)
                    run.noted = True
                elif run.name not in at_work or now - run.ended_since > DRIVER_PATIENCE:
                    self._settle(run)
            except LightworkError as error:
                self._log.warning("a run's record could not be written yet", run=run.name, reason=str(error))
                return  # the next one would meet the same

    def _settle(self, run: Run) -> None:
        """Record a run's end, if it has one that is not recorded yet."""
        end = run.end
        if end is None or run.settled:
            return
        finished = run.finished or dt.datetime.now(dt.UTC)
        self._ledger.settle(run.submitted, (end.status, end.reason), finished, run.of_pod)
        run.settled = True
        self._log.info("a run has ended", run=run.name, status=end.status, reason=end.reason)

    def _recover(self, now: float) -> None:
        """Once, take up the Workflows that were submitted and then deleted while nobody watched."""
        if self._recovered:
            return
        try:
            notes = self._ledger.open_notes()
        except LightworkError as error:
            self._log.warning("the records could not be read yet", reason=str(error))
            return
        for submitted in notes:
            if submitted.uid not in self._runs:
                self._runs[submitted.uid] = run = Run(submitted, noted=True)
                run.vanish(ends.UNSEEN, now)
        self._recovered = True


def _slim(pod: dict[str, Any]) -> dict[str, Any]:
    """Return what is needed of a pod: there may be hundreds, and most of each is its specification."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    kinds = ("initContainers", "containers")
    return {
        "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
        "spec": {
            kind: [{key: item.get(key) for key in ("name", "image")} for item in spec.get(kind) or []]
            for kind in kinds
        },
        "status": pod.get("status") or {},
    }


def _submitted(workflow: dict[str, Any]) -> Submitted:
    metadata, arguments = workflow["metadata"], workflow["spec"].get("arguments") or {}
    labels = metadata.get("labels") or {}
    template = workflow["spec"].get("workflowTemplateRef") or {}
    return Submitted(
        str(metadata["name"]),
        str(metadata["uid"]),
        str(labels.get(LABEL_PIPELINE) or template.get("name") or ""),
        _moment(metadata["creationTimestamp"]),
        firing.given(workflow),
        _name(str((metadata.get("annotations") or {}).get(ANNOTATION_RETRY_OF) or "")),
        tuple(
            str(item["name"])
            for item in arguments.get("parameters") or []
            if str(item.get("value", "")).startswith(texts.IN_FILE)
        ),
        fired.isoformat() if (fired := firing.moment(workflow)) else "",
    )


def _name(text: str) -> str:
    """Return a run's name that somebody else has written; empty if it is not one."""
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}", text) and ".." not in text else ""


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def _is_driver_at_work(pod: dict[str, Any]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    phase = (pod.get("status") or {}).get("phase")
    return labels.get(LABEL_ROLE) == "driver" and phase in ("Pending", "Running")


def main() -> None:
    """Look at the namespace every few seconds, until Kubernetes ends the process."""
    logs.configure("json")
    fatal.catch_all()
    api = InCluster()
    lake = open_lake(
        settings.resolve_lake(None), tenant=settings.resolve_tenant(None), patience=LAKE_PATIENCE
    )
    board = figures.Board(api, api.namespace, lake)
    controller = Controller(api, api.namespace, Ledger(lake), board)
    log = logs.get_logger("lightwork.controller")
    # The first process of a container is ended only by signals that it handles.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    while True:
        signal.alarm(HUNG)
        try:
            controller.look(time.monotonic())
        except (RefusedError, OSError) as error:
            log.warning("the API does not answer as it should", reason=one_line(error))
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
