"""The values of kube-prometheus-stack: Prometheus, Alertmanager, Grafana and what they measure by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.services.charts.common import Place, Values, size

NAME = "monitoring"
ALERTMANAGER = "alertmanager"
"""Its service account, which EKS gives the right to publish alarms to."""
DASHBOARD_LABEL = "grafana_dashboard"
"""The label of the ConfigMaps that Grafana takes its dashboards from."""

UNSEEN = ("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy")
"""What EKS runs itself, or does not let be asked: their alerts would always fire."""
UNSEEN_RULES = (
    "etcd",
    "kubeControllerManager",
    "kubeProxy",
    "kubeSchedulerAlerting",
    "kubeSchedulerRecording",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringValues:
    """What differs between clusters.

    Attributes:
        retention_days: for how long metrics are kept.
        storage: the disk for them; the oldest go before it is full.
        storage_class: what makes the disk; None where metrics may go with the pod.
        region: where the alarms' topic is.
        topic_arn: the topic that alerts are published to; None if to nobody.
        place: the nodes that it runs on.
    """

    retention_days: int
    storage: str
    place: Place
    storage_class: str | None = None
    region: str | None = None
    topic_arn: str | None = None


def values(args: MonitoringValues) -> Values:
    """Everything with limits; nobody has a password, as nobody logs in."""
    place = args.place.values()
    return {
        "fullnameOverride": NAME,
        "crds": {"enabled": True},
        "defaultRules": {"create": True, "rules": dict.fromkeys(UNSEEN_RULES, False)},
        **{name: {"enabled": False} for name in UNSEEN},
        "prometheusOperator": {
            "resources": size("50m", "256Mi", cpu_limit="500m"),
            "prometheusConfigReloader": {"resources": size("10m", "64Mi", cpu_limit="100m")},
            "admissionWebhooks": {"patch": {"resources": size("10m", "64Mi", cpu_limit="100m"), **place}},
            **place,
        },
        "prometheus": {"prometheusSpec": _prometheus(args)},
        "alertmanager": {
            "serviceAccount": {"create": True, "name": ALERTMANAGER},
            "config": _routes(args),
            "alertmanagerSpec": {
                "replicas": 2,
                "retention": "120h",
                "resources": size("25m", "128Mi", cpu_limit="200m"),
                **place,
            },
        },
        "grafana": _grafana(args),
        "kube-state-metrics": {
            "resources": size("50m", "256Mi", cpu_limit="500m"),
            # By these the alerts know whose a run is. Labels of a run's own would be a series each, for ever.
            "metricLabelsAllowlist": [
                "deployments=[lightwork/tenant,lightwork/pipeline,lightwork/role]",
                "namespaces=[lightwork/tenant]",
            ],
            **place,
        },
        "prometheus-node-exporter": {
            "resources": size("25m", "64Mi", cpu_limit="250m"),
            "tolerations": [{"operator": "Exists"}],
        },
    }


def _prometheus(args: MonitoringValues) -> Values:
    found: dict[str, Any] = {
        "replicas": 1,
        "retention": f"{args.retention_days}d",
        "resources": size("500m", "4Gi", cpu_limit="2"),
        "walCompression": True,
        # Whatever monitors and rules there are, not just this chart's own.
        **{
            f"{kind}SelectorNilUsesHelmValues": False
            for kind in ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
        },
        # A tenant's pods cannot fill it: beyond this many series of one target, the target is left out.
        "enforcedSampleLimit": 50_000,
        "enableAdminAPI": False,
        **args.place.values(),
    }
    if args.storage_class is None:
        return found
    number = int(args.storage.removesuffix("Gi"))
    claim = {
        "storageClassName": args.storage_class,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": args.storage}},
    }
    return {
        **found,
        "retentionSize": f"{number * 9 // 10}GiB",
        "storageSpec": {"volumeClaimTemplate": {"spec": claim}},
    }


def _routes(args: MonitoringValues) -> Values:
    """Who is told: of our own alerts and of the critical ones, the topic; the rest is there to be seen."""
    receivers: list[dict[str, Any]] = [{"name": "nobody"}]
    routes: list[dict[str, Any]] = []
    if args.topic_arn:
        topic = {
            "topic_arn": args.topic_arn,
            "sigv4": {"region": args.region},
            "subject": "[{{ .Status }}] {{ .CommonLabels.alertname }} {{ .CommonLabels.tenant }}",
            "send_resolved": True,
        }
        receivers.append({"name": "topic", "sns_configs": [topic]})
        routes = [
            {"receiver": "topic", "matchers": ['part_of = "lightwork"']},
            {"receiver": "topic", "matchers": ['severity = "critical"']},
        ]
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "tenant", "pipeline"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": routes,
        },
        "receivers": receivers,
        "inhibit_rules": [],
    }


def _grafana(args: MonitoringValues) -> Values:
    """Dashboards to look at: no login, no administrator, and so no password; nothing is changed by hand.

    It has no address outside the cluster: `kubectl port-forward` is the way, for whom Kubernetes lets.
    """
    return {
        "enabled": True,
        "env": {"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true"},
        "grafana.ini": {
            "analytics": {"check_for_updates": False, "reporting_enabled": False},
            "auth": {"disable_login_form": True},
            "auth.basic": {"enabled": False},
            "auth.anonymous": {"enabled": True, "org_role": "Viewer"},
            "users": {"allow_sign_up": False},
            "security": {"disable_initial_admin_creation": True},
        },
        "persistence": {"enabled": False},
        "initChownData": {"enabled": False},
        "testFramework": {"enabled": False},
        "resources": size("100m", "512Mi", cpu_limit="500m"),
        "sidecar": {
            "resources": size("25m", "128Mi", cpu_limit="100m"),
            # Of this namespace alone: a tenant's ConfigMap is no dashboard. Nobody is there to ask Grafana to
            # read again; it looks at its files by itself.
            "dashboards": {
                "enabled": True,
                "label": DASHBOARD_LABEL,
                "labelValue": "1",
                "searchNamespace": NAME,
                "skipReload": True,
            },
            "datasources": {"enabled": True, "initDatasources": True, "skipReload": True},
        },
        **args.place.values(),
    }
