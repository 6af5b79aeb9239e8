"""Which runs have pods that will never start: decided from pods, their events and time. Pure.

A pod may wait for what comes by itself: a node that is being added, room in a full cluster, a large image. It
waits in vain for an image that cannot be pulled, a Secret or a ConfigMap that does not exist, and a kind of
node that the cluster does not have. A run with such a pod is ended after BRIEF, and after LONG if what it
waits for may still come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.kube import reasons
from lightwork.kube.contract import LABEL_ROLE, LABEL_RUN, LABEL_STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["BRIEF", "LONG", "Waits", "patience", "run_of"]

BRIEF = 120.0
"""Seconds that a pod may wait for what does not come by itself; somebody may be creating it at the moment."""
LONG = 1800.0
"""Seconds that a pod may wait for what may come by itself, such as a node or room on one."""
FORGOTTEN = 60.0
"""Seconds without its reason after which a pod counts as one that has not waited yet."""

LABEL_WORKFLOW = "workflows.argoproj.io/workflow"
"""Argo's label of its own pods; those of Deployments have LABEL_RUN."""
LABEL_ON_EXIT = "workflows.argoproj.io/on-exit"
"""Argo's label of pods that clean up: the run's end does not depend on them."""

_CLAUSE = re.compile(r"\d+ ([^\d,.][^,.]*(?:\.[^,.\s][^,.]*)*)")
_NEVER = re.compile(r"node\(s\) didn't match Pod's node affinity|node\(s\) had untolerated taint")
_PASSING = re.compile(r"untolerated taint \{?(?:node\.kubernetes\.io|node\.cloudprovider\.kubernetes\.io)/")
_FULL = re.compile(r"max node group size reached|in backoff|max cluster .* limit reached")
"""What the autoscaler says if it would add a node, but cannot at the moment."""


def run_of(pod: Mapping[str, Any]) -> str:
    """Return the name of the Workflow that a pod belongs to; empty if it belongs to none."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return str(labels.get(LABEL_RUN) or labels.get(LABEL_WORKFLOW) or "")


def patience(reason: str, events: Iterable[Mapping[str, Any]] = ()) -> float:
    """Return how long a pod may wait for this reason.

    Args:
        reason: why it has not started, as `reasons.not_started` says it.
        events: the events of the pod; those of the autoscaler say whether a node is coming.
    """
    if reason.startswith(("the image ", "container ")):
        return BRIEF
    if reason.startswith("no node fits: "):
        return _for_a_node(reason.removeprefix("no node fits: "), list(events))
    missing = "not found" in reason and re.search(r"\b(secret|configmap)\b", reason)
    return BRIEF if missing else LONG


def _for_a_node(message: str, events: Sequence[Mapping[str, Any]]) -> float:
    """Return how long a pod may wait for a node, by the messages of the scheduler and the autoscaler."""
    said = {str(event.get("reason")): str(event.get("message")) for event in _in_order(events)}
    if "TriggeredScaleUp" in said:
        return LONG
    if refused := said.get("NotTriggerScaleUp"):
        return LONG if _FULL.search(refused) else BRIEF
    clauses = _CLAUSE.findall(message.partition(" nodes are available: ")[2].partition(" preemption:")[0])
    hopeless = [clause for clause in clauses if _NEVER.match(clause) and not _PASSING.search(clause)]
    return BRIEF if clauses and len(hopeless) == len(clauses) else LONG


def _in_order(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))


@dataclass(slots=True)
class _Wait:
    """Since when a pod waits for one kind of reason, and until when that was seen."""

    kind: str
    since: float
    seen: float


class Waits:
    """What the pods of a namespace wait for, and since when, from one look to the next."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}

    def hopeless(
        self, pods: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], now: float
    ) -> dict[str, str]:
        """Return the runs that wait in vain, each with the reason in one line.

        A run waits in vain if the pod of its driver, its scheduler or a step does, or one of Argo's own, or
        if all workers of a step do. Pods that clean up after a run do not count.

        Args:
            pods: all pods of the namespace.
            events: its events.
            now: the time, in seconds of any clock that does not go back.
        """
        by_pod: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            by_pod.setdefault(str((event.get("involvedObject") or {}).get("uid")), []).append(event)
        runs: dict[str, str] = {}
        workers: dict[tuple[str, str], list[str]] = {}
        for pod in pods:
            labels, run = pod["metadata"].get("labels") or {}, run_of(pod)
            if not run or LABEL_ON_EXIT in labels or _is_over(pod):
                continue
            reason = self._in_vain(pod, by_pod.get(str(pod["metadata"].get("uid")), []), now)
            if labels.get(LABEL_ROLE) == "worker":
                workers.setdefault((run, str(labels.get(LABEL_STEP) or "")), []).append(reason)
            elif reason:
                runs.setdefault(run, f"{_who(labels)} did not start {reason}")
        for (run, step), vain in workers.items():
            if all(vain):
                runs.setdefault(run, f"no worker{f' of {step}' if step else ''} started {vain[0]}")
        self._waits = {uid: wait for uid, wait in self._waits.items() if now - wait.seen < FORGOTTEN}
        return runs

    def _in_vain(self, pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]], now: float) -> str:
        """Return what a pod has waited for in vain; empty if it does not wait, or not for long enough."""
        uid = str(pod["metadata"].get("uid"))
        if (reason := reasons.not_started(pod, events)) == "":
            return ""
        kind = reason.partition(":")[0]
        wait = self._waits.get(uid)
        if wait is None or wait.kind != kind:
            wait = self._waits[uid] = _Wait(kind, now, now)
        wait.seen = now
        longest = patience(reason, events)
        if now - wait.since < longest:
            return ""
        return f"within {longest / 60:.0f} minutes: {reason}"


def _is_over(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod has ended or is being deleted."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed") or bool(pod["metadata"].get("deletionTimestamp"))


def _who(labels: Mapping[str, str]) -> str:
    """Return which of a run's pods it is, as a reader of its end would call it."""
    role, step = str(labels.get(LABEL_ROLE) or ""), str(labels.get(LABEL_STEP) or "")
    if role == "step":
        return f"the step {step}"
    if role in ("driver", "scheduler"):
        return f"the {role}{f' of {step}' if step else ''}"
    return "a pod that creates the run's objects"
