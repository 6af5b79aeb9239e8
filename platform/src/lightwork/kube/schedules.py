"""The schedules of a tenant in a cluster: what they have fired, what is due, what is late, and why not."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Literal

from lightwork.errors import InputError, near, one_line
from lightwork.kube.contract import (
    ANNOTATION_BY_FILE,
    ANNOTATION_INTERVAL,
    ANNOTATION_NOTE,
    FIELD_MANAGER,
    LABEL_SUSPENDED,
    SUSPENDED,
)
from lightwork.kube.runs import Remote
from lightwork.tenants import firings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Schedule", "Schedules", "State", "interval_names", "read"]

State = Literal["on time", "not due yet", "suspended", "late", "missed", "never started", "broken"]
GRACE = dt.timedelta(seconds=90)
"""How long Argo may take to start a run: its controller may just be starting anew."""
_COUNTED = 1_000
"""The most missed firings that are counted."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as the cluster has it.

    Attributes:
        pipeline: the pipeline's name in the tenant's file.
        cron: five fields.
        zone: the time zone's name.
        state: whether it does what it should.
        why: what is wrong or why it is suspended, in one line; empty if it is on time.
        next: the next firing; None if it is suspended.
        last: the last firing for which Argo has started a run; None if there was none.
        run: the name of that run.
        note: why, by whom and when a person has suspended or resumed it last; empty if nobody has.
        by_file: the line of the tenant's file that suspends it; empty if none does.
        by_person: whether `suspend` has suspended it.
    """

    pipeline: str
    cron: str
    zone: str
    state: State
    why: str
    next: dt.datetime | None
    last: dt.datetime | None
    run: str
    note: str
    by_file: str = ""
    by_person: bool = False


def read(cron_workflow: Mapping[str, Any], now: dt.datetime) -> Schedule:
    """Return the state of a schedule from its CronWorkflow."""
    spec, metadata = cron_workflow["spec"], cron_workflow["metadata"]
    status = cron_workflow.get("status") or {}
    name, cron, zone = str(metadata["name"]), str(spec["schedules"][0]), str(spec.get("timezone") or "UTC")
    last = _moment(status.get("lastScheduledTime"))
    in_spec, note = bool(spec.get("suspend")), _note(metadata)
    by_person = (metadata.get("labels") or {}).get(LABEL_SUSPENDED) == SUSPENDED
    suspended = in_spec or by_person
    by_file = one_line((metadata.get("annotations") or {}).get(ANNOTATION_BY_FILE) or "") if in_spec else ""
    state, why = (
        ("suspended", f"{by_file} in the tenant's file" if by_file else note or "by hand, without a reason")
        if suspended
        else _punctual(cron_workflow, cron, zone, last, now)
    )
    return Schedule(
        name,
        cron,
        zone,
        state,  # type: ignore[arg-type]
        why,
        None if suspended else next(firings.after(cron, zone, now), None),
        last,
        # As Argo names the run of a firing.
        f"{name}-{last.timestamp():.0f}" if last else "",
        note,
        by_file,
        by_person,
    )


def _punctual(
    cron_workflow: Mapping[str, Any], cron: str, zone: str, last: dt.datetime | None, now: dt.datetime
) -> tuple[State, str]:
    """Return whether Argo has started the runs that were due, and what it says if not."""
    conditions = (cron_workflow.get("status") or {}).get("conditions") or []
    if said := [one_line(item.get("message") or "") for item in conditions if item.get("status") == "True"]:
        return "broken", f"Argo cannot start its runs: {said[0]}"
    since = _unchanged_since(cron_workflow["metadata"])
    seen = max(filter(None, (last, since)), default=since)
    due = _due(cron, zone, seen, now)
    if not due:
        return ("on time", "") if last else ("not due yet", "")
    deadline = dt.timedelta(seconds=int(cron_workflow["spec"].get("startingDeadlineSeconds") or 0))
    newest, count = due[-1], f"{len(due):,}{'' if len(due) < _COUNTED else ' or more'}"
    if now < newest + deadline and (last is not None):
        return "late", (
            f"due at {_shown(newest)}; Argo starts it until {_shown(newest + deadline)} if it comes back"
        )
    what = "firing" if len(due) == 1 else "firings"
    text = f"{count} {what} without a run since {_shown(due[0])}"
    return ("missed" if last else "never started"), text


def _due(cron: str, zone: str, since: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
    """Return the firings after a moment that should have started a run by now, up to _COUNTED."""
    until = (now - GRACE).astimezone(dt.UTC)
    due = takewhile(lambda moment: moment.astimezone(dt.UTC) < until, firings.after(cron, zone, since))
    return list(islice(due, _COUNTED))


def _unchanged_since(metadata: Mapping[str, Any]) -> dt.datetime:
    """Return when somebody has last changed the CronWorkflow's own fields, as by a deployment or `resume`.

    Argo does not catch up what was due before that.
    """
    times = [
        _moment(item.get("time"))
        for item in metadata.get("managedFields") or []
        if _is_change(item.get("fieldsV1") or {})
    ]
    known = [time for time in [_moment(metadata.get("creationTimestamp")), *times] if time is not None]
    return max(known, default=dt.datetime.min.replace(tzinfo=dt.UTC))


def _is_change(fields: Mapping[str, Any]) -> bool:
    """Return whether fields are those of a deployment, of `suspend`, or of `resume`, which leaves a note."""
    annotations = (fields.get("f:metadata") or {}).get("f:annotations") or {}
    return "f:spec" in fields or f"f:{ANNOTATION_NOTE}" in annotations


def _note(metadata: Mapping[str, Any]) -> str:
    """Return why a schedule was suspended or resumed last, in one line; empty if that is not noted."""
    text = (metadata.get("annotations") or {}).get(ANNOTATION_NOTE) or ""
    try:
        note = json.loads(text)
        return one_line(f"{note['reason']} ({note['by']}, {note['at']})")
    except (ValueError, TypeError, KeyError):
        return one_line(text)


def interval_names(template: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the parameters of a WorkflowTemplate that take a run's interval; None if it has none."""
    text = (template["metadata"].get("annotations") or {}).get(ANNOTATION_INTERVAL, "")
    start, comma, end = text.partition(",")
    return (start, end) if comma else None


def _moment(text: object) -> dt.datetime | None:
    return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC) if text else None


def _shown(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %z}"


class Schedules(Remote):
    """The schedules of a tenant, and its runs."""

    def schedules(self, now: dt.datetime | None = None) -> list[Schedule]:
        """Return all schedules of the tenant.

        Raises:
            InputError: there is no such tenant.
        """
        now = now or dt.datetime.now(dt.UTC)
        return [read(item, now) for item in self.cron_workflows()]

    def cron_workflows(self) -> list[dict[str, Any]]:
        """Return the tenant's CronWorkflows, by name."""
        items = self._request(
            "read the tenant's schedules", lambda: self._api.get(f"{self._argo}/cronworkflows")
        )["items"]
        if not items:
            self._find_tenant()
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def schedule(self, name: str, now: dt.datetime | None = None) -> Schedule:
        """Return one schedule.

        Raises:
            InputError: the tenant has no such pipeline, or it has no schedule.
        """
        found = {item.pipeline: item for item in self.schedules(now)}
        if name not in found:
            self.template(name)
            hint = near(name, found) if found else ""
            raise InputError(f"{name} has no schedule in the cluster{hint}")
        return found[name]

    def template(self, name: str) -> dict[str, Any]:
        """Return the WorkflowTemplate of a pipeline.

        Raises:
            InputError: the tenant has no such pipeline.
        """
        template: dict[str, Any] = self._template(name)
        return template

    def suspend(self, name: str, reason: str) -> bool:
        """Suspend a schedule; return whether it was not suspended before.

        Raises:
            InputError: there is no such schedule, or the tenant's file suspends it already.
        """
        was = self._changeable(name).state == "suspended"
        self._change(f"suspend {name}", name, reason, value=SUSPENDED)
        return not was

    def resume(self, name: str, reason: str) -> bool:
        """Let a schedule go on; return whether it was suspended.

        Raises:
            InputError: there is no such schedule, or the tenant's file suspends it.
        """
        found = self._changeable(name)
        was = found.state == "suspended"
        if was and not found.by_person:
            raise InputError(
                f"{name} is suspended in its own field, and not by `schedule suspend`; an administrator"
                f" resumes it: kubectl -n {self.namespace} patch cronworkflow {name} --type=merge"
                """ -p '{"spec":{"suspend":false}}'"""
            )
        if was:
            self._change(f"resume {name}", name, reason, value=None)
        return was

    def _changeable(self, name: str) -> Schedule:
        """Return a schedule that people may suspend and resume.

        Raises:
            InputError: there is no such schedule, or the tenant's file suspends it.
        """
        found = self.schedule(name)
        if found.by_file:
            raise InputError(
                f"{name} is suspended by the tenant's file ({found.by_file}): change the file, and have it"
                " deployed"
            )
        return found

    def _change(self, action: str, name: str, reason: str, *, value: str | None) -> None:
        """Send what `manifests.gate_schedules` lets through.

        Args:
            action: what it is, for messages.
            name: the schedule's name.
            reason: why.
            value: the value of the label; None deletes it.
        """
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        note = json.dumps({"by": self._me(), "at": now, "reason": reason}, ensure_ascii=False)
        body = {"metadata": {"labels": {LABEL_SUSPENDED: value}, "annotations": {ANNOTATION_NOTE: note}}}
        path = f"{self._argo}/cronworkflows/{name}"
        self._request(action, lambda: self._api.patch(path, body, fieldManager=FIELD_MANAGER))

    def _me(self) -> str:
        """Return the user as the cluster knows them."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = self._request("ask who I am", lambda: self._api.create(path, body))
        return str(answer["status"]["userInfo"].get("username") or "unknown")
