"""Grafana's dashboards as code: the runs of each tenant, and the inside of one Dask run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.services.alerts import RUNS, TENANTS, WORKFLOWS
from infra.services.charts.monitoring import DASHBOARD_LABEL

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest


SOURCE = {"type": "prometheus", "uid": "prometheus"}
"""The data source that kube-prometheus-stack creates."""
SCHEMA = 41
"""The version of Grafana's dashboard model; newer Grafanas migrate older ones."""
COLUMNS, HEIGHT = 24, 8
SELECTED = f'{TENANTS},namespace=~"tenant-($tenant)"'
RUN_SECONDS = "argo_workflows_lightwork_run_seconds"


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
    """Build the dashboard of runs by tenant: outcomes, durations, waiting pods, use of the quota."""
    tenant = 'tenant=~"$tenant"'
    durations = f"rate({RUN_SECONDS}_bucket{{{tenant}}}[1h])"
    return _board(
        "lightwork-runs",
        "Runs by tenant",
        [_variable("tenant", f"label_values({RUNS}, tenant)")],
        [
            _panel(
                "Runs that ended well, a day",
                "stat",
                [(f'sum(increase({RUNS}{{{tenant},status="Succeeded"}}[1d]))', "succeeded")],
            ),
            _panel(
                "Runs that failed, a day",
                "stat",
                [(f'sum(increase({RUNS}{{{tenant},status=~"Failed|Error"}}[1d]))', "failed")],
            ),
            _panel(
                "Runs by how they ended",
                "timeseries",
                [
                    (
                        f"sum(increase({RUNS}{{{tenant}}}[1h])) by (tenant, pipeline, status)",
                        "{{tenant}} {{pipeline}} {{status}}",
                    )
                ],
            ),
            _panel(
                "How long runs take (nine of ten)",
                "timeseries",
                [
                    (
                        f"histogram_quantile(0.9, sum({durations}) by (le, tenant, pipeline))",
                        "{{tenant}} {{pipeline}}",
                    )
                ],
                unit="s",
            ),
            _panel(
                "Workflows in the cluster", "timeseries", [(f"sum({WORKFLOWS}) by (status)", "{{status}}")]
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
            _panel(
                "Workers lost",
                "timeseries",
                [(f"sum(increase(dask_scheduler_workers_removed_total{{{run}}}[5m])) by (run)", "{{run}}")],
            ),
            _panel(
                "Memory of a worker, of what it may have",
                "timeseries",
                [
                    (
                        f"sum(dask_worker_memory_bytes{{{run}}}) by (pod) / on (pod) group_left {limit}",
                        "{{pod}}",
                    )
                ],
                unit="percentunit",
            ),
            _panel(
                "Spilled to disk",
                "timeseries",
                [(f"sum(rate(dask_worker_spill_bytes_total{{{run}}}[5m])) by (run)", "{{run}}")],
                unit="Bps",
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
