"""Alert rules: what somebody should be told of. Pure; the expressions are Prometheus' own language.

A rule's labels say how urgent it is and that it is ours, by which Alertmanager sends it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests import certificates
from lightwork.manifests.base import manifest
from lightwork.tenants import quantities

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


API = "monitoring.coreos.com/v1"
RUNS = "argo_workflows_lightwork_runs_total"
"""Runs that have ended, by tenant, pipeline and status: the metric of the tenants' WorkflowTemplates."""
WORKFLOWS = "argo_workflows_gauge"
"""Workflows that there are, by status: Argo's own."""
TENANTS = 'namespace=~"tenant-.+"'
GRACE = 300
"""Seconds that a run's objects may take to go after its deadline."""
RENEWAL_DAYS = 3
"""The certificates are looked at every night, and renewed a month before they end."""


def _rule(name: str, expression: str, *, after: str, severity: str, says: str, todo: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity, "part_of": "lightwork"},
        "annotations": {"summary": says, "description": todo},
    }


def rules(namespace: str) -> Manifest:
    """The alerts of a cluster, whoever its tenants are.

    Args:
        namespace: where Prometheus is.
    """
    return {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": {
            "name": "lightwork",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
        },
        "spec": {
            "groups": [
                {"name": "lightwork-runs", "rules": _runs()},
                {"name": "lightwork-platform", "rules": _platform()},
            ]
        },
    }


def _runs() -> list[dict[str, Any]]:
    failed = f'{RUNS}{{status=~"Failed|Error"}}'
    waiting = (
        f'sum(kube_pod_status_phase{{phase="Pending",{TENANTS},pod=~".+-workers-.+"}}) by (namespace) > 0'
    )
    pending = f'sum(min_over_time({WORKFLOWS}{{status="Pending"}}[30m])) > 0'
    running = f'sum(max_over_time({WORKFLOWS}{{status="Running"}}[30m])) > 0'
    return [
        _rule(
            "RunFailed",
            # An increase does not see a series' first value, and a series begins with the first failure.
            f"sum(increase({failed}[15m])) by (tenant, pipeline) > 0"
            f" or (sum({failed}) by (tenant, pipeline) > 0"
            f" unless sum({failed} offset 15m) by (tenant, pipeline))",
            after="0m",
            severity="warning",
            says="A run of {{ $labels.pipeline }} of {{ $labels.tenant }} has failed",
            todo="`lightwork runs` names it, and `lightwork logs` shows why. A run that reached its"
            " deadline is among them.",
        ),
        _rule(
            "SemaphoresStuck",
            f"{pending} unless {running}",
            after="15m",
            severity="critical",
            says="Runs wait, and none is going on",
            todo="A semaphore is held by a run that is gone, or the archive does not answer: the controller's"
            " log says which. Restarted, it takes stock of who holds what anew.",
        ),
        _rule(
            "WorkersPending",
            waiting,
            after="20m",
            severity="warning",
            says="Workers of {{ $labels.namespace }} wait for a node",
            todo="`kubectl describe pod` says what for: no spot capacity in any zone, the group at its most,"
            " or an image that cannot be pulled.",
        ),
    ]


def _platform() -> list[dict[str, Any]]:
    controllers = (
        'kube_deployment_status_replicas_available{namespace="argo",deployment=~".*workflow-controller"}'
    )
    looked = f'{{{TENANTS},cronjob="{certificates.NAME}"}}'
    old = RENEWAL_DAYS * 86_400
    never = (
        f"time() - kube_cronjob_created{looked} > {old}"
        f" unless on (namespace, cronjob) kube_cronjob_status_last_successful_time{looked}"
    )
    return [
        _rule(
            "ArgoDown",
            f"sum({controllers}) < 1 or absent({controllers})",
            after="5m",
            severity="critical",
            says="No controller of Argo Workflows is at work",
            todo="No run starts and none ends. It does not start without the archive: see its log, and the"
            " alarm of the database.",
        ),
        _rule(
            "ArgoErrors",
            'increase(argo_workflows_log_messages{level="error"}[15m]) > 50',
            after="10m",
            severity="warning",
            says="Argo's controller meets error after error",
            todo="Often that is the archive, which has an alarm of its own: ended runs stay in the cluster"
            " until it is back.",
        ),
        _rule(
            "CertificateExpiry",
            f"time() - kube_cronjob_status_last_successful_time{looked} > {old} or ({never})",
            after="1h",
            severity="critical",
            says="Nobody has looked at the certificates of {{ $labels.namespace }} for three days",
            todo="They are renewed a month before they end; then no run of the tenant starts. See the CronJob"
            f" `{certificates.NAME}` in that namespace.",
        ),
    ]


def tenant_rules(tenant: Tenant) -> Manifest:
    """The alerts of a tenant's own pipelines: a run that is still there when its deadline is over.

    A run that meets its deadline is ended and has failed; this is for one that was not ended.
    """
    made = []
    for name, entry in tenant.pipelines.items():
        seconds = quantities.seconds(entry.deadline) + GRACE
        mine = f'kube_deployment_labels{{namespace="{tenant.namespace}",label_lightwork_pipeline="{name}"}}'
        rule = _rule(
            "RunOverItsDeadline",
            "time() - kube_deployment_created * on (namespace, deployment)"
            f" group_left (label_lightwork_pipeline) {mine} > {seconds}",
            after="5m",
            severity="critical",
            says=f"A run of {name} of {tenant.name} is past its deadline of {entry.deadline}",
            todo="Its Deployment {{ $labels.deployment }} is still there: `lightwork stop` its run, or delete"
            " its Workflow, which takes all that it owns.",
        )
        rule["labels"] |= {"tenant": tenant.name, "pipeline": name}
        made.append(rule)
    groups = [{"name": f"lightwork-{tenant.name}", "rules": made}]
    return manifest(API, "PrometheusRule", "pipelines", tenant, spec={"groups": groups})


def dask_monitor(namespace: str) -> Manifest:
    """Which pods of the tenants Prometheus asks: schedulers and workers, at their dashboard's port.

    Args:
        namespace: where Prometheus is.
    """
    taken = {
        "__meta_kubernetes_pod_label_lightwork_tenant": "tenant",
        "__meta_kubernetes_pod_label_lightwork_pipeline": "pipeline",
        "__meta_kubernetes_pod_label_lightwork_run": "run",
        "__meta_kubernetes_pod_label_lightwork_role": "role",
    }
    role = {"key": contract.LABEL_ROLE, "operator": "In", "values": ["scheduler", "worker"]}
    return {
        "apiVersion": API,
        "kind": "PodMonitor",
        "metadata": {
            "name": "dask",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
        },
        "spec": {
            "namespaceSelector": {"any": True},
            "selector": {"matchExpressions": [role]},
            "podMetricsEndpoints": [
                {
                    "port": "dashboard",
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": [
                        {"sourceLabels": [source], "targetLabel": label} for source, label in taken.items()
                    ],
                }
            ],
        },
    }
