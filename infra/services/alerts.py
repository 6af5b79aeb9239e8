"""Alert rules, in PromQL. Pure.

A rule's labels give its severity and mark it as lightwork's; Alertmanager routes by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.config import accounts
from lightwork.kube import contract
from lightwork.manifests import certificates, controller
from lightwork.manifests.base import manifest
from lightwork.tenants import quantities

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


API = "monitoring.coreos.com/v1"
RUNS = "argo_workflows_lightwork_runs_total"
"""Finished runs by tenant, pipeline and status: the metric of the tenants' WorkflowTemplates."""
WORKFLOWS = "argo_workflows_gauge"
"""Existing workflows by status: Argo's own metric."""
TENANTS = 'namespace=~"tenant-.+"'
_CONTROLLERS = f"{controller.NAME}-[0-9a-z]+-[0-9a-z]+"
"""The pods of the tenants' controllers, which are there without any run."""
GRACE = 300
"""Seconds that a run's objects may take to disappear after its deadline."""
RENEWAL_DAYS = 3
"""Days without a successful check of the certificates before somebody is alerted.

They are checked every night and renewed a month before they expire.
"""


LOGIN_DAYS = 2
"""Days without a successful look at Argo's login to the archive, which is looked at every night."""

SAMPLES = 50_000
"""The most series of a tenant's pod; with more it is not scraped, so that it cannot fill Prometheus up.

Other targets have no limit: those of kube-state-metrics grow with the number of tenants.
"""


def _rule(
    name: str, expression: str, *, after: str, severity: str, summary: str, todo: str
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity, "part_of": "lightwork"},
        "annotations": {"summary": summary, "description": todo},
    }


def rules(namespace: str) -> Manifest:
    """Build the alerts of a cluster, independent of its tenants.

    Args:
        namespace: Prometheus' namespace.
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
    # To Argo, a run that waits for its turn is Running, but it has no pod.
    begun = f'sum(min_over_time({WORKFLOWS}{{status="Running"}}[30m])) > 0'
    pods = f'kube_pod_status_phase{{phase=~"Pending|Running",{TENANTS},pod!~".+-workers-.+|{_CONTROLLERS}"}}'
    at_work = f"sum(max_over_time({pods}[30m])) > 0"
    return [
        _rule(
            "RunFailed",
            # `increase` ignores a series' first value, and a series starts with the first failure.
            f"sum(increase({failed}[15m])) by (tenant, pipeline) > 0"
            f" or (sum({failed}) by (tenant, pipeline) > 0"
            f" unless sum({failed} offset 15m) by (tenant, pipeline))",
            after="0m",
            severity="warning",
            summary="A run of {{ $labels.pipeline }} of {{ $labels.tenant }} has failed",
            todo="`lightwork runs` names it, and `lightwork logs` shows why. A run that reached its"
            " deadline is among them.",
        ),
        _rule(
            "SemaphoresStuck",
            f"{begun} unless {at_work}",
            after="15m",
            severity="critical",
            summary="Runs wait, and none is going on",
            todo="A semaphore is held by a run that is gone, or the archive does not answer: the controller's"
            " log says which. Restarted, it takes stock of who holds what anew.",
        ),
        _rule(
            "WorkersPending",
            waiting,
            after="20m",
            severity="warning",
            summary="Workers of {{ $labels.namespace }} wait for a node",
            todo="`kubectl describe pod` says what for: no spot capacity in any zone, the group at its most,"
            " or an image that cannot be pulled.",
        ),
    ]


def _platform() -> list[dict[str, Any]]:
    controllers = (
        'kube_deployment_status_replicas_available{namespace="argo",deployment=~".*workflow-controller"}'
    )
    cron_job = f'{{{TENANTS},cronjob="{certificates.NAME}"}}'
    login = f'{{namespace="{accounts.ARCHIVE.namespace}",cronjob="{accounts.ARCHIVE.name}"}}'
    return [
        _rule(
            "ArgoDown",
            f"sum({controllers}) < 1 or absent({controllers})",
            after="5m",
            severity="critical",
            summary="No controller of Argo Workflows is at work",
            todo="No run starts and none ends. It does not start without the archive: see its log, and the"
            " alarm of the database.",
        ),
        _rule(
            "ArgoErrors",
            'increase(argo_workflows_log_messages{level="error"}[15m]) > 50',
            after="10m",
            severity="warning",
            summary="Argo's controller meets error after error",
            todo="Often that is the archive, which has an alarm of its own: ended runs stay in the cluster"
            " until it is back.",
        ),
        _rule(
            "RunsUnwatched",
            f'kube_deployment_status_replicas_available{{{TENANTS},deployment="{controller.NAME}"}} < 1',
            after="15m",
            severity="warning",
            summary="Nobody watches the runs of {{ $labels.namespace }}",
            todo="A run whose pods do not start keeps its place until its deadline, and runs without a driver"
            f" have no record. See the Deployment `{controller.NAME}` in that namespace.",
        ),
        _rule(
            "CertificateExpiry",
            _unsuccessful(cron_job, RENEWAL_DAYS),
            after="1h",
            severity="critical",
            summary="Nobody has looked at the certificates of {{ $labels.namespace }} for three days",
            todo="They are renewed a month before they end; then no run of the tenant starts. See the CronJob"
            f" `{certificates.NAME}` in that namespace.",
        ),
        _rule(
            "ArchiveLoginStuck",
            _unsuccessful(login, LOGIN_DAYS),
            after="1h",
            severity="warning",
            summary="Argo's login to the archive has not been rotated or checked for two days",
            todo="The login in use still works. The log of the last Job of the CronJob"
            f" `{accounts.ARCHIVE.name}` in `{accounts.ARCHIVE.namespace}` says what is missing;"
            " docs/restore.md says what to do.",
        ),
    ]


def _unsuccessful(cron_job: str, days: int) -> str:
    """Return the expression for a CronJob that has had no success for so many days, or never one."""
    limit = days * 86_400
    never = (
        f"time() - kube_cronjob_created{cron_job} > {limit}"
        f" unless on (namespace, cronjob) kube_cronjob_status_last_successful_time{cron_job}"
    )
    return f"time() - kube_cronjob_status_last_successful_time{cron_job} > {limit} or ({never})"


def tenant_rules(tenant: Tenant) -> Manifest:
    """Build the alerts of a tenant's pipelines: runs that still exist after their deadline.

    A run that reaches its deadline is stopped and fails; these alerts are for runs that were not stopped.
    """
    alerts = []
    for name, entry in tenant.pipelines.items():
        seconds = quantities.seconds(entry.deadline) + GRACE
        labels = f'kube_deployment_labels{{namespace="{tenant.namespace}",label_lightwork_pipeline="{name}"}}'
        rule = _rule(
            "RunOverItsDeadline",
            "time() - kube_deployment_created * on (namespace, deployment)"
            f" group_left (label_lightwork_pipeline) {labels} > {seconds}",
            after="5m",
            severity="critical",
            summary=f"A run of {name} of {tenant.name} is past its deadline of {entry.deadline}",
            todo="Its Deployment {{ $labels.deployment }} is still there: `lightwork stop` its run, or delete"
            " its Workflow, which takes all that it owns.",
        )
        rule["labels"] |= {"tenant": tenant.name, "pipeline": name}
        alerts.append(rule)
    groups = [{"name": f"lightwork-{tenant.name}", "rules": alerts}]
    return manifest(API, "PrometheusRule", "pipelines", tenant, spec={"groups": groups})


def dask_monitor(namespace: str) -> Manifest:
    """Build the monitor that lets Prometheus scrape schedulers and workers at their dashboard's port.

    Args:
        namespace: Prometheus' namespace.
    """
    labels = {
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
            "sampleLimit": SAMPLES,
            "podMetricsEndpoints": [
                {
                    "port": "dashboard",
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": [
                        {"sourceLabels": [source], "targetLabel": label} for source, label in labels.items()
                    ],
                }
            ],
        },
    }
