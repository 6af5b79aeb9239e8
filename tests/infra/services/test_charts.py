"""The charts' values: only known ones, with limits everywhere and the least privileges."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from infra.config import versions
from infra.services.charts import argo, autoscaler, monitoring, secrets, shipper
from infra.services.charts.common import Placement
from lightwork.kube import contract
from lightwork.manifests import argo_config, page

FREE = {
    "cluster-autoscaler": {"extraArgs"},
    "fluent-bit": {"serviceMonitor"},
    "kube-prometheus-stack": {"grafana.grafana.ini", "grafana.nodeSelector", "alertmanager.config"},
    "argo-workflows": {"controller.nodeSelector", "server.nodeSelector", "controller.pdb", "server.pdb"},
}
"""Values whose defaults do not show everything that the chart accepts: options, labels, `maxUnavailable`."""
KNOWN = Path(__file__).parent / "charts"
PLACEMENT = Placement(
    selector=(("lightwork/pool", "system"),),
    tolerations=((("key", "CriticalAddonsOnly"), ("operator", "Exists")),),
)
ARGO = argo.values(
    argo.ArgoValues(
        image_tag="v3.7.14",
        archive_secret="argo-archive-login",
        people="group",
        operators="group/operators",
        placement=PLACEMENT,
    )
)
VALUES = {
    "argo-workflows": ARGO,
    "cluster-autoscaler": autoscaler.values(
        autoscaler.AutoscalerValues(
            cluster="lightwork-dev",
            region="eu-central-1",
            account="cluster-autoscaler",
            image_tag="v1.35.2",
            placement=PLACEMENT,
            preferred=("workers",),
        )
    ),
    "kube-prometheus-stack": monitoring.values(
        monitoring.MonitoringValues(
            retention_days=15,
            storage="50Gi",
            storage_class="encrypted",
            region="eu-central-1",
            topic_arn="arn:aws:sns:eu-central-1:123456789012:alarms",
            placement=PLACEMENT,
        )
    ),
    "fluent-bit": shipper.values(
        shipper.ShipperValues(endpoint="search.example.com", region="eu-central-1", account="fluent-bit")
    ),
    "external-secrets": secrets.values(
        secrets.SecretsValues(account="external-secrets", placement=PLACEMENT)
    ),
}


def unknown(values: dict[str, Any], names: set[str], above: str = "") -> list[str]:
    """Return the values that the chart does not have."""
    missing = []
    for key, value in values.items():
        name = f"{above}{key}"
        if f"{name}*" in names:
            continue  # empty by default: only the chart's templates know what it may contain
        if name not in names:
            missing.append(name)
        elif isinstance(value, dict):
            missing += unknown(value, names, f"{name}.")
    return missing


@pytest.mark.parametrize("chart", VALUES)
def test_a_chart_gets_only_values_that_it_has(chart: str) -> None:
    head, *names = (KNOWN / f"{chart}.txt").read_text().splitlines()
    assert head == f"{chart} {versions.CHARTS[chart].version}", (
        "the list is of another version: see tests/infra/services/charts/__main__.py"
    )
    free = {f"{name}*" for name in FREE.get(chart, ())}
    assert unknown(VALUES[chart], {*names, *free}) == [], "Helm ignores unknown values silently"


def test_a_misspelt_value_is_found() -> None:
    assert unknown({"controller": {"replcas": 2}}, {"controller", "controller.replicas"}) == [
        "controller.replcas"
    ], "the test above could not fail"


@pytest.mark.parametrize(
    ("chart", "part"),
    [
        ("cluster-autoscaler", ()),
        ("argo-workflows", ("controller",)),
        ("argo-workflows", ("server",)),
        ("kube-prometheus-stack", ("prometheusOperator",)),
        ("kube-prometheus-stack", ("prometheus", "prometheusSpec")),
        ("kube-prometheus-stack", ("alertmanager", "alertmanagerSpec")),
        ("kube-prometheus-stack", ("grafana",)),
        ("kube-prometheus-stack", ("kube-state-metrics",)),
        ("kube-prometheus-stack", ("prometheusOperator", "admissionWebhooks", "patch")),
        ("external-secrets", ()),
        ("external-secrets", ("webhook",)),
        ("external-secrets", ("certController",)),
    ],
)
def test_every_workload_has_requests_limits_and_its_nodes(chart: str, part: tuple[str, ...]) -> None:
    values = VALUES[chart]
    for key in part:
        values = values[key]
    resources = values["resources"]
    for kind in ("requests", "limits"):
        assert set(resources[kind]) == {"cpu", "memory"}, f"{chart} {part} could use a whole node"
    assert resources["requests"]["memory"] == resources["limits"]["memory"], (
        "pods above their memory request get evicted"
    )
    assert values["nodeSelector"] == {"lightwork/pool": "system"}, (
        f"{chart} {part} could run on the tenants' nodes"
    )
    assert values["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}], (
        "it must tolerate the system taint"
    )


def test_argos_server_acts_with_its_users_rights() -> None:
    assert ARGO["server"]["authModes"] == ["sso", "client"], "people by SSO, CI by client tokens"
    without = argo.values(
        argo.ArgoValues(image_tag="v3.7.14", archive_secret="argo-archive-login", placement=PLACEMENT)
    )
    assert without["server"]["authModes"] == ["client"], (
        "without an identity provider everybody needs a token"
    )
    for values in (ARGO, without):
        assert "server" not in values["server"]["authModes"], "everybody would have the server's rights"
        assert "authMode" not in values["server"], "a second setting for the same"


def test_argo_reads_only_the_secrets_that_it_needs() -> None:
    assert ARGO["controller"]["rbac"]["secretWhitelist"] == ["argo-archive-login"], (
        "the archive's password alone"
    )
    assert ARGO["controller"]["rbac"]["accessAllSecrets"] is False, "tenants' certificates are Secrets too"
    sso = ARGO["server"]["sso"]
    assert sso["enabled"] is True, "disabled, the server's role could read every Secret of the cluster"
    assert sso["rbac"]["enabled"] is True, "disabled, the server's role could read every Secret"
    assert sso["rbac"]["secretWhitelist"] == [
        "argo-archive-login",
        "argo-server-sso",
        "login.service-account-token",
        "people.service-account-token",
        "operators.service-account-token",
    ], "only these Secrets, by name"


def test_argos_configuration_is_lightworks_own_configmap() -> None:
    assert ARGO["controller"]["configMap"] == {"create": False, "name": argo_config.NAME}, (
        "the cluster tests use lightwork's own"
    )
    for value in ("workflowDefaults", "persistence", "workflowRestrictions", "parallelism"):
        assert value not in ARGO["controller"], f"{value} would be ignored here"


def test_two_controllers_elect_one() -> None:
    assert ARGO["controller"]["replicas"] == 2, (
        "for a single one the chart turns the election off, and an upgrade would run two"
    )


def test_the_version_of_argo_is_the_one_of_the_cluster_tests() -> None:
    assert ARGO["images"]["tag"] == versions.CHARTS["argo-workflows"].image_tag == "v3.7.14", (
        "older versions have known vulnerabilities"
    )
    assert versions.CHARTS["argo-workflows"].version == "0.47.5", "the last chart of Argo 3"


def test_argos_crds_outlive_the_chart() -> None:
    assert ARGO["crds"] == {"install": True, "keep": True}, "deleting a CRD deletes every workflow"


def test_a_persons_rights_follow_from_the_groups_alone() -> None:
    accounts = {o["metadata"]["name"]: o for o in ARGO["extraObjects"] if o["kind"] == "ServiceAccount"}
    rules = {
        name: account["metadata"]["annotations"]["workflows.argoproj.io/rbac-rule"]
        for name, account in accounts.items()
    }
    assert rules == {
        "login": "len(groups) > 0",
        "people": '"group" in groups',
        "operators": '"group/operators" in groups',
    }, "anybody may have an account at the identity provider"
    ranks = {
        name: int(account["metadata"]["annotations"]["workflows.argoproj.io/rbac-rule-precedence"])
        for name, account in accounts.items()
    }
    assert ranks["login"] < ranks["people"] < page.TENANT < ranks["operators"], (
        "a tenant's account is taken in its namespace unless the user is an operator"
    )
    roles = {o["metadata"]["name"]: o["rules"] for o in ARGO["extraObjects"] if o["kind"] == "ClusterRole"}
    assert set(roles) == {"lightwork-argo-people", "lightwork-argo-operators"}, "logging in is no right"
    looking = {verb for rule in roles["lightwork-argo-people"] for verb in rule["verbs"]}
    assert looking == {"get", "list", "watch"}, "read only"
    for role, role_rules in roles.items():
        assert all("secrets" not in rule["resources"] for rule in role_rules), (
            f"{role} could read tenants' Secrets"
        )
        assert all("*" not in rule["verbs"] + rule["resources"] for rule in role_rules), (
            f"{role} could do everything"
        )


def test_argos_server_delegates_to_tenants_namespaces_and_tells_nobody_of_others() -> None:
    settings = {entry["name"]: entry["value"] for entry in ARGO["server"]["extraEnv"]}
    assert settings["SSO_DELEGATE_RBAC_TO_NAMESPACE"] == "true", "tenants' people would see nothing"
    hidden = settings["DISABLE_VALUE_LIST_RETRIEVAL_KEY_PATTERN"]
    assert re.search(hidden, contract.LABEL_TENANT), "the archive would list the names of all tenants"


def test_no_token_is_in_the_charts_values() -> None:
    tokens = [o for o in ARGO["extraObjects"] if o["kind"] == "Secret"]
    assert len(tokens) == 3, "one per account for people"
    for token in tokens:
        assert token["type"] == "kubernetes.io/service-account-token", "Kubernetes writes it"
        assert not {"data", "stringData"} & set(token), "the chart's values are in the state"


def test_the_autoscaler_has_its_clusters_groups_and_its_kubernetes_version() -> None:
    values = VALUES["cluster-autoscaler"]
    assert values["autoDiscovery"] == {"clusterName": "lightwork-dev"}, (
        "it must not resize another cluster's groups"
    )
    tag = versions.CHARTS["cluster-autoscaler"].image_tag
    assert tag is not None
    assert tag.startswith(f"v{versions.KUBERNETES}."), "it simulates the scheduler of its own version"
    assert values["rbac"]["serviceAccount"]["name"] == "cluster-autoscaler", "this account has the role"
    for key in ("awsAccessKeyID", "awsSecretAccessKey"):
        assert key not in values, "it uses Pod Identity"


def test_where_a_pod_may_be_on_either_the_autoscaler_adds_spot_nodes_first() -> None:
    values = VALUES["cluster-autoscaler"]
    assert values["extraArgs"]["expander"].split(",")[0] == "priority", (
        "least waste chooses the smaller nodes"
    )
    chosen = {
        group: max(
            int(priority)
            for priority, patterns in values["expanderPriorities"].items()
            if any(re.match(pattern, group) for pattern in patterns)
        )
        for group in ("eks-workers-20261127-1a2b", "eks-drivers-20261127-1a2b", "eks-system-a-20261127-1a2b")
    }
    assert max(chosen, key=lambda group: chosen[group]).startswith("eks-workers-"), "the only spot group"
    assert len(set(chosen.values())) == 2, "and the others are left to the next rule"


@pytest.mark.parametrize(
    ("chart", "part"),
    [
        ("fluent-bit", ()),
        ("kube-prometheus-stack", ("prometheus-node-exporter",)),
        ("kube-prometheus-stack", ("grafana", "sidecar")),
        ("kube-prometheus-stack", ("prometheusOperator", "prometheusConfigReloader")),
    ],
)
def test_daemons_and_sidecars_have_limits_too(chart: str, part: tuple[str, ...]) -> None:
    values = VALUES[chart]
    for key in part:
        values = values[key]
    for kind in ("requests", "limits"):
        assert set(values["resources"][kind]) == {"cpu", "memory"}, f"{chart} {part} could use a whole node"
    if "tolerations" in values:
        assert values["tolerations"] == [{"operator": "Exists"}], "tainted nodes have logs and metrics too"


MONITORING = VALUES["kube-prometheus-stack"]


def test_grafana_has_no_password_because_nobody_logs_in() -> None:
    grafana = MONITORING["grafana"]
    assert "adminPassword" not in grafana, "the default password is public"
    assert grafana["env"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true", (
        "otherwise the chart creates an administrator with a password"
    )
    settings = grafana["grafana.ini"]
    assert settings["auth"]["disable_login_form"] is True, "there are no users"
    assert settings["auth.basic"]["enabled"] is False, "another way to log in"
    assert settings["auth.anonymous"]["org_role"] == "Viewer", "viewers can change nothing"
    assert not {"ingress", "service"} & set(grafana), "without a login it must not be reachable from outside"


def test_metrics_have_a_retention_and_never_fill_their_disk() -> None:
    spec = MONITORING["prometheus"]["prometheusSpec"]
    assert spec["retention"] == "15d", "the requested value"
    assert spec["retentionSize"] == "45GiB", "the oldest are dropped before the disk is full"
    claim = spec["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "encrypted", "the default class may not encrypt"
    assert claim["resources"]["requests"]["storage"] == "50Gi", "the requested value"
    assert spec["enableAdminAPI"] is False, "it could delete series"


def test_silences_outlast_alertmanagers_pods() -> None:
    spec = MONITORING["alertmanager"]["alertmanagerSpec"]
    claim = spec["storage"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "encrypted", "the default class may not encrypt"
    assert claim["resources"]["requests"]["storage"] == "1Gi", "EBS has no smaller disks"
    assert spec["replicas"] == 2, "one of them stays if a zone fails with its disks"


def test_all_monitors_and_rules_are_selected() -> None:
    spec = MONITORING["prometheus"]["prometheusSpec"]
    for kind in ("serviceMonitor", "podMonitor", "rule"):
        assert spec[f"{kind}SelectorNilUsesHelmValues"] is False, (
            f"{kind}: by default the chart selects only its own"
        )


def test_alerts_reach_the_topic() -> None:
    config = MONITORING["alertmanager"]["config"]
    (topic,) = next(one["sns_configs"] for one in config["receivers"] if one["name"] == "topic")
    assert topic["topic_arn"] == "arn:aws:sns:eu-central-1:123456789012:alarms", "the given topic"
    first, *others = config["route"]["routes"]
    assert first["receiver"] == "switch", "else the alert that always fires would reach people"
    assert {route["receiver"] for route in others} == {"topic"}, "every other route leads to the topic"
    names = {receiver["name"] for receiver in config["receivers"]}
    assert config["route"]["receiver"] in names, "otherwise Alertmanager does not start"


def test_components_hidden_by_eks_are_not_monitored() -> None:
    for name in monitoring.UNSEEN:
        assert MONITORING[name] == {"enabled": False}, f"an alert about {name} would fire for ever"


def test_the_shipper_uses_its_pods_identity_and_tls() -> None:
    outputs = VALUES["fluent-bit"]["config"]["outputs"]
    for line in ("tls On", "tls.verify On", "AWS_Auth On", "AWS_Region eu-central-1", "Port 443"):
        assert line in outputs, f"{line} is missing"
    for word in ("HTTP_User", "HTTP_Passwd", "AWS_Role_ARN"):
        assert word not in outputs, "it uses Pod Identity"
    assert VALUES["fluent-bit"]["serviceAccount"]["name"] == "fluent-bit", "this account has the role"


def test_secret_stores_exist_only_within_a_namespace() -> None:
    values = VALUES["external-secrets"]
    assert values["crds"]["createClusterSecretStore"] is False, (
        "it would lend one identity to every namespace"
    )
    assert values["processClusterStore"] is False, "even if somebody adds the CRD"
    assert values["rbac"]["serviceAccountTokenCreate"] is False, "it could act as any account"
    for role in ("View", "Edit", "Admin"):
        assert values["rbac"][f"aggregateTo{role}"] is False, "tenants' users could create stores"
    assert values["crds"]["annotations"] == {"helm.sh/resource-policy": "keep"}, (
        "deleting a CRD deletes every copied Secret"
    )


def replicated(values: Any, path: str = "") -> dict[str, dict[str, Any]]:
    """Return the parts of a chart's values that ask for more than one replica, by their names."""
    if not isinstance(values, dict):
        return {}
    own = {path: values} if max(values.get("replicas", 1), values.get("replicaCount", 1)) > 1 else {}
    inner = (replicated(value, f"{path}.{key}".strip(".")) for key, value in values.items())
    return {**own, **{name: part for parts in inner for name, part in parts.items()}}


PODS = {
    "argo-workflows controller": "argo-workflows-workflow-controller",
    "argo-workflows server": "argo-workflows-server",
    "cluster-autoscaler ": "aws-cluster-autoscaler",
    "external-secrets ": "external-secrets",
    "external-secrets webhook": "external-secrets-webhook",
    "kube-prometheus-stack alertmanager.alertmanagerSpec": "alertmanager",
}
"""The label `app.kubernetes.io/name` that each chart gives to the pods of its replicated parts."""


def test_replicas_are_spread_over_nodes_and_zones() -> None:
    parts = {
        f"{chart} {name}": part
        for chart, values in VALUES.items()
        for name, part in replicated(values).items()
    }
    assert set(parts) == set(PODS), "a part with replicas must say which pods to spread"
    for name, part in parts.items():
        constraints = part["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in constraints] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        for one in constraints:
            assert one["labelSelector"] == {"matchLabels": {"app.kubernetes.io/name": PODS[name]}}
            assert one["whenUnsatisfiable"] == "ScheduleAnyway", "the last node must take both"


def test_what_grows_with_the_tenants_has_no_limit_of_samples() -> None:
    spec = VALUES["kube-prometheus-stack"]["prometheus"]["prometheusSpec"]
    limits = {name for name in spec if "limit" in name.lower() and "sample" in name.lower()}
    assert not limits, "kube-state-metrics would no longer be scraped, and its alerts would be lost"
