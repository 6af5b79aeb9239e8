"""Read from Argo's objects, for people, why a run failed, what it waits for, and whether it can ever fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.kube.contract import Manifest

_CHILD = re.compile(r"child '[^']*' failed")
_MAIN = re.compile(r"^main: Error \(exit code \d+\): ")
_SIZES = re.compile(r"^(driver|scheduler|worker)-(cpu|memory|storage)$")
_HARD = {
    "cpu": ("requests.cpu", "cpu"),
    "memory": ("requests.memory", "memory"),
    "storage": ("requests.ephemeral-storage", "ephemeral-storage"),
    "pods": ("pods", "count/pods"),
}
"""The names that a ResourceQuota may use for each resource."""


def message(status: Mapping[str, Any]) -> str:
    """Return in one line why a run failed or what it waits for; empty if neither.

    If a step failed, Argo's message on the Workflow says only that. The reason is in the step's own message.

    Args:
        status: the Workflow's `status`.
    """
    own = one_line(status.get("message") or "")
    pods = [node for node in status.get("nodes", {}).values() if node.get("type") == "Pod"]
    if status.get("phase") in ("Failed", "Error"):
        failed = [pod for pod in pods if pod.get("phase") in ("Failed", "Error") and pod.get("message")]
        if failed and (not own or _CHILD.fullmatch(own)):
            last = max(failed, key=lambda pod: str(pod.get("finishedAt") or ""))
            return f"{_name(last)}: {_MAIN.sub('', one_line(last['message']))}"
        return own
    waiting = [pod for pod in pods if pod.get("phase") == "Pending" and pod.get("message")]
    if not own and waiting:
        return f"{_name(waiting[0])} waits: {one_line(waiting[0]['message'])}"
    return own


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
