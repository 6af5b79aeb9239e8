"""The values of kube-prometheus-stack: Prometheus, Alertmanager, Grafana and their exporters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.services.charts.common import Placement, Values, size, spread

NAME = "monitoring"
ALERTMANAGER = "alertmanager"
"""Alertmanager's service account, whose role may publish alarms."""
SWITCH, SWITCH_URL = "AlertsWork", "http://watch.monitoring.svc:8080/alive"
"""The alert that always fires, and where it is sent; `infra.services.alerts` and `.watch` have both."""
REMEMBERED = "1440h"
"""For how long Alertmanager knows what it has sent: longer than any of its messages is not repeated."""
SILENCES = "1Gi"
"""The size of each Alertmanager's disk; it needs a few megabytes."""
DASHBOARD_LABEL = "grafana_dashboard"
"""The label of the ConfigMaps that Grafana reads its dashboards from."""

UNSEEN = ("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy")
"""Components that EKS runs itself or does not let Prometheus scrape: their alerts would always fire."""
UNSEEN_RULES = (
    "etcd",
    "kubeControllerManager",
    "kubeProxy",
    "kubeSchedulerAlerting",
    "kubeSchedulerRecording",
)

LOGIN_SECRET = "grafana-sso"  # noqa: S105  (its name)
"""The Secret with the identity provider's `client-id` and `client-secret`."""


MESSAGE = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "{{ with .Annotations.runbook }}More: {{ . }}\n{{ end }}\n{{ end }}"
    '{{ if eq .Status "resolved" }}This is over.{{ end }}'
)
"""The text of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How people log in to Grafana.

    Attributes:
        host: the page's host name.
        issuer: the URL of the identity provider, GitLab.
        groups: the groups whose members may look.
        claim: the claim of its tokens that lists the groups of a user.
    """

    host: str
    issuer: str
    groups: tuple[str, ...]
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringValues:
    """The values that differ between clusters.

    Attributes:
        retention_days: the days for which metrics are kept.
        storage: the size of their disk; the oldest metrics are dropped before it is full.
        placement: the nodes that it runs on.
        storage_class: the storage class of all disks; None to lose metrics and silences with the pods.
        region: the region of the alarms' topic.
        topic_arn: the topic that alerts are published to; None for none.
        login: how people log in to Grafana's page; None if it has no address outside the cluster.
    """

    retention_days: int
    storage: str
    placement: Placement
    storage_class: str | None = None
    region: str | None = None
    topic_arn: str | None = None
    login: Login | None = None


def values(args: MonitoringValues) -> Values:
    """Return the values: limits for every container, and no passwords, as nobody logs in."""
    placement = args.placement.values()
    return {
        "fullnameOverride": NAME,
        "crds": {"enabled": True},
        "defaultRules": {"create": True, "rules": dict.fromkeys(UNSEEN_RULES, False)},
        **{name: {"enabled": False} for name in UNSEEN},
        "prometheusOperator": {
            "resources": size("50m", "256Mi", cpu_limit="500m"),
            "prometheusConfigReloader": {"resources": size("10m", "64Mi", cpu_limit="100m")},
            "admissionWebhooks": {"patch": {"resources": size("10m", "64Mi", cpu_limit="100m"), **placement}},
            **placement,
        },
        "prometheus": {"prometheusSpec": _prometheus(args)},
        "alertmanager": {
            "serviceAccount": {"create": True, "name": ALERTMANAGER},
            "config": _routes(args),
            "alertmanagerSpec": {
                "replicas": 2,
                "podAntiAffinity": "soft",
                "topologySpreadConstraints": spread("alertmanager"),
                "retention": REMEMBERED,
                "resources": size("25m", "128Mi", cpu_limit="200m"),
                # Silences, and what has been sent already, outlast an update of the nodes.
                **({"storage": _volume(args.storage_class, SILENCES)} if args.storage_class else {}),
                **placement,
            },
        },
        "grafana": _grafana(args),
        "kube-state-metrics": {
            "resources": size("50m", "256Mi", cpu_limit="500m"),
            # Alerts take tenant and pipeline from these. A label per run would add series without end.
            "metricLabelsAllowlist": [
                "deployments=[lightwork/tenant,lightwork/pipeline,lightwork/role]",
                "namespaces=[lightwork/tenant]",
            ],
            **placement,
        },
        "prometheus-node-exporter": {
            "resources": size("25m", "64Mi", cpu_limit="250m"),
            "tolerations": [{"operator": "Exists"}],
        },
    }


def _prometheus(args: MonitoringValues) -> Values:
    spec: dict[str, Any] = {
        "replicas": 1,
        "retention": f"{args.retention_days}d",
        "resources": size("500m", "4Gi", cpu_limit="2"),
        "walCompression": True,
        # Select all monitors and rules, not just this chart's own.
        **{
            f"{kind}SelectorNilUsesHelmValues": False
            for kind in ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
        },
        "enableAdminAPI": False,
        **args.placement.values(),
    }
    if args.storage_class is None:
        return spec
    gibibytes = int(args.storage.removesuffix("Gi"))
    return {
        **spec,
        "retentionSize": f"{gibibytes * 9 // 10}GiB",
        "storageSpec": _volume(args.storage_class, args.storage),
    }


def _volume(storage_class: str, storage: str) -> Values:
    claim = {
        "storageClassName": storage_class,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage}},
    }
    return {"volumeClaimTemplate": {"spec": claim}}


def _routes(args: MonitoringValues) -> Values:
    """Route lightwork's own alerts and all critical ones to the topic; the others are only displayed."""
    switch = {"name": "switch", "webhook_configs": [{"url": SWITCH_URL, "send_resolved": False}]}
    receivers: list[dict[str, Any]] = [{"name": "nobody"}, switch]
    routes: list[dict[str, Any]] = [
        {
            "receiver": "switch",
            "matchers": [f'alertname = "{SWITCH}"'],
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "1m",
        }
    ]
    if args.topic_arn:
        topic = {
            "topic_arn": args.topic_arn,
            "sigv4": {"region": args.region},
            "subject": "[{{ .Status }}] {{ .CommonLabels.alertname }} {{ .CommonLabels.tenant }}"
            " {{ .CommonLabels.pipeline }}",
            "message": MESSAGE,
            "send_resolved": True,
        }
        receivers.append({"name": "topic", "sns_configs": [topic]})
        routes += [
            # One message when it begins to fail and one when it works again: nothing in between.
            {
                "receiver": "topic",
                "matchers": ['alertname = "PipelineFailing"'],
                "repeat_interval": "720h",
            },
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
    """Return Grafana's values: read-only dashboards, without an administrator or a password.

    Without an address outside the cluster there is no login: access needs Kubernetes' permission for
    `kubectl port-forward`. The login's Secret may be missing when Grafana starts, as a person stores its
    content.
    """
    return {
        "enabled": True,
        "env": {"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true"},
        **(_client(LOGIN_SECRET) if args.login else {}),
        "grafana.ini": {
            "analytics": {"check_for_updates": False, "reporting_enabled": False},
            "auth": {"disable_login_form": True},
            "auth.basic": {"enabled": False},
            "auth.anonymous": {"enabled": args.login is None, "org_role": "Viewer"},
            "users": {"allow_sign_up": False, "auto_assign_org_role": "Viewer"},
            "security": {"disable_initial_admin_creation": True},
            **(_login(args.login) if args.login else {}),
        },
        "persistence": {"enabled": False},
        "initChownData": {"enabled": False},
        "testFramework": {"enabled": False},
        "resources": size("100m", "512Mi", cpu_limit="500m"),
        "sidecar": {
            "resources": size("25m", "128Mi", cpu_limit="100m"),
            # Only in this namespace: a tenant's ConfigMap must not become a dashboard. Reloading takes an
            # administrator, whom Grafana does not have; it rescans its files by itself.
            "dashboards": {
                "enabled": True,
                "label": DASHBOARD_LABEL,
                "labelValue": "1",
                "searchNamespace": NAME,
                "skipReload": True,
            },
            "datasources": {"enabled": True, "initDatasources": True, "skipReload": True},
        },
        **args.placement.values(),
    }


def _client(secret: str) -> Values:
    """Return the variables with the identity provider's client, which a person may not have stored yet."""
    keys = {"CLIENT_ID": "client-id", "CLIENT_SECRET": "client-secret"}
    return {
        "envValueFrom": {
            f"GF_AUTH_GENERIC_OAUTH_{name}": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}
            for name, key in keys.items()
        }
    }


def _login(login: Login) -> Values:
    """Return the sections of `grafana.ini` by which people log in: the members of the groups, to look.

    The groups are those of the signed token. Without `allowed_groups`, everybody at the provider would be
    let in.
    """
    return {
        "server": {"domain": login.host, "root_url": f"https://{login.host}/"},
        "security": {"disable_initial_admin_creation": True, "cookie_secure": True},
        "auth": {"disable_login_form": True},
        "auth.generic_oauth": {
            "enabled": True,
            "auto_login": True,
            "name": "GitLab",
            "allow_sign_up": True,
            "use_pkce": True,
            "scopes": "openid profile email",
            "auth_url": f"{login.issuer}/oauth/authorize",
            "token_url": f"{login.issuer}/oauth/token",
            "api_url": f"{login.issuer}/oauth/userinfo",
            "groups_attribute_path": login.claim,
            "allowed_groups": ",".join(login.groups),
        },
    }
