"""What is amiss in a tenant's namespace, and the command that mends each of it. Pure but for the reading."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.kube import queue, reasons, releases, status, stuck
from lightwork.kube.access import AwayError
from lightwork.kube.contract import ARGO_CONTROLLER, ARGO_CONTROLLERS, LABEL_RUN
from lightwork.kube.schedules import Schedules
from lightwork.kube.states import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lightwork.kube.schedules import Schedule

__all__ = ["Finding", "Namespace", "clock", "leftovers", "locks", "pending", "release", "schedules"]

GONE = dt.timedelta(minutes=5)
"""How long the pods of a run may stay after it: its logs can be read for a minute, and workers may retire."""
NEW = dt.timedelta(seconds=60)
"""How long a pod may be pending without a word."""
SKEW = 10.0
"""Seconds by which clocks may differ; the API's is known to the second, and an answer may take a while."""
_OVER = ("Succeeded", "Failed")
_ARGO = "argo"
"""The namespace of Argo's controller."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is amiss.

    Attributes:
        kind: leftover, lock, pending, schedule, drift, clock or version.
        what: what it is, in one line.
        mend: the command that mends it.
    """

    kind: str
    what: str
    mend: str


def leftovers(
    objects: Iterable[Mapping[str, Any]],
    workflows: Sequence[Mapping[str, Any]],
    namespace: str,
    now: dt.datetime,
) -> list[Finding]:
    """Return the objects of runs that have ended, or whose Workflow is gone, once for each run.

    Args:
        objects: pods, Deployments and Services, each with its kind.
        workflows: all Workflows of the namespace.
        namespace: the namespace.
        now: the current time.
    """
    by_name = {str(item["metadata"]["name"]): item for item in workflows}
    of_run: dict[str, list[str]] = {}
    for item in objects:
        run = stuck.run_of(item)
        over = (item.get("status") or {}).get("phase") in _OVER
        if run and not over and now - _created(item) > GONE and _is_over(by_name.get(run), now):
            of_run.setdefault(run, []).append(str(item["kind"]))
    return [
        Finding(
            "leftover",
            f"{run} {'has ended' if run in by_name else 'is gone'}, and left"
            f" {', '.join(f'{kinds.count(kind)} {kind}' for kind in dict.fromkeys(kinds))}",
            f"kubectl -n {namespace} delete deployments,services,pods -l {LABEL_RUN}={run}",
        )
        for run, kinds in of_run.items()
    ]


def _is_over(workflow: Mapping[str, Any] | None, now: dt.datetime) -> bool:
    if workflow is None:
        return True
    finished = (workflow.get("status") or {}).get("finishedAt")
    return status.phase(workflow) in ENDED and bool(finished) and now - _moment(finished) > GONE


def locks(workflows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return the places that ended runs hold, by what Argo has noted with those that wait for them."""
    active = {item["metadata"]["name"] for item in workflows if status.phase(item) not in ENDED}
    held: dict[tuple[str, str], str] = {}
    for item in workflows:
        name = str(item["metadata"]["name"])
        for holder in queue.holders(item):
            if holder not in active:
                held.setdefault((queue.waits_for(item), holder), name)
        if name not in active:
            held |= {(key.rpartition("/")[2], name): "" for key in queue.held(item)}
    return [
        Finding(
            "lock",
            f"{holder} has ended, and holds a place of {_whose(key)}"
            + (f": {who} waits for it" if who else ""),
            f"kubectl -n argo rollout restart deployment/{ARGO_CONTROLLER}",
        )
        for (key, holder), who in held.items()
    ]


def _whose(key: str) -> str:
    return "the tenant's runs" if key == "tenant" else f"the runs of {key}"


def pending(
    pods: Iterable[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], where: str, now: dt.datetime
) -> list[Finding]:
    """Return the pods that do not start, each with the reason.

    Args:
        pods: the pods of a namespace.
        events: its events.
        where: the options that name the environment and the tenant, for the commands.
        now: the current time.
    """
    findings = []
    for pod in pods:
        if (pod.get("status") or {}).get("phase") != "Pending" or now - _created(pod) < NEW:
            continue
        name, run = str(pod["metadata"]["name"]), stuck.run_of(pod)
        own = [item for item in events if (item.get("involvedObject") or {}).get("name") == name]
        reason = reasons.not_started(pod, own) or "it is being created, and nothing says what it waits for"
        minutes = (now - _created(pod)).total_seconds() / 60
        findings.append(
            Finding(
                "pending", f"{name} has waited for {minutes:.0f} min: {reason}", _start(reason, run, where)
            )
        )
    return findings


def _start(reason: str, run: str, where: str) -> str:
    """Return the command that ends the run that waits, or shows more of what belongs to no run."""
    if run and reason.startswith(("no node fits", "the image", "container")):
        return f"lightwork stop {run} {where}"
    return f"lightwork logs {run} {where}" if run else "kubectl get events --all-namespaces"


def schedules(found: Iterable[Schedule], where: str) -> list[Finding]:
    """Return the schedules that do not do what the tenant's file says; arguments as for `pending`."""
    mends = {
        "late": f"kubectl -n argo rollout status deployment/{ARGO_CONTROLLER}",
        "missed": "lightwork schedule now {} " + where,
        "never started": "lightwork schedule now {} " + where,
        "broken": f"kubectl -n argo logs -l {ARGO_CONTROLLERS} --since=1h --tail=-1",
        "suspended": "lightwork schedule resume {} " + where,
    }
    return [
        Finding(
            "schedule",
            f"{item.pipeline} is {item.state}: {item.why}",
            mends[item.state].format(item.pipeline),
        )
        for item in found
        if item.state in mends and not item.by_file
    ]


def clock(name: str, theirs: float, ours: float) -> list[Finding]:
    """Return whether another clock differs too much from this machine's.

    Args:
        name: whose clock it is.
        theirs: its time, in Unix seconds.
        ours: this machine's at the same moment.
    """
    if abs(theirs - ours) <= SKEW:
        return []
    direction = "behind" if theirs > ours else "ahead of"
    text = f"this machine's clock is {abs(theirs - ours):,.0f} s {direction} that of {name}"
    return [Finding("clock", text, "sudo timedatectl set-ntp true")]


def release(environment: str, what: str, is_new: bool) -> Finding:
    """Return the finding of a version that this release does not work with.

    Args:
        environment: the environment.
        what: what is wrong, in one line.
        is_new: whether the cluster is newer than this release, and not older.
    """
    up = f"lightwork-estate up --env {environment} --estate"
    return Finding("version", what, "git pull && make setup" if is_new else up)


def _created(item: Mapping[str, Any]) -> dt.datetime:
    return _moment(item["metadata"]["creationTimestamp"])


def _moment(text: object) -> dt.datetime:
    return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC)


class Namespace(Schedules):
    """A tenant's namespace as far as the user may see it.

    Attributes:
        unseen: what could not be looked at, and why, in one line each.
    """

    def __init__(self, environment: str, tenant: str, context: str | None = None) -> None:
        super().__init__(environment, tenant, context)
        self.unseen: list[str] = []

    def findings(self, where: str, now: dt.datetime | None = None) -> list[Finding]:
        """Return what is amiss; `unseen` has what could not be looked at."""
        now = now or dt.datetime.now(dt.UTC)
        workflows = self._seen("runs", self.workflows)
        pods = self._seen("pods", lambda: self._listed("Pod", f"{self._core}/pods"))
        events = self._seen("events", lambda: self._listed("Event", f"{self._core}/events"))
        apps = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        deployments = self._seen("Deployments", lambda: self._listed("Deployment", apps))
        services = self._seen("Services", lambda: self._listed("Service", f"{self._core}/services"))
        found = self._seen("schedules", lambda: self.schedules(now))
        findings = [*pending(pods or [], events or [], where, now), *schedules(found or [], where)]
        if workflows is not None:  # else every run would seem to be gone
            objects = [*(pods or []), *(deployments or []), *(services or [])]
            findings += [*leftovers(objects, workflows, self.namespace, now), *locks(workflows)]
        return [*findings, *self._clock(), *self._releases(pods or [])]

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind: WorkflowTemplate, CronWorkflow or ResourceQuota."""
        paths = {
            "WorkflowTemplate": f"{self._argo}/workflowtemplates",
            "CronWorkflow": f"{self._argo}/cronworkflows",
            "ResourceQuota": f"{self._core}/resourcequotas",
        }
        return self._listed(kind, paths[kind])

    def _clock(self) -> list[Finding]:
        try:
            sent = time.time()
            theirs = self._api.clock()
        except OSError as error:
            self.unseen.append(f"the cluster's clock: {error}")
            return []
        return clock("the cluster", theirs, (sent + time.time()) / 2) if theirs else []

    def _releases(self, pods: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """Return whether Kubernetes and Argo are of versions that this release works with."""
        answer = self._request("read the cluster's version", lambda: self._api.get("/version"))
        found = {
            releases.KUBERNETES: releases.parse(answer.get("gitVersion")),
            releases.ARGO: self._argo_version() or releases.argo_of_pods(pods),
        }
        findings = []
        for supported, version in found.items():
            if version is None:
                self.unseen.append(f"the version of {supported.name}: nothing that you may see tells it")
            elif problem := releases.problem(supported, version):
                findings.append(release(self.environment, *problem))
        return findings

    def _argo_version(self) -> releases.Version | None:
        """Return the version of Argo's controller; None for people of a tenant, who may not see it."""
        path = f"/apis/apps/v1/namespaces/{_ARGO}/deployments"
        try:
            items = self._request("list Argo's Deployments", lambda: self._api.get(path))["items"]
        except AwayError:
            raise
        except LightworkError:
            return None
        return releases.argo_of_controllers(items)

    def _listed(self, kind: str, path: str) -> list[dict[str, Any]]:
        items = self._request(f"list the {kind}s", lambda: self._api.get(path))["items"]
        return [{**item, "kind": kind} for item in items]

    def _seen(self, what: str, look: Callable[[], list[Any]]) -> list[Any] | None:
        """Return what there is to see; None if the user may not, which is noted."""
        try:
            return look()
        except AwayError:
            raise
        except LightworkError as error:
            self.unseen.append(f"{what}: {error}")
            return None
