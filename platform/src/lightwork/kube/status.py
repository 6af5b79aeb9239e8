"""Read from Argo's objects, for people, how a run is and why, and whether it can ever fit."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.kube import reasons
from lightwork.kube.contract import ANNOTATION_REASON, SKIPPABLE, TENANT_SEMAPHORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lightwork.kube.contract import Manifest

_CHILD = re.compile(r"child '[^']*' failed")
_TASK = re.compile(r"^task '[^']*' errored: ")
"""What Argo puts before the reason why it could not begin a task."""
_LOCK = re.compile(r"^Waiting for \S+/([^/\s]+) lock\. Lock status: (\d+)/(\d+)")
_SIZES = re.compile(r"^(driver|scheduler|worker)-(cpu|memory|storage)$")
_STARTING = ("PodInitializing", "ContainerCreating")
"""What Argo says of a pod that is about to start."""
_HARD = {
    "cpu": ("requests.cpu", "cpu"),
    "memory": ("requests.memory", "memory"),
    "storage": ("requests.ephemeral-storage", "ephemeral-storage"),
    "pods": ("pods", "count/pods"),
}
"""The names that a ResourceQuota may use for each resource."""


def phase(workflow: Mapping[str, Any]) -> str:
    """Return how a run is: Pending, Running, Succeeded, Failed, Error or Skipped; empty until Argo sees it.

    Argo's own phase is Running for a run that waits for its turn in a queue, and Succeeded for one that the
    schedule skipped. It is also Succeeded for a Workflow that was terminated while it waited for a semaphore
    of its own. So the phase is read together with the node of the entry template and with `spec.shutdown`.

    Args:
        workflow: the Workflow, from the cluster or from the archive.
    """
    status = workflow.get("status", {})
    own = str(status.get("phase") or "")
    nodes = _nodes(status)
    if own in ("", "Running") and _lock(status):
        return "Pending"
    if own != "Succeeded" or nodes is None:
        return own
    main = str(nodes.get(workflow.get("metadata", {}).get("name"), {}).get("phase") or "")
    if main in ("Failed", "Error"):
        return main
    if main != "Succeeded" and _shutdown(workflow):
        return "Failed"
    return "Skipped" if _skipped(nodes) else own


def message(workflow: Mapping[str, Any]) -> str:
    """Return in one line why a run failed or was skipped, or what it waits for; empty if none of that.

    If a step failed, Argo's message on the Workflow says only that. The reason is in the step's own message.

    Args:
        workflow: the Workflow, from the cluster or from the archive.
    """
    if reason := why_ended(workflow):
        return reason
    status = workflow.get("status", {})
    own = one_line(status.get("message") or "")
    pods = [node for node in (_nodes(status) or {}).values() if node.get("type") == "Pod"]
    state = phase(workflow)
    if state == "Skipped":
        return "skipped by the schedule: as many runs as may were active"
    if state in ("Failed", "Error"):
        failed = [pod for pod in pods if pod.get("phase") in ("Failed", "Error") and pod.get("message")]
        if failed and (not own or _CHILD.fullmatch(own)):
            last = max(failed, key=lambda pod: str(pod.get("finishedAt") or ""))
            return f"{_name(last)}: {reasons.of_node(str(last['message']))}"
        shutdown = _shutdown(workflow)
        stopped = f"Stopped with strategy '{shutdown}'" if shutdown else ""
        return own or stopped or _late(status) or _not_begun(status)
    if lock := _lock(status):
        return _turn(lock)
    told = [pod for pod in pods if pod.get("message") not in (None, "", *_STARTING)]
    waiting = [pod for pod in told if pod.get("phase") == "Pending"]
    if not own and waiting:
        return f"{_name(waiting[0])} waits: {one_line(waiting[0]['message'])}"
    return own


def why_ended(workflow: Mapping[str, Any]) -> str:
    """Return why `pods.controller` has ended a run, whose pods could not start; empty if it has not."""
    annotations = workflow.get("metadata", {}).get("annotations") or {}
    return one_line(annotations.get(ANNOTATION_REASON) or "")


def nodes(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes of a Workflow by id; none if only Argo's database has them."""
    return _nodes(workflow.get("status") or {}) or {}


def steps(workflow: Mapping[str, Any]) -> str:
    """Return the finished pods of a run out of all so far, such as `3/4`; empty if there are none.

    Argo's own `progress` adds to the pods the elements that drivers tell it of.
    """
    pods = [node for node in (_nodes(workflow.get("status", {})) or {}).values() if node.get("type") == "Pod"]
    done = [pod for pod in pods if pod.get("phase") in ("Succeeded", "Skipped", "Omitted")]
    return f"{len(done)}/{len(pods)}" if pods else ""


def logs(workflow: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the logs that Argo has kept of a run's pods."""
    state = workflow.get("status", {})
    repository = (state.get("artifactRepositoryRef") or {}).get("artifactRepository") or {}
    bucket = (repository.get("s3") or {}).get("bucket", "")
    artifacts = [
        artifact
        for node in (_nodes(state) or {}).values()
        for artifact in (node.get("outputs") or {}).get("artifacts") or []
    ]
    keys = [(item.get("s3") or {}).get("key") for item in artifacts if item.get("name") == "main-logs"]
    # The node of an attempt and that of its retries have the same.
    return list(dict.fromkeys(f"s3://{bucket}/{key}" for key in keys if key))


def are_elsewhere(workflow: Mapping[str, Any]) -> bool:
    """Return whether Argo has put the nodes of a large Workflow into its database."""
    return _nodes(workflow.get("status", {})) is None


def queue(workflow: Mapping[str, Any]) -> str:
    """Return the semaphore that a run waits for, as `namespace/ConfigMap/name/key`; empty if for none."""
    match = re.match(r"^Waiting for (\S+) lock", _lock(workflow.get("status", {})))
    return match[1] if match else ""


def before(workflow: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Return how many runs are before one in its queue, at least and at most; None if it waits in none.

    Argo's order is that of the submissions, whose times are whole seconds: of runs that were submitted in the
    same second, any may be first.

    Args:
        workflow: the Workflow.
        others: the Workflows of its namespace, with or without it.
    """
    own = queue(workflow)
    if not own:
        return None
    name, moment = _key(workflow)
    waiting = [_key(other) for other in others if queue(other) == own]
    earlier = sum(other < moment for _, other in waiting)
    return earlier, earlier + sum(other == moment and who != name for who, other in waiting)


def _key(workflow: Mapping[str, Any]) -> tuple[str, str]:
    metadata = workflow.get("metadata", {})
    return str(metadata.get("name")), str(metadata.get("creationTimestamp"))


def _nodes(status: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a Workflow's nodes, compressed by Argo if many; None if only its database has them."""
    if packed := status.get("compressedNodes"):
        nodes: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return nodes
    if status.get("offloadNodeStatusVersion") and not status.get("nodes"):
        return None
    return dict(status.get("nodes") or {})


def _shutdown(workflow: Mapping[str, Any]) -> str:
    """Return `Stop` or `Terminate` if the run was ended by hand, else an empty text."""
    return str(workflow.get("spec", {}).get("shutdown") or "")


def _skipped(nodes: Mapping[str, Any]) -> bool:
    tasks = [node for node in nodes.values() if node.get("displayName") == SKIPPABLE]
    return any(node.get("phase") == "Skipped" for node in tasks)


def _lock(status: Mapping[str, Any]) -> str:
    """Return Argo's message about the semaphore that a run waits for; empty if it waits for none."""
    if status.get("phase") not in ("", None, "Pending", "Running"):
        return ""
    queued = [
        node
        for node in (_nodes(status) or {}).values()
        if (node.get("synchronizationStatus") or {}).get("waiting")
        and node.get("phase") in ("Pending", "Running")
    ]
    if queued:
        return one_line(queued[0].get("message") or queued[0]["synchronizationStatus"]["waiting"])
    own = one_line(status.get("message") or "")
    return own if _LOCK.search(own) else ""


def _turn(lock: str) -> str:
    """Return Argo's message about a semaphore in plain words."""
    if (match := _LOCK.search(lock)) is None:
        return f"waits for its turn: {lock}"
    whose = "the tenant's runs" if match[1] == TENANT_SEMAPHORE else f"the runs of {match[1]}"
    free, most = int(match[2]), int(match[3])
    return f"waits for its turn: {most - free} of at most {most} of {whose} are active"


def _late(status: Mapping[str, Any]) -> str:
    """Return the message of a run whose time was over before its turn came."""
    late = [node for node in (_nodes(status) or {}).values() if "deadline" in str(node.get("message"))]
    return "its time was over before its turn came (`ends_within`)" if late else ""


def _not_begun(status: Mapping[str, Any]) -> str:
    """Return why Argo could not begin a task of a run that failed without a pod; empty if it began all."""
    texts = [str(node.get("message")) for node in (_nodes(status) or {}).values()]
    return next((one_line(_TASK.sub("", text)) for text in texts if _TASK.match(text)), "")


def _name(node: Mapping[str, Any]) -> str:
    """Return a step's name without the attempt number that Argo appends."""
    return re.sub(r"\(\d+\)$", "", str(node.get("displayName", "a step")))


def shortfall(template: Manifest, quotas: Sequence[Manifest]) -> str:
    """Return why a run can never fit its namespace's quotas, with the sum; empty if it can or if unknown.

    A run needs at least its driver, with Argo's container in the same pod, its scheduler and one worker.

    Args:
        template: the WorkflowTemplate, whose steps pass the sizes of the pods to the scaler.
        quotas: the namespace's ResourceQuotas.
    """
    from kubernetes.utils import parse_quantity

    from lightwork.tenants import fit

    for sizes in _runs(template):
        for resource, names in _HARD.items():
            parts = (
                dict.fromkeys(("driver", "scheduler", "worker"), "1")
                if resource == "pods"
                else {
                    **{role: sizes[role, kind] for role, kind in sizes if kind == resource},
                    "Argo": fit.ARGO.text(resource),
                }
            )
            needed = sum(parse_quantity(part) for part in parts.values())  # type: ignore[no-untyped-call]
            for quota in quotas:
                hard = quota.get("spec", {}).get("hard", {})
                for name in names:
                    if name in hard and needed > parse_quantity(hard[name]):  # type: ignore[no-untyped-call]
                        terms = " + ".join(f"{part} {role}" for role, part in parts.items())
                        return (
                            f"its pods never fit the quota {quota['metadata']['name']!r}:"
                            f" they need {resource} {terms}; the quota allows {hard[name]}"
                        )
    return ""


def _runs(template: Manifest) -> list[dict[tuple[str, str], str]]:
    """Return the sizes that each step of a template passes to the scaler, by role and resource."""
    runs = []
    for item in template.get("spec", {}).get("templates", []):
        steps = [step for group in item.get("steps", []) for step in group]
        for step in [*steps, *item.get("dag", {}).get("tasks", [])]:
            parameters = step.get("arguments", {}).get("parameters", [])
            sizes = {
                (match[1], match[2]): str(parameter["value"])
                for parameter in parameters
                if (match := _SIZES.match(parameter["name"])) and "{{" not in str(parameter.get("value"))
            }
            if sizes:
                runs.append(sizes)
    return runs
