"""Alert rules, in PromQL. Pure.

A rule's labels give its severity and mark it as lightwork's; Alertmanager routes by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.config import accounts
from infra.services import pipelines
from infra.services.pipelines import rule
from lightwork.manifests import certificates, controller, history
from lightwork.manifests.base import manifest
from lightwork.tenants import quantities

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


API = "monitoring.coreos.com/v1"
TENANTS = 'namespace=~"tenant-.+"'
SWITCH = "AlertsWork"
"""The alert that always fires; Alertmanager sends it to `lightwork.pods.watch` and to nobody else."""
PENDING = 1200
"""Seconds for which a worker may wait for a node."""
GRACE = 300
"""Seconds that a run's objects may take to disappear after its deadline."""
RENEWAL_DAYS = 3
"""Days without a successful check of the certificates before somebody is alerted.

They are checked every night and renewed a month before they expire.
"""


HISTORY_HOURS = 2
"""Hours without a success of a tenant's hourly history job before its alert is pending."""
LOGIN_DAYS = 2
"""Days without a successful look at Argo's login to the archive, which is looked at every night."""


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
                {"name": "lightwork-pipelines", "rules": pipelines.rules()},
                {"name": "lightwork-pods", "rules": _pods()},
                {"name": "lightwork-platform", "rules": _platform()},
                {"name": "lightwork-shipper", "rules": _shipper()},
                {"name": "lightwork-switch", "rules": [_switch()]},
            ]
        },
    }


def _pods() -> list[dict[str, Any]]:
    workers = f'{TENANTS},pod=~".+-workers-.+"'
    # A pod that has started is never Pending again: its age is the time that it has waited, after a gap too.
    waiting = (
        f"time() - kube_pod_created{{{workers}}} > {PENDING}"
        f' and on (namespace, pod) kube_pod_status_phase{{phase="Pending",{workers}}} == 1'
    )
    refused = f'kube_deployment_status_condition{{condition="ReplicaFailure",status="true",{TENANTS}}} == 1'
    return [
        rule(
            "WorkersPending",
            _with_tenant(f"count(count({waiting}) by (namespace, pod)) by (namespace)"),
            after="1m",
            severity="warning",
            summary="{{ $value }} workers of {{ $labels.tenant }} have waited for a node for 20 minutes",
            todo="`kubectl describe pod` says what for: no spot capacity in any zone, the group at its most,"
            " or an image that cannot be pulled. `lightwork queue` shows the runs.",
        ),
        rule(
            "PodsRefused",
            _with_tenant(f"max({refused}) by (namespace, deployment)"),
            after="10m",
            severity="warning",
            summary="Pods of {{ $labels.tenant }} are refused: {{ $labels.deployment }}",
            todo="The quota is used up, or a pod does not meet the namespace's rules:"
            " `kubectl describe replicaset` in {{ $labels.namespace }} says which.",
        ),
    ]


def _with_tenant(expression: str) -> str:
    """Return an expression with the tenant's name as a label, by which Alertmanager groups."""
    return f'label_replace({expression}, "tenant", "$1", "namespace", "tenant-(.+)")'


def _platform() -> list[dict[str, Any]]:
    controllers = (
        'kube_deployment_status_replicas_available{namespace="argo",deployment=~".*workflow-controller"}'
    )
    cron_job = f'{{{TENANTS},cronjob="{certificates.NAME}"}}'
    login = f'{{namespace="{accounts.ARCHIVE.namespace}",cronjob="{accounts.ARCHIVE.name}"}}'
    return [
        rule(
            "PodsUnseen",
            "absent(kube_pod_status_phase)",
            after="15m",
            severity="warning",
            summary="Nobody tells Prometheus about pods",
            todo="Alerts on waiting and refused pods, on controllers and on certificates cannot fire. See the"
            " pod of kube-state-metrics in `monitoring`.",
        ),
        rule(
            "ArgoDown",
            f"sum({controllers}) < 1 or absent(sum({controllers}))",
            after="5m",
            severity="critical",
            summary="No controller of Argo Workflows is at work",
            todo="No run starts and none ends. It does not start without the archive: see its log, and the"
            " alarm of the database.",
        ),
        rule(
            "ArgoErrors",
            'increase(argo_workflows_log_messages{level="error"}[15m]) > 50',
            after="10m",
            severity="warning",
            summary="Argo's controller meets error after error",
            todo="Often that is the archive, which has an alarm of its own: ended runs stay in the cluster"
            " until it is back.",
        ),
        rule(
            "RunsUnwatched",
            f'kube_deployment_status_replicas_available{{{TENANTS},deployment="{controller.NAME}"}} < 1',
            after="15m",
            severity="warning",
            summary="Nobody watches the runs of {{ $labels.namespace }}",
            todo="A run whose pods do not start keeps its place until its deadline, and runs without a driver"
            f" have no record. See the Deployment `{controller.NAME}` in that namespace.",
        ),
        rule(
            "CertificateExpiry",
            _unsuccessful(cron_job, RENEWAL_DAYS),
            after="1h",
            severity="critical",
            summary="Nobody has looked at the certificates of {{ $labels.namespace }} for three days",
            todo="They are renewed a month before they end; then no run of the tenant starts. See the CronJob"
            f" `{certificates.NAME}` in that namespace.",
        ),
        rule(
            "HistoryStuck",
            _hours_without_success(f'{TENANTS},cronjob="{history.NAME}"', HISTORY_HOURS),
            # Longer than the hour in which the job runs again after the cluster was away.
            after="75m",
            severity="warning",
            summary="The history of {{ $labels.namespace }} has not been packed for three hours",
            todo="`lightwork runs` and `lightwork cost` get slower, budgets and usual durations stay as they"
            " were. See the log of the last Job of the CronJob"
            f" `{history.NAME}` in that namespace.",
        ),
        rule(
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


def _shipper() -> list[dict[str, Any]]:
    """Return the alerts on Fluent Bit, whose counters begin with 0, and again in each new pod."""
    dropped, failed, retries = (
        f"sum(increase(fluentbit_output_{name}_total[15m]))"
        for name in ("dropped_records", "retries_failed", "retries")
    )
    return [
        rule(
            "ShipperDrops",
            f"{dropped} > 0 or {failed} > 0",
            after="0m",
            severity="critical",
            summary="Log lines are lost: Fluent Bit has dropped them",
            todo="OpenSearch refuses them, or was away for longer than a node's disk holds them. The log"
            " of the pod in `logging` that counts them says why; those of ended runs are in the lake.",
        ),
        rule(
            "ShipperRetries",
            f"{retries} > 0",
            after="30m",
            severity="warning",
            summary="Log lines wait on their nodes: OpenSearch has not taken them for half an hour",
            todo="See the alarms of the domain, and the log of the pods of Fluent Bit in `logging`.",
        ),
        rule(
            "ShipperDown",
            "absent(fluentbit_uptime)",
            after="15m",
            severity="critical",
            summary="No log shipper answers",
            todo="Logs stay on their nodes until the DaemonSet `fluent-bit` in `logging` is back; what a node"
            " deletes meanwhile is lost.",
        ),
    ]


def _switch() -> dict[str, Any]:
    """Return the alert that always fires: it says that alerts reach their receiver."""
    return rule(
        SWITCH,
        "vector(1)",
        after="0m",
        severity="none",
        summary="Alerts work",
        todo="Nothing to do: an alarm of CloudWatch goes off once this does not arrive any more.",
    )


def _unsuccessful(cron_job: str, days: int) -> str:
    """Return the expression for a CronJob that has had no success for so many days, or never one."""
    limit = days * 86_400
    never = (
        f"time() - kube_cronjob_created{cron_job} > {limit}"
        f" unless on (namespace, cronjob) kube_cronjob_status_last_successful_time{cron_job}"
    )
    return f"time() - kube_cronjob_status_last_successful_time{cron_job} > {limit} or ({never})"


def _hours_without_success(cron_job: str, hours: int) -> str:
    """Return the expression for a CronJob without a success for so many hours, unless it is suspended.

    The times are in the CronJob's own status, so no restart loses them. The last value of the past while
    counts, as in `pipelines`, so that a pause of what tells them neither ends nor repeats an alert.
    """
    where = "on (namespace, cronjob)"
    made, succeeded, suspended = (
        f"max(last_over_time(kube_cronjob_{name}{{{cron_job}}}[{pipelines.GAP}])) by (namespace, cronjob)"
        for name in ("created", "status_last_successful_time", "spec_suspend")
    )
    since = f"({succeeded} or {where} {made})"
    return f"time() - {since} > {hours * 3600} unless {where} ({suspended} == 1)"


def tenant_rules(tenant: Tenant) -> Manifest:
    """Build the alerts of a tenant's pipelines: runs that still exist after their deadline.

    A run that reaches its deadline is stopped and fails; these alerts are for runs that were not stopped.
    """
    alerts = []
    for name, entry in tenant.pipelines.items():
        seconds = quantities.seconds(entry.deadline) + GRACE
        labels = f'kube_deployment_labels{{namespace="{tenant.namespace}",label_lightwork_pipeline="{name}"}}'
        late = rule(
            "RunOverItsDeadline",
            "time() - kube_deployment_created * on (namespace, deployment)"
            f" group_left (label_lightwork_pipeline) {labels} > {seconds}",
            after="5m",
            severity="critical",
            summary=f"A run of {name} of {tenant.name} is past its deadline of {entry.deadline}",
            todo="Its Deployment {{ $labels.deployment }} is still there: `lightwork stop` its run, or delete"
            " its Workflow, which takes all that it owns.",
        )
        late["labels"] |= {"tenant": tenant.name, "pipeline": name}
        alerts.append(late)
    groups = [{"name": f"lightwork-{tenant.name}", "rules": alerts}]
    return manifest(API, "PrometheusRule", "pipelines", tenant, spec={"groups": groups})
