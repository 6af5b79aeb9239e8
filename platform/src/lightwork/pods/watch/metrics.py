"""The metrics of pipelines, in Prometheus' text format.

All are gauges and counters of what is, or of what was counted elsewhere; none begins anew with this process.
A pipeline has each of them from its deployment on, so that the first failure of all is a change.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from lightwork.pods.watch.gathering import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightwork.pods.watch.gathering import Figures, Tenant

START = "lightwork_"
LATE = ("late", "missed", "never started", "broken", "unreadable")
"""The states of a schedule that does not do what it should; see `lightwork schedule`."""
HELP = {
    "pipeline_failing": ("gauge", "1 if the last run that succeeded or failed has failed"),
    "pipeline_outcome": ("gauge", "The last run that succeeded or failed, and its error, as labels"),
    "pipeline_last_success_seconds": ("gauge", "When the last success ended, in seconds since 1970"),
    "pipeline_last_success_duration_seconds": ("gauge", "How long it took once it was its turn"),
    "pipeline_usual_seconds": ("gauge", "The median of that over the last successes"),
    "pipeline_runs": ("gauge", "Runs that have not ended, by state: running or waiting"),
    "pipeline_longest_seconds": ("gauge", "For how long the oldest of them runs or waits; 0 without one"),
    "pipeline_longest": ("gauge", "The oldest of them, as a label"),
    "pipeline_ended_total": ("counter", "Runs that have ended, by how they ended"),
    "pipeline_spend_dollars": ("gauge", "What its workers have cost this month, at list prices"),
    "schedule_late": ("gauge", "1 if a run that was due has not been started"),
    "schedule_state": ("gauge", "What is wrong with the schedule, as labels"),
    "schedule_suspended": ("gauge", "1 if the schedule is suspended"),
    "schedule_next_seconds": ("gauge", "The next firing, in seconds since 1970"),
    "schedule_last_seconds": ("gauge", "The last firing that has started a run, in seconds since 1970"),
    "schedule_interval_seconds": ("gauge", "The time between the next two firings"),
    "tenant_budget_dollars": ("gauge", "The tenant's budget for a month"),
    "tenant_certificate_end_seconds": ("gauge", "When the tenant's certificate ends, in seconds since 1970"),
    "tenant_figures_seconds": ("gauge", "When the tenant's figures were last written, in seconds since 1970"),
    "watch_seconds": ("gauge", "When the figures of all tenants were last read, in seconds since 1970"),
    "watch_unread": ("gauge", "Tenants whose figures could not be read"),
}
"""The type and the meaning of each metric."""

Sample = tuple[str, dict[str, str], float | None]
"""A metric's name, its labels and its value; None is left out."""


def text(tenants: Iterable[Tenant], now: float, unread: int = 0) -> str:
    """Return the metrics of some tenants.

    Args:
        tenants: what they have left.
        now: the time when it was read (Unix seconds).
        unread: the number of tenants whose figures could not be read.
    """
    samples = [sample for tenant in tenants for sample in _of_tenant(tenant, now)]
    samples += [("watch_seconds", {}, now), ("watch_unread", {}, float(unread))]
    lines = []
    for name, (kind, meaning) in HELP.items():
        lines += [f"# HELP {START}{name} {meaning}", f"# TYPE {START}{name} {kind}"]
        lines += [_line(sample) for sample in samples if sample[0] == name and sample[2] is not None]
    return "\n".join([*lines, ""])


def _line(sample: Sample) -> str:
    name, labels, value = sample
    pairs = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    return f"{START}{name}{{{pairs}}} {value!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _of_tenant(tenant: Tenant, now: float) -> Iterator[Sample]:
    own = {"tenant": tenant.name}
    yield "tenant_budget_dollars", own, tenant.budget
    yield "tenant_certificate_end_seconds", own, tenant.certificate
    yield "tenant_figures_seconds", own, tenant.updated
    for name, figures in tenant.pipelines.items():
        labels = {**own, "pipeline": name}
        yield from _of_outcome(labels, figures)
        yield from _of_runs(labels, figures, now)
        yield "pipeline_spend_dollars", labels, _spend(figures, now)
        if figures.has("schedule"):
            yield from _of_schedule(labels, figures)


def _of_outcome(labels: dict[str, str], figures: Figures) -> Iterator[Sample]:
    failing = figures.text("last", "status") in ("failed", "lost")
    yield "pipeline_failing", labels, float(failing)
    if figures.has("last"):
        about = {
            "run": figures.text("last", "run"),
            "status": figures.text("last", "status"),
            "error": figures.text("last", "error"),
        }
        yield "pipeline_outcome", {**labels, **about}, 1.0
    yield "pipeline_last_success_seconds", labels, figures.number("succeeded")
    yield "pipeline_last_success_duration_seconds", labels, figures.number("seconds")
    yield "pipeline_usual_seconds", labels, figures.number("usual")
    for status in STATUSES:
        count = figures.number("ended", status)
        yield "pipeline_ended_total", {**labels, "status": status}, 0.0 if count is None else count


def _of_runs(labels: dict[str, str], figures: Figures, now: float) -> Iterator[Sample]:
    for state in ("running", "waiting"):
        since = figures.number(state, "since")
        own = {**labels, "state": state}
        yield "pipeline_runs", own, figures.number(state, "runs") or 0.0
        yield "pipeline_longest_seconds", own, 0.0 if since is None else max(0.0, now - since)
        if run := figures.text(state, "run"):
            yield "pipeline_longest", {**own, "run": run}, 1.0


def _spend(figures: Figures, now: float) -> float | None:
    """Return what was spent in this month; that of an earlier one is over."""
    month = f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y-%m}"
    spend = figures.number("spend")
    return spend if spend is None or figures.text("month") == month else 0.0


def _of_schedule(labels: dict[str, str], figures: Figures) -> Iterator[Sample]:
    state = figures.text("schedule", "state")
    late = state in LATE
    yield "schedule_late", labels, float(late)
    if late:
        about = {"state": state, "why": figures.text("schedule", "why")}
        yield "schedule_state", {**labels, **about}, 1.0
    yield "schedule_suspended", labels, float(bool(figures.flag("schedule", "suspended")))
    for name in ("next", "last", "interval"):
        yield f"schedule_{name}_seconds", labels, figures.number("schedule", name)
