"""What Argo's objects say, in words for people: why a run failed, what it waits for, whether it can fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

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
"""The names that a ResourceQuota may use for what a run needs."""


def message(status: Mapping[str, Any]) -> str:
    """What happened to a run, or what it waits for, in one line; empty if there is nothing to say.

    Argo's own message of a run whose step failed is that a step failed. What the step said is in the step.

    Args:
        status: of the Workflow.
    """
    own = _line(status.get("message"))
    pods = [node for node in status.get("nodes", {}).values() if node.get("type") == "Pod"]
    if status.get("phase") in ("Failed", "Error"):
        failed = [pod for pod in pods if pod.get("phase") in ("Failed", "Error") and pod.get("message")]
        if failed and (not own or _CHILD.fullmatch(own)):
            last = max(failed, key=lambda pod: str(pod.get("finishedAt") or ""))
            return f"{_name(last)}: {_MAIN.sub('', _line(last['message']))}"
        return own
    waiting = [pod for pod in pods if pod.get("phase") == "Pending" and pod.get("message")]
    if not own and waiting:
        return f"{_name(waiting[0])} waits: {_line(waiting[0]['message'])}"
    return own


def _name(node: Mapping[str, Any]) -> str:
    """A step's name, without the number of the try."""
    return re.sub(r"\(\d+\)$", "", str(node.get("displayName", "a step")))


def _line(text: object) -> str:
    return " ".join(str(text or "").split())


def shortfall(template: Manifest, quotas: Sequence[Manifest]) -> str:
    """Why a run can never fit its namespace's quotas, with the sum; empty if it can, or nothing is known.

    A run needs at least its driver, with Argo's container beside it, its scheduler and one worker at once.

    Args:
        template: the WorkflowTemplate; its steps hand the sizes of the pods to the scaler.
        quotas: the namespace's ResourceQuotas.
    """
    from kubernetes.utils import parse_quantity

    from lightwork.tenants import fit

    for sizes in _runs(template):
        for what, names in _HARD.items():
            parts = (
                dict.fromkeys(("driver", "scheduler", "worker"), "1")
                if what == "pods"
                else {
                    **{role: sizes[role, what] for role, kind in sizes if kind == what},
                    "Argo": fit.ARGO.text(what),
                }
            )
            needed = sum(parse_quantity(part) for part in parts.values())  # type: ignore[no-untyped-call]
            for quota in quotas:
                hard = quota.get("spec", {}).get("hard", {})
                for name in names:
                    if name in hard and needed > parse_quantity(hard[name]):  # type: ignore[no-untyped-call]
                        terms = " + ".join(f"{part} {role}" for role, part in parts.items())
                        return (
                            f"its pods do not fit the quota {quota['metadata']['name']!r}: {what}: {terms};"
                            f" allowed is {hard[name]}"
                        )
    return ""


def _runs(template: Manifest) -> list[dict[tuple[str, str], str]]:
    """The sizes that each of a template's scaled pipelines hands to the scaler, by role and kind."""
    found = []
    for item in template.get("spec", {}).get("templates", []):
        steps = [step for group in item.get("steps", []) for step in group]
        for step in [*steps, *item.get("dag", {}).get("tasks", [])]:
            given = step.get("arguments", {}).get("parameters", [])
            sizes = {
                (match[1], match[2]): str(parameter["value"])
                for parameter in given
                if (match := _SIZES.match(parameter["name"])) and "{{" not in str(parameter.get("value"))
            }
            if sizes:
                found.append(sizes)
    return found
