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

__all__ = ["drift", "lake", "versions"]

COMPARED = ("WorkflowTemplate", "CronWorkflow", "ResourceQuota")
"""The kinds of objects that `drift` compares with a tenant's file."""
LEFT = 20
"""The most runs that are named, each in a line."""
_SILENT = 86_400.0
"""Seconds without a sign of life after which a writer has ended where no lock shows it."""


def lake(opened: Lake) -> list[Finding]:
    """Return what killed processes have left in a lake, and whether its clock is right."""
    now = opened.now()
    files = [item for item in opened.unfinished() if item.size and opened.is_abandoned(item, now, _SILENT)]
    findings = clock("the lake", now, time.time())
    if files:
        total = sum(item.size for item in files) / 1e6
        text = f"{len(files):,} unfinished files of processes that have ended ({total:,.1f} MB)"
        findings.append(Finding("leftover", f"{text} in {shown(opened)}", "lightwork cache prune"))
    return findings


def lost(found: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return the runs whose process is gone without having recorded its end."""
    return [
        Finding("leftover", f"{item['name']} has ended without a word", f"lightwork runs {item['pipeline']}")
        for item in found
        if item["status"] == "lost"
    ][:LEFT]


def versions(newest: Mapping[str, Any] | None) -> list[Finding]:
    """Return whether this machine's versions differ from those of the newest run.

    Args:
        newest: its record; None if there is none.
    """
    theirs = (newest or {}).get("versions") or {}
    python = ".".join(map(str, sys.version_info[:2]))
    ours = {"lightwork": __version__, "python": python}
    mend = f"pip install lightwork=={theirs.get('lightwork')}" if theirs.get("lightwork") else "make setup"
    return [
        Finding(
            "version",
            f"{name} is {version} here, and was {theirs[name]} in {newest['name']}",
            mend
            if name == "lightwork"
            else f"python{'.'.join(str(theirs[name]).split('.')[:2])} -m venv .venv",
        )
        for name, version in ours.items()
        if newest
        and theirs.get(name)
        and ".".join(str(theirs[name]).split(".")[: version.count(".") + 1]) != version
    ]


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
    there = {str(item["metadata"]["name"]): item["spec"] for item in deployed}
    lines = []
    for name, entry in tenant.pipelines.items():
        wanted = workflows.cron_workflow(tenant, name)
        if wanted is None and name in there:
            lines.append(f"{name} has a schedule in the cluster, and none in the file")
        elif wanted is not None and name not in there:
            lines.append(f"the schedule of {name} ({entry.schedule}) is not deployed")
        elif wanted is not None:
            spec = {**wanted["spec"], "suspend": bool(wanted["spec"].get("suspend"))}
            names = ("schedules", "timezone", "suspend", "startingDeadlineSeconds")
            own = {key: spec.get(key) for key in names}
            lines += _fields(
                f"the schedule of {name}", own, {**there[name], "suspend": bool(there[name].get("suspend"))}
            )
    return lines


def _fields(what: str, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    return [
        f"{what}: {key} is {there.get(key)!r} in the cluster, and {value!r} by the file"
        for key, value in wanted.items()
        if there.get(key) != value
    ]
