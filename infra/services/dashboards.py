"""Grafana's dashboards as code: the runs of each tenant, and the inside of one Dask run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.services.alerts import TENANTS
from infra.services.charts.monitoring import DASHBOARD_LABEL

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest


SOURCE = {"type": "prometheus", "uid": "prometheus"}
"""The data source that kube-prometheus-stack creates."""
SCHEMA = 41
"""The version of Grafana's dashboard model; newer Grafanas migrate older ones."""
COLUMNS, HEIGHT = 24, 8
SELECTED = f'{TENANTS},namespace=~"tenant-($tenant)"'
ENDED = "lightwork_pipeline_ended_total"


def config_maps(namespace: str) -> list[Manifest]:
    """Build a ConfigMap for each dashboard; Grafana's sidecar finds them by their label."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"dashboard-{board['uid']}",
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "lightwork", DASHBOARD_LABEL: "1"},
            },
            "data": {f"{board['uid']}.json": json.dumps(board, indent=1, sort_keys=True)},
        }
        for board in (runs(), dask_run())
    ]


def runs() -> dict[str, Any]:
    """Build the dashboard of runs by tenant: outcomes, durations, what waits, use of quota and budget."""
    tenant = 'tenant=~"$tenant"'
    failing = (
        f"lightwork_pipeline_failing{{{tenant}}} * on (tenant, pipeline) group_left (run, error)"
        f" lightwork_pipeline_outcome{{{tenant}}} == 1"
    )
    spend = (
        f"sum(lightwork_pipeline_spend_dollars{{{tenant}}}) by (tenant)"
        f" / max(lightwork_tenant_budget_dollars{{{tenant}}}) by (tenant)"
    )
    legend = "{{tenant}} {{pipeline}}"
    return _board(
        "lightwork-runs",
        "Runs by tenant",
        [_variable("tenant", "label_values(lightwork_pipeline_failing, tenant)")],
        [
            _panel("Runs that ended well, a day", "stat", [(_ended(tenant, "succeeded"), "succeeded")]),
            _panel("Runs that failed, a day", "stat", [(_ended(tenant, "failed|lost"), "failed")]),
            _panel(
                "Pipelines that fail",
                "table",
                [(failing, "{{tenant}} {{pipeline}} {{run}} {{error}}")],
            ),
            _panel(
                "Runs by how they ended",
                "timeseries",
                [
                    (
                        f"sum(increase({ENDED}{{{tenant}}}[1h])) by (tenant, pipeline, status)",
                        "{{tenant}} {{pipeline}} {{status}}",
                    )
                ],
            ),
            _panel(
                "How long the last run took, and what is usual",
                "timeseries",
                [
                    (f"lightwork_pipeline_last_success_duration_seconds{{{tenant}}}", f"{legend} last"),
                    (f"lightwork_pipeline_usual_seconds{{{tenant}}}", f"{legend} usual"),
                ],
                unit="s",
            ),
            _panel(
                "Runs that run and wait",
                "timeseries",
                [(f"sum(lightwork_pipeline_runs{{{tenant}}}) by (tenant, state)", "{{tenant}} {{state}}")],
            ),
            _panel(
                "For how long the oldest one waits",
                "timeseries",
                [
                    (
                        f'max(lightwork_pipeline_longest_seconds{{{tenant},state="waiting"}}) by (tenant)',
                        "{{tenant}}",
                    )
                ],
                unit="s",
            ),
            _panel(
                "Until the next run of the schedule",
                "timeseries",
                [(f"lightwork_schedule_next_seconds{{{tenant}}} - time()", legend)],
                unit="s",
            ),
            _panel(
                "Share of the month's budget",
                "timeseries",
                [(spend, "{{tenant}}")],
                unit="percentunit",
            ),
            _panel(
                "Pods that wait",
                "timeseries",
                [
                    (
                        f'sum(kube_pod_status_phase{{phase="Pending",{SELECTED}}}) by (namespace)',
                        "{{namespace}}",
                    )
                ],
            ),
            _panel(
                "Share of the processors' quota",
                "timeseries",
                [(_share("requests.cpu"), "{{namespace}}")],
                unit="percentunit",
            ),
            _panel(
                "Share of the memory's quota",
                "timeseries",
                [(_share("requests.memory"), "{{namespace}}")],
                unit="percentunit",
            ),
        ],
    )


def dask_run() -> dict[str, Any]:
    """Build the dashboard of one run: its workers, tasks, memory, spilling and transfers."""
    run = 'tenant="$tenant",run=~"$run"'
    in_memory = f'dask_worker_memory_bytes{{{run},type!="spilled"}}'
    spills = f'dask_worker_spill_bytes_total{{{run},activity="disk-write"}}'
    limit = 'sum(kube_pod_container_resource_limits{resource="memory",container="worker"}) by (pod)'
    return _board(
        "lightwork-dask-run",
        "A Dask run",
        [
            _variable("tenant", "label_values(dask_scheduler_workers, tenant)", multi=False),
            _variable("run", 'label_values(dask_scheduler_workers{tenant="$tenant"}, run)'),
        ],
        [
            _panel(
                "Workers",
                "timeseries",
                [
                    (f"sum(dask_scheduler_workers{{{run}}}) by (run, state)", "{{run}} {{state}}"),
                    (f"sum(dask_scheduler_desired_workers{{{run}}}) by (run)", "{{run}} would be of use"),
                ],
            ),
            _panel(
                "Tasks",
                "timeseries",
                [(f"sum(dask_scheduler_tasks{{{run}}}) by (run, state)", "{{run}} {{state}}")],
            ),
            _panel(
                "Tasks at work on the workers",
                "timeseries",
                [(f'sum(dask_worker_tasks{{{run},state="executing"}}) by (run)', "{{run}}")],
            ),
            # Of workers, Dask counts only how many have left, also those that were not needed any more.
            _panel(
                "Tasks whose worker was lost, so far",
                "timeseries",
                [(f"sum(dask_scheduler_tasks_suspicious_total{{{run}}}) by (run)", "{{run}}")],
            ),
            _panel(
                "Memory of a worker, of what it may have",
                "timeseries",
                [
                    (
                        f"sum({in_memory}) by (pod) / on (pod) {limit}",
                        "{{pod}}",
                    )
                ],
                unit="percentunit",
            ),
            _panel(
                # A sum, as this counter does not exist before a worker spills: its first step has no rate.
                "Spilled to disk, so far",
                "timeseries",
                [(f"sum({spills}) by (run)", "{{run}}")],
                unit="bytes",
            ),
            _panel(
                "On disk at the moment",
                "timeseries",
                [(f'sum(dask_worker_memory_bytes{{{run},type="spilled"}}) by (run)', "{{run}}")],
                unit="bytes",
            ),
            _panel(
                "Between workers",
                "timeseries",
                [(f"sum(dask_worker_transfer_incoming_bytes{{{run}}}) by (run)", "{{run}}")],
                unit="bytes",
            ),
            _panel(
                "The scheduler's slowest tick",
                "timeseries",
                [(f"max(dask_scheduler_tick_duration_maximum_seconds{{{run}}}) by (run)", "{{run}}")],
                unit="s",
            ),
        ],
    )


def _ended(tenant: str, status: str) -> str:
    """Return the number of runs of a day that ended so; a pipeline has this counter from the start."""
    return f'sum(increase({ENDED}{{{tenant},status=~"{status}"}}[1d]))'


def _share(resource: str) -> str:
    selected = f'{SELECTED},resource="{resource}"'
    used, hard = (
        f'sum(kube_resourcequota{{{selected},type="{kind}"}}) by (namespace)' for kind in ("used", "hard")
    )
    return f"{used} / {hard}"


def _board(
    uid: str, title: str, variables: list[dict[str, Any]], panels: list[dict[str, Any]]
) -> dict[str, Any]:
    width = COLUMNS // 2
    for number, panel in enumerate(panels):
        panel["id"] = number + 1
        panel["gridPos"] = {"x": number % 2 * width, "y": number // 2 * HEIGHT, "w": width, "h": HEIGHT}
    return {
        "uid": uid,
        "title": title,
        "tags": ["lightwork"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }


def _variable(name: str, query: str, *, multi: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "allValue": ".+" if multi else None,
    }


def _panel(title: str, kind: str, queries: list[tuple[str, str]], *, unit: str = "short") -> dict[str, Any]:
    return {
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for number, (expression, legend) in enumerate(queries)
        ],
    }
