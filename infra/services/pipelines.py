"""Alerts on the metrics of pipelines, which `lightwork.pods.watch` exports. Pure.

The metrics are gauges of what the tenants' own processes know, and keep: nothing begins anew with a restart.
Each rule takes the last value of the past while, so that a pause of the exporter neither ends nor repeats an
alert. A run's name is in an alert's text and not among its labels: a pipeline that fails again is the same
alert, and nobody is told twice.
"""

from __future__ import annotations

from typing import Any

GAP = "1h"
"""For how long the last value counts, while no other comes."""
WAITING = 3600
"""Seconds for which a run may wait for its turn."""
STUCK = 1800
"""Seconds for which runs may wait while none of the tenant's runs is at work."""
SLOW, SLOW_BY = 3, 600
"""How many times as long as usual, and by how many seconds, a run must take for an alert."""
BUDGET_SHARE = 0.8
CERTIFICATE_DAYS = 14
"""Certificates are renewed with a month left."""
STALE = 1200
"""Seconds after which a tenant's figures are stale; they are written every five minutes."""
RUNBOOK = "docs/operating.md"
"""The page of this repository that has a section about each alert."""
_PIPELINE = ("tenant", "pipeline")
_WHERE = "{tenant='%s',pipeline='%s'%s}"


def rule(name: str, expression: str, *, after: str, severity: str, summary: str, todo: str) -> dict[str, Any]:
    """Build an alert; Alertmanager routes by its labels."""
    texts = {"summary": summary, "description": todo, "runbook": f"{RUNBOOK}#{name.lower()}"}
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity, "part_of": "lightwork"},
        "annotations": texts,
    }


def held(metric: str, *by: str, matchers: str = "", how: str = "max") -> str:
    """Return the expression for a metric's last value of the past while."""
    return f"{how}(last_over_time(lightwork_{metric}{{{matchers}}}[{GAP}])) by ({', '.join(by)})"


def told(metric: str, text: str, matchers: str = "") -> str:
    """Return a template that fills in labels of a pipeline's metric; nothing while there is none."""
    query = f'printf "lightwork_{metric}{_WHERE}" $labels.tenant $labels.pipeline "{matchers}" | query'
    return f"{{{{ with {query} }}}}{{{{ with . | first }}}}{text}{{{{ end }}}}{{{{ end }}}}"


def rules() -> list[dict[str, Any]]:
    """Build the alerts on pipelines, their schedules and their tenants."""
    return [*_outcomes(), *_turns(), *_tenants(), *_figures()]


def _outcomes() -> list[dict[str, Any]]:
    running = held("pipeline_longest_seconds", *_PIPELINE, matchers='state="running"')
    usual = held("pipeline_usual_seconds", *_PIPELINE)
    return [
        rule(
            "PipelineFailing",
            f"{held('pipeline_failing', *_PIPELINE)} == 1",
            after="0m",
            severity="warning",
            summary="{{ $labels.pipeline }} of {{ $labels.tenant }} fails"
            + told("pipeline_outcome", ": {{ .Labels.run }}: {{ .Labels.error }}"),
            todo="Look: `lightwork show "
            + told("pipeline_outcome", "{{ .Labels.run }}")
            + " --env ENV --tenant {{ $labels.tenant }}`, then `lightwork logs` of the same run; once mended,"
            " `lightwork retry`. This alert ends with the next run that succeeds.",
        ),
        rule(
            "ScheduleLate",
            f"{held('schedule_late', *_PIPELINE)} == 1",
            after="5m",
            severity="warning",
            summary="A run of {{ $labels.pipeline }} of {{ $labels.tenant }} was due and has not started"
            + told("schedule_state", ": {{ .Labels.state }}: {{ .Labels.why }}"),
            todo="Look: `lightwork schedule --env ENV --tenant {{ $labels.tenant }}`. `lightwork backfill`"
            " runs what was missed.",
        ),
        rule(
            "RunSlow",
            f"{running} > {SLOW} * {usual} and {running} - {usual} > {SLOW_BY}",
            after="1m",
            severity="warning",
            summary="A run of {{ $labels.pipeline }} of {{ $labels.tenant }} takes far longer than usual"
            + told("pipeline_longest", ": {{ .Labels.run }}", ",state='running'"),
            todo="Look: `lightwork show "
            + told("pipeline_longest", "{{ .Labels.run }}", ",state='running'")
            + " --env ENV --tenant {{ $labels.tenant }}` compares it with the last thirty.",
        ),
    ]


def _turns() -> list[dict[str, Any]]:
    waiting = held("pipeline_longest_seconds", "tenant", matchers='state="waiting"')
    at_work = held("pipeline_runs", *_PIPELINE, matchers='state="running"')
    return [
        rule(
            "RunsWaiting",
            f"{waiting} > {WAITING}",
            after="1m",
            severity="warning",
            summary="A run of {{ $labels.tenant }} has waited for its turn for"
            " {{ $value | humanizeDuration }}",
            todo="Look: `lightwork queue --env ENV --tenant {{ $labels.tenant }}` shows behind whom. Too many"
            " runs for the quota, or one that does not end.",
        ),
        rule(
            "SemaphoresStuck",
            f"{waiting} > {STUCK} and sum({at_work}) by (tenant) == 0",
            after="5m",
            severity="critical",
            summary="Runs of {{ $labels.tenant }} wait, and none is going on",
            todo="A semaphore is held by a run that is gone, or the archive does not answer: the log of"
            " Argo's controller says which. Restarted, it takes stock of who holds what anew.",
        ),
    ]


def _tenants() -> list[dict[str, Any]]:
    spend = f"sum({held('pipeline_spend_dollars', *_PIPELINE)}) by (tenant)"
    return [
        rule(
            "BudgetSpent",
            f"{spend} / {held('tenant_budget_dollars', 'tenant')} > {BUDGET_SHARE}",
            after="5m",
            severity="warning",
            summary="The workers of {{ $labels.tenant }} have used {{ $value | humanizePercentage }} of this"
            " month's budget",
            todo="At list prices, and without what AWS's own budget counts as well: storage, keys, logs."
            " Look: `lightwork cost --by pipeline --env ENV --tenant {{ $labels.tenant }}`.",
        ),
        rule(
            "CertificateEnds",
            f"{held('tenant_certificate_end_seconds', 'tenant', how='min')} - time()"
            f" < {CERTIFICATE_DAYS * 86_400}",
            after="1h",
            severity="critical",
            summary="The certificate of {{ $labels.tenant }} ends in {{ $value | humanizeDuration }}",
            todo="Then no run of the tenant starts. It should have been renewed with a month left: see the"
            " CronJob `certificates` in the tenant's namespace.",
        ),
    ]


def _figures() -> list[dict[str, Any]]:
    return [
        rule(
            "WatchDown",
            "absent(lightwork_watch_seconds) or time() - max(lightwork_watch_seconds) > 600",
            after="10m",
            severity="critical",
            summary="Nobody watches the pipelines of any tenant",
            todo="Until the Deployment `watch` in `monitoring` is back, no alert on pipelines begins or"
            " ends.",
        ),
        rule(
            "FiguresStale",
            f"time() - {held('tenant_figures_seconds', 'tenant')} > {STALE}",
            after="10m",
            severity="warning",
            summary="What is known of the pipelines of {{ $labels.tenant }} is not of today's state",
            todo="The Deployment `controller` in the tenant's namespace writes it every five minutes: see its"
            " log. Until then, alerts on the tenant's pipelines are neither new nor end.",
        ),
        rule(
            "FiguresUnread",
            "max(lightwork_watch_unread) > 0",
            after="1h",
            severity="warning",
            summary="The figures of {{ $value }} tenants cannot be read",
            todo="The log of the Deployment `watch` in `monitoring` names them: their stacks are of before"
            " these figures, or are not deployed to the end.",
        ),
    ]
