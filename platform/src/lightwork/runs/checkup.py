"""What is amiss beyond a cluster itself: in a lake, and between a tenant's file and what is deployed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from lightwork.kube.checks import Finding, clock
from lightwork.lake.base import shown
from lightwork.manifests import namespace, workflows
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.lake import Lake
    from lightwork.tenants import Tenant

__all__ = ["clocks", "drift", "lost", "unfinished", "versions"]

COMPARED = ("WorkflowTemplate", "CronWorkflow", "ResourceQuota")
"""The kinds of objects that `drift` compares with a tenant's file."""
LEFT = 20
"""The most runs that are named, each in a line."""
_SILENT = 86_400.0
"""Seconds without a sign of life after which a writer has ended where no lock shows it."""


def clocks(opened: Lake) -> list[Finding]:
    """Return whether the lake's clock differs from this machine's."""
    return clock("the lake", opened.now(), time.time())


def unfinished(opened: Lake) -> list[Finding]:
    """Return what killed processes have left in a lake.

    Raises:
        LightworkError: the user may not list it.
    """
    now = opened.now()
    files = [item for item in opened.unfinished() if item.size and opened.is_abandoned(item, now, _SILENT)]
    if not files:
        return []
    total = sum(item.size for item in files) / 1e6
    what = f"{len(files):,} unfinished file{'' if len(files) == 1 else 's'}"
    text = f"{what} of processes that have ended ({total:,.1f} MB)"
    return [Finding("leftover", f"{text} in {shown(opened)}", "lightwork cache prune")]


def lost(found: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return the runs whose process is gone without having recorded its end."""
    return [
        Finding("leftover", f"{item['name']} has ended without a word", f"lightwork retry {item['name']}")
        for item in found
        if item["status"] == "lost"
    ][:LEFT]


def versions(newest: Mapping[str, Any] | None) -> list[Finding]:
    """Return whether this machine's versions differ from those of the newest run.

    Args:
        newest: its record; None if there is none.
    """
    theirs = (newest or {}).get("versions") or {}
    ours = {"lightwork": __version__, "python": _minor(sys.version_info)}
    mends = {"lightwork": "git pull && make setup", "python": "python{} -m venv .venv && make setup"}
    findings = []
    for name, version in ours.items():
        other = str(theirs.get(name) or "")
        other = _minor(other.split(".")) if name == "python" and other else other
        if newest and other not in ("", version):
            text = f"{name} is {version} here, and was {other} in {newest['name']}"
            findings.append(Finding("version", text, mends[name].format(other)))
    return findings


def _minor(version: Sequence[Any]) -> str:
    """Return the first two parts of a version, which a cluster and its clients share."""
    return ".".join(map(str, version[:2]))


def drift(
    tenant: Tenant,
    environment: str,
    deployed: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[Finding]:
    """Return the differences between a tenant's file and what is deployed of it.

    Args:
        tenant: the tenant as its file has it.
        environment: the environment that was looked at.
        deployed: WorkflowTemplates, CronWorkflows and ResourceQuotas of its namespace, by kind; a kind that
            cannot be read is missing.
    """
    mend = f"make up STACK={environment}.{tenant.name}"
    if environment not in tenant.environments:
        text = f"the file of {tenant.name} does not list {environment}, where its namespace is"
        return [Finding("drift", text, mend)]
    findings: list[str] = []
    if (templates := deployed.get("WorkflowTemplate")) is not None:
        findings += _names({str(item["metadata"]["name"]) for item in templates}, set(tenant.pipelines))
    findings += _schedules(tenant, deployed.get("CronWorkflow"))
    for quota in deployed.get("ResourceQuota") or ():
        wanted = namespace.quota(tenant)
        if quota["metadata"]["name"] == wanted["metadata"]["name"]:
            hard = [
                {key: _amount(value) for key, value in item["spec"]["hard"].items()}
                for item in (wanted, quota)
            ]
            findings += _fields("the quota", *hard)
    return [Finding("drift", text, mend) for text in findings]


def _amount(text: object) -> str:
    """Return an amount in one form, whichever Kubernetes has chosen."""
    from kubernetes.utils import parse_quantity

    return f"{parse_quantity(text).normalize():f}"  # type: ignore[no-untyped-call]


def _names(there: set[str], wanted: set[str]) -> list[str]:
    return [
        *(f"the pipeline {name} is in the file, and not deployed" for name in sorted(wanted - there)),
        *(f"the pipeline {name} is deployed, and not in the file" for name in sorted(there - wanted)),
    ]


def _schedules(tenant: Tenant, deployed: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if deployed is None:
        return []
    there = {str(item["metadata"]["name"]): item for item in deployed}
    lines = []
    for name, entry in tenant.pipelines.items():
        wanted = workflows.cron_workflow(tenant, name)
        if wanted is None and name in there:
            lines.append(f"{name} has a schedule in the cluster, and none in the file")
        elif wanted is not None and name not in there:
            lines.append(f"the schedule of {name} ({entry.schedule}) is not deployed")
        elif wanted is not None:
            lines += _fields(f"the schedule of {name}", _of_schedule(wanted), _of_schedule(there[name]))
    return lines


def _of_schedule(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the tenant's file says of a schedule; what people have suspended has a label alone."""
    spec = item["spec"]
    fields = {key: spec.get(key) for key in ("schedules", "timezone", "startingDeadlineSeconds")}
    return {**fields, "suspend": bool(spec.get("suspend"))}


def _fields(what: str, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    return [
        f"{what}: {key} is {there.get(key)!r} in the cluster, and {value!r} by the file"
        for key, value in wanted.items()
        if there.get(key) != value
    ]
