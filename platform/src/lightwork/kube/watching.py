"""What is going on in a run: its state, its place in the queue, its pods, how far it is, its result.

Only the run's own state is needed; the rest is left out where the API does not answer or the user may not
read it.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.kube import reasons, status
from lightwork.kube.access import AwayError
from lightwork.kube.contract import LABEL_ROLE, LABEL_STEP, PROGRESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lightwork.kube.runs import Remote
    from lightwork.kube.states import Status

SELDOM = 10.0
"""Seconds between two looks at the queue, at a driver's log and at the events of a pod that waits."""
END_BYTES = 1 << 20
"""The most bytes of a driver's log, at its end, in which its result is looked for."""
_TOLD_BYTES = 1 << 20
_NUMBERS = (
    *("done", "total", "complete", "cached", "failed", "retried", "timed_out"),
    *("per_second", "seconds_left", "workers"),
)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a run.

    Attributes:
        name: its name.
        role: driver, scheduler, worker or step.
        step: the step of a run with several; else empty.
        phase: Pending, Starting, Running, Ending, Succeeded or Failed.
        reason: why it does not start, or why it has failed; empty if neither.
    """

    name: str
    role: str
    step: str
    phase: str
    reason: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What is going on in a run at one moment.

    Attributes:
        status: its state.
        before: how many runs are before it in its queue, at least and at most; None if it waits in none.
        pods: its pods.
        told: what each step's driver tells of itself: numbers of elements, rate, seconds left, workers.
        ends: how each step's driver has ended, as `lightwork run --json` prints it; None if that is not
            in its log, or too large.
        unseen: why something is left out that the user may not read; else empty.
    """

    status: Status
    before: tuple[int, int] | None = None
    pods: tuple[Pod, ...] = ()
    told: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ends: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    unseen: str = ""

    @property
    def workers(self) -> int:
        """The number of workers that run."""
        return sum(pod.role == "worker" and pod.phase == "Running" for pod in self.pods)


class Watcher:
    """Looks at a run again and again.

    Args:
        remote: the tenant's namespace.
        run: the run's name.
    """

    def __init__(self, remote: Remote, run: str) -> None:
        self._remote = remote
        self._run = run
        self._looked: dict[str, float] = {}
        self._before: tuple[int, int] | None = None
        self._pods: tuple[Pod, ...] = ()
        self._told: dict[str, Mapping[str, float]] = {}
        self._ends: dict[str, dict[str, Any] | None] = {}
        self._unseen = ""
        self._mounts: dict[str, str] = {}

    def look(self) -> Picture:
        """Return what is going on.

        Raises:
            LightworkError: the run's state cannot be read.
        """
        workflow = self._remote.workflow(self._run)
        if workflow is None:
            self._before, self._pods = None, ()
            state = self._remote.status(self._run)
        else:
            state = self._remote.status_of(self._run, workflow)
            with self._left_out():
                self._before = self._place(workflow)
            with self._left_out():
                self._look_at_pods()
        told, ended = dict(self._told), dict(self._ends)
        return Picture(state, self._before, self._pods, told, ended, self._unseen)

    @contextlib.contextmanager
    def _left_out(self) -> Iterator[None]:
        """Leave out what cannot be read, and note why unless the API is away for the moment."""
        try:
            yield
        except AwayError:
            pass
        except LightworkError as error:
            self._unseen = self._unseen or str(error)

    def _place(self, workflow: Mapping[str, Any]) -> tuple[int, int] | None:
        if not status.queue(workflow):
            return None
        if not self._is_due("queue"):
            return self._before
        return status.before(workflow, self._remote.workflows())

    def _look_at_pods(self) -> None:
        pods = self._remote.pods(self._run)
        self._pods = tuple(self._pod(pod) for pod in pods)
        for pod in pods:
            labels = pod["metadata"].get("labels") or {}
            if labels.get(LABEL_ROLE) == "driver":
                with self._left_out():
                    self._look_at_driver(pod, str(labels.get(LABEL_STEP) or ""))

    def _pod(self, pod: Mapping[str, Any]) -> Pod:
        labels, state = pod["metadata"].get("labels") or {}, pod.get("status") or {}
        phase, name = str(state.get("phase") or "Pending"), str(pod["metadata"]["name"])
        reason = reasons.not_started(pod) or self._mount(pod, phase)
        if "deletionTimestamp" in pod["metadata"] or (phase == "Running" and _has(pod, "terminated")):
            phase = "Ending"
        elif phase == "Running" and _has(pod, "waiting"):
            phase = "Starting"
        elif phase == "Failed":
            reason = reasons.ended(pod)
        return Pod(name, str(labels.get(LABEL_ROLE)), str(labels.get(LABEL_STEP) or ""), phase, reason)

    def _mount(self, pod: Mapping[str, Any], phase: str) -> str:
        """Return why a pod's volumes cannot be mounted, which only its events tell."""
        name = str(pod["metadata"]["name"])
        if phase != "Pending" or not _is_placed(pod):
            return ""
        if self._is_due(name):
            with self._left_out():
                self._mounts[name] = reasons.not_started(pod, self._remote.events("Pod", name))
        return self._mounts.get(name, "")

    def _look_at_driver(self, pod: Mapping[str, Any], step: str) -> None:
        phase, name = (pod.get("status") or {}).get("phase"), str(pod["metadata"]["name"])
        if phase == "Running" and self._is_due(name):
            text = self._remote.log(pod, tailLines="500", limitBytes=str(_TOLD_BYTES))
            self._told.update({step: told} if (told := progress(text)) else {})
        if phase == "Succeeded" and step not in self._ends:
            text = self._remote.log(pod, tailLines="20", limitBytes=str(END_BYTES))
            self._ends[step] = end(text)

    def _is_due(self, what: str) -> bool:
        """Return whether something that is looked at seldom is to be looked at now."""
        now = time.monotonic()
        if now - self._looked.get(what, -SELDOM) < SELDOM:
            return False
        self._looked[what] = now
        return True


def progress(log: str) -> dict[str, float]:
    """Return the numbers of the last line in a driver's log that tells how far it is; empty if none does."""
    line = next((item for item in _objects(log) if item.get("event") == PROGRESS), {})
    return {name: value for name in _NUMBERS if isinstance(value := line.get(name), (int, float))}


def end(log: str) -> dict[str, Any] | None:
    """Return how the run of a driver has ended, from its log; None if it is not there or too large."""
    return next((item for item in _objects(log) if "run" in item and "result" in item), None)


def _objects(log: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the lines of a log, the last one first."""
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError, RecursionError):
                yield json.loads(line)


def _is_placed(pod: Mapping[str, Any]) -> bool:
    conditions: Sequence[Mapping[str, Any]] = (pod.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "PodScheduled" and item.get("status") == "True" for item in conditions)


def _has(pod: Mapping[str, Any], state: str) -> bool:
    """Return whether one of a pod's containers is in a state: waiting, running or terminated."""
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    return any(state in (item.get("state") or {}) for item in containers)
