"""Why a pod does not start, and why one has ended: read from the pod and its events, said in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ended", "is_own_doing", "not_started", "of_node"]

_MAIN = re.compile(r"main: (?P<reason>\w+) \(exit code (?P<code>\d+)\)(?:: (?P<text>.*))?", re.DOTALL)
_ARGO = re.compile(r'"argo":true[,}]|\bargo=true\b|^Error: exit status \d+$')
"""Lines of Argo's container in the log of another, as JSON or text."""

_DEVICE = re.compile(r"\bInsufficient ([a-z0-9.-]+/[A-Za-z0-9._-]*\w)")
"""A resource that is not Kubernetes' own, such as nvidia.com/gpu, in a message of its scheduler."""
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")
_EVENTS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_LATER = ("Pulling", "Pulled", "Created", "Started")
"""Events of a pod whose volumes are mounted."""
_SIGNALS = {134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
_DISRUPTIONS = {
    "PreemptionByScheduler": "preempted by a pod with a higher priority",
    "DeletionByTaintManager": "its node does not respond, or was tainted",
    "DeletionByPodGC": "its node is gone",
    "EvictionByEvictionAPI": "its node was drained",
    "TerminationByKubelet": "ended by its node, which is short of a resource or shuts down",
}


def not_started(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return in one line why a pod has not started yet; empty if it has, or if nothing keeps it from that.

    A pod that just pulls its image, or is new, has no reason yet. Whether a reason may pass by itself is not
    known here: a node may be added, an image pushed. The caller decides how long it waits.

    Args:
        pod: the pod.
        events: the events of its namespace, for volumes that cannot be mounted; those of others are ignored.
    """
    status = pod.get("status") or {}
    if status.get("phase", "Pending") != "Pending":
        return ""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            if condition.get("reason") == "SchedulingGated":
                return "it is held back by a scheduling gate"
            message = str(condition.get("message") or condition.get("reason") or "")
            return f"no node fits: {_lacking(message)}{_short(message)}"
    for container, waiting in _waiting(pod):
        reason, message = str(waiting.get("reason") or ""), _short(waiting.get("message") or "")
        if reason in _PULL:
            return f"the image {_image(pod, container)} cannot be pulled: {message or reason}"
        if reason in _CREATE:
            return f"container {container} cannot be created: {message or reason}"
    uid = (pod.get("metadata") or {}).get("uid")
    own = [
        event
        for event in events
        if event.get("reason") in (*_EVENTS, *_LATER)
        and (event.get("involvedObject") or {}).get("uid") == uid
    ]
    last = max(own, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")), default={})
    if last.get("reason") not in _EVENTS:
        return ""  # what kept it before is over
    return _short(last.get("message") or last["reason"])


def _lacking(message: str) -> str:
    """Return which resources beside processor and memory no node has left, by a message of the scheduler.

    It does not tell whether a node has none at all or has given all of them away.
    """
    names = dict.fromkeys(_DEVICE.findall(message))
    return f"no node has {' and '.join(names)}, or all of it is in use: " if names else ""


def ended(pod: Mapping[str, Any]) -> str:
    """Return in one line why a pod, or the last process of one of its containers, has ended.

    Empty if nothing has ended, or if all that did ended well.

    Args:
        pod: the pod, as the API shows it, also while it is being deleted.
    """
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted":
        return f"evicted: {_short(status.get('message') or 'its node is short of a resource')}"
    ends = [_end(item) for item in status.get("containerStatuses") or []]
    if (oom := next((end for end in ends if "OOMKilled" in end), "")) != "":
        return oom
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            known = _DISRUPTIONS.get(str(condition.get("reason")))
            return known or _short(condition.get("message") or condition.get("reason") or "disrupted")
    if status.get("reason") in ("NodeLost", "NodeShutdown", "Terminated", "Shutdown", "NodeAffinity"):
        return _short(status.get("message") or status["reason"])
    return next((end for end in ends if end), "")


def is_own_doing(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod, or a process of its, has ended by what it did itself.

    It used too much memory or disk, crashed or exited; not one that lost its node, was drained or deleted, or
    was evicted as its node was short of something.
    """
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    if status.get("reason") == "Evicted":
        return "exceed" in str(status.get("message"))
    disrupted = [item for item in status.get("conditions") or [] if item.get("type") == "DisruptionTarget"]
    return not disrupted and "deletionTimestamp" not in metadata and status.get("reason") in (None, "")


def of_node(message: str) -> str:
    """Return Argo's message about a failed pod in one line: what the container said last, if anything.

    The message of a plain container has the end of its log, with lines of Argo's own, whose last one follows
    the container's.
    """
    match = _MAIN.fullmatch(message)
    if match is None:
        return _short(message)
    lines = [line for line in (match["text"] or "").splitlines() if line.strip() and not _ARGO.search(line)]
    if match["reason"] != "Error" or not lines:
        return f"main: {match['reason']} (exit code {match['code']})"
    return _short(lines[-1])


def _end(container: Mapping[str, Any]) -> str:
    """Return why a container's process has ended; empty if it runs for the first time, or ended well."""
    name = container.get("name")
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        over = state.get("terminated")
        if not over:
            continue
        if over.get("reason") == "OOMKilled":
            return f"container {name} ran out of memory (OOMKilled)"
        code = over.get("exitCode")
        if over.get("reason") in _CREATE or over.get("reason") == "ContainerCannotRun":
            return f"container {name} cannot be created: {_short(over.get('message') or over['reason'])}"
        if code:
            signal = f" ({_SIGNALS[code]})" if code in _SIGNALS else ""
            text = f": {_short(over['message'])}" if over.get("message") else ""
            return f"container {name} ended with exit code {code}{signal}{text}"
    return ""


def _waiting(pod: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status") or {}
    items = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [
        (str(item.get("name")), item["state"]["waiting"])
        for item in items
        if (item.get("state") or {}).get("waiting")
    ]


def _image(pod: Mapping[str, Any], container: str) -> str:
    spec = pod.get("spec") or {}
    for item in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if item.get("name") == container:
            return str(item.get("image"))
    return f"of container {container}"


def _short(text: object) -> str:
    """Return a message of Kubernetes in one line of at most 300 characters."""
    line = one_line(str(text))
    return line if len(line) <= 300 else f"{line[:299]}…"
