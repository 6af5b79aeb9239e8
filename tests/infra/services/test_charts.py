"""What the charts are told: what they know, with limits on everything, and nobody mightier than need be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.config import versions
from infra.services.charts import argo, autoscaler, monitoring, secrets, shipper
from infra.services.charts.common import Place
from lightwork.manifests import argo_config

FREE = {
    "cluster-autoscaler": {"extraArgs"},
    "fluent-bit": {"serviceMonitor"},
    "kube-prometheus-stack": {"grafana.grafana.ini", "grafana.nodeSelector", "alertmanager.config"},
    "argo-workflows": {"controller.nodeSelector", "server.nodeSelector", "controller.pdb", "server.pdb"},
}
"""Values with a default, in which the chart takes more than it shows: options, labels, `maxUnavailable`."""
KNOWN = Path(__file__).parent / "charts"
PLACE = Place(
    selector=(("lightwork/pool", "system"),),
    tolerations=((("key", "CriticalAddonsOnly"), ("operator", "Exists")),),
)
ARGO = argo.values(
    argo.ArgoValues(
        image_tag="v3.7.14",
        archive_secret="argo-archive",
        people="group",
        operators="group/operators",
        place=PLACE,
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
            place=PLACE,
        )
    ),
    "kube-prometheus-stack": monitoring.values(
        monitoring.MonitoringValues(
            retention_days=15,
            storage="50Gi",
            storage_class="encrypted",
            region="eu-central-1",
            topic_arn="arn:aws:sns:eu-central-1:123456789012:alarms",
            place=PLACE,
        )
    ),
    "fluent-bit": shipper.values(
        shipper.ShipperValues(endpoint="search.example.com", region="eu-central-1", account="fluent-bit")
    ),
    "external-secrets": secrets.values(secrets.SecretsValues(account="external-secrets", place=PLACE)),
}


def unknown(values: dict[str, Any], names: set[str], above: str = "") -> list[str]:
    """The values that the chart does not have."""
    found = []
    for key, value in values.items():
        name = f"{above}{key}"
        if f"{name}*" in names:
            continue  # empty in the chart: what may be in it, only its templates know
        if name not in names:
            found.append(name)
        elif isinstance(value, dict):
            found += unknown(value, names, f"{name}.")
    return found


@pytest.mark.parametrize("chart", VALUES)
def test_a_chart_is_told_nothing_that_it_does_not_know(chart: str) -> None:
    head, *names = (KNOWN / f"{chart}.txt").read_text().splitlines()
    assert head == f"{chart} {versions.CHARTS[chart].version}", (
        "the names are of another version: read tests/infra/services/charts/__main__.py"
    )
    free = {f"{name}*" for name in FREE.get(chart, ())}
    assert unknown(VALUES[chart], {*names, *free}) == [], (
        "Helm drops what a chart does not know without a word"
    )


def test_a_misspelt_value_would_be_found() -> None:
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
def test_every_workload_has_requests_limits_and_its_place(chart: str, part: tuple[str, ...]) -> None:
    found = VALUES[chart]
    for key in part:
        found = found[key]
    resources = found["resources"]
    for kind in ("requests", "limits"):
        assert set(resources[kind]) == {"cpu", "memory"}, f"{chart} {part} may take a whole node"
    assert resources["requests"]["memory"] == resources["limits"]["memory"], (
        "memory beyond the promise is evicted"
    )
    assert found["nodeSelector"] == {"lightwork/pool": "system"}, (
        f"{chart} {part} lands among the tenants' pods"
    )
    assert found["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}], "nowhere to run"


def test_argos_server_never_lends_its_own_rights() -> None:
    assert ARGO["server"]["authModes"] == ["sso", "client"], "people by SSO, CI by client tokens"
    without = argo.values(argo.ArgoValues(image_tag="v3.7.14", archive_secret="argo-archive", place=PLACE))
    assert without["server"]["authModes"] == ["client"], (
        "without an identity provider everybody brings a token"
    )
    for values in (ARGO, without):
        assert "server" not in values["server"]["authModes"], "whoever reaches it would be as mighty as it is"
        assert "authMode" not in values["server"], "a second way to say the same"


def test_argo_reads_the_secrets_that_it_needs_and_no_others() -> None:
    assert ARGO["controller"]["rbac"]["secretWhitelist"] == ["argo-archive"], "the archive's password alone"
    assert ARGO["controller"]["rbac"]["accessAllSecrets"] is False, (
        "the tenants' certificates are Secrets too"
    )
    sso = ARGO["server"]["sso"]
    assert sso["enabled"] is True, "off, the chart's role for the server reads every Secret of the cluster"
    assert sso["rbac"]["enabled"] is True, "as before"
    assert sso["rbac"]["secretWhitelist"] == [
        "argo-archive",
        "argo-server-sso",
        "people.service-account-token",
        "operators.service-account-token",
    ], "the server's rights are by name"


def test_argos_configuration_is_our_own_and_no_second_one_is_made() -> None:
    assert ARGO["controller"]["configMap"] == {"create": False, "name": argo_config.NAME}, (
        "the cluster tests prove ours"
    )
    for value in ("workflowDefaults", "persistence", "workflowRestrictions", "parallelism"):
        assert value not in ARGO["controller"], f"{value} would be ignored, and somebody would trust it"


def test_two_controllers_elect_one() -> None:
    assert ARGO["controller"]["replicas"] == 2, (
        "for a single one the chart switches the election off, and an upgrade has two at work"
    )


def test_the_version_of_argo_is_the_one_that_the_cluster_tests_run() -> None:
    assert ARGO["images"]["tag"] == versions.CHARTS["argo-workflows"].image_tag == "v3.7.14", (
        "older ones have holes"
    )
    assert versions.CHARTS["argo-workflows"].version == "0.47.5", "the last chart of Argo 3"


def test_argos_definitions_outlive_the_chart() -> None:
    assert ARGO["crds"] == {"install": True, "keep": True}, (
        "a definition that goes takes every workflow with it"
    )


def test_who_logs_in_is_somebody_by_the_group_alone() -> None:
    accounts = {o["metadata"]["name"]: o for o in ARGO["extraObjects"] if o["kind"] == "ServiceAccount"}
    rules = {
        name: account["metadata"]["annotations"]["workflows.argoproj.io/rbac-rule"]
        for name, account in accounts.items()
    }
    assert rules == {"people": '"group" in groups', "operators": '"group/operators" in groups'}, (
        "the identity provider lets the whole world log in"
    )
    roles = {o["metadata"]["name"]: o["rules"] for o in ARGO["extraObjects"] if o["kind"] == "ClusterRole"}
    looking = {verb for rule in roles["lightwork-argo-people"] for verb in rule["verbs"]}
    assert looking == {"get", "list", "watch"}, "to look is not to act"
    for role, found in roles.items():
        assert all("secrets" not in rule["resources"] for rule in found), f"{role} reads the tenants' secrets"
        assert all("*" not in rule["verbs"] + rule["resources"] for rule in found), (
            f"{role} may do everything"
        )


def test_no_token_is_in_what_the_chart_is_told() -> None:
    tokens = [o for o in ARGO["extraObjects"] if o["kind"] == "Secret"]
    assert len(tokens) == 2, "one an account that people become"
    for token in tokens:
        assert token["type"] == "kubernetes.io/service-account-token", "Kubernetes writes it"
        assert not {"data", "stringData"} & set(token), "what the chart is told is in the state"


def test_the_autoscaler_sizes_its_own_clusters_groups_in_the_version_of_its_kubernetes() -> None:
    values = VALUES["cluster-autoscaler"]
    assert values["autoDiscovery"] == {"clusterName": "lightwork-dev"}, (
        "groups of another cluster are not its own"
    )
    tag = versions.CHARTS["cluster-autoscaler"].image_tag
    assert tag is not None
    assert tag.startswith(f"v{versions.KUBERNETES}."), "it simulates the scheduler of its own version"
    assert values["rbac"]["serviceAccount"]["name"] == "cluster-autoscaler", (
        "EKS gives the role to this account"
    )
    for key in ("awsAccessKeyID", "awsSecretAccessKey"):
        assert key not in values, "its rights come by Pod Identity"


@pytest.mark.parametrize(
    ("chart", "part"),
    [
        ("fluent-bit", ()),
        ("kube-prometheus-stack", ("prometheus-node-exporter",)),
        ("kube-prometheus-stack", ("grafana", "sidecar")),
        ("kube-prometheus-stack", ("prometheusOperator", "prometheusConfigReloader")),
    ],
)
def test_what_runs_on_every_node_or_beside_another_has_limits_too(chart: str, part: tuple[str, ...]) -> None:
    found = VALUES[chart]
    for key in part:
        found = found[key]
    for kind in ("requests", "limits"):
        assert set(found["resources"][kind]) == {"cpu", "memory"}, f"{chart} {part} may take a whole node"
    if "tolerations" in found:
        assert found["tolerations"] == [{"operator": "Exists"}], "a tainted node has logs and metrics too"


MONITORING = VALUES["kube-prometheus-stack"]


def test_grafana_has_no_password_because_nobody_logs_in() -> None:
    grafana = MONITORING["grafana"]
    assert "adminPassword" not in grafana, "a default password is known to the world"
    assert grafana["env"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true", (
        "else the chart makes an administrator with a password"
    )
    settings = grafana["grafana.ini"]
    assert settings["auth"]["disable_login_form"] is True, "there is nobody who could log in"
    assert settings["auth.basic"]["enabled"] is False, "the login form's back door"
    assert settings["auth.anonymous"]["org_role"] == "Viewer", "who looks changes nothing"
    assert not {"ingress", "service"} & set(grafana), "without a login it has no address outside"


def test_metrics_are_kept_for_so_long_and_never_fill_their_disk() -> None:
    spec = MONITORING["prometheus"]["prometheusSpec"]
    assert spec["retention"] == "15d", "what was asked for"
    assert spec["retentionSize"] == "45GiB", "the oldest go before the disk is full"
    claim = spec["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "encrypted", "a default class may not encrypt"
    assert claim["resources"]["requests"]["storage"] == "50Gi", "what was asked for"
    assert spec["enableAdminAPI"] is False, "it deletes series"


def test_monitors_and_rules_of_everybody_are_read() -> None:
    spec = MONITORING["prometheus"]["prometheusSpec"]
    for kind in ("serviceMonitor", "podMonitor", "rule"):
        assert spec[f"{kind}SelectorNilUsesHelmValues"] is False, (
            f"{kind}: by default the chart reads its own release's alone"
        )


def test_alerts_reach_the_topic() -> None:
    config = MONITORING["alertmanager"]["config"]
    (topic,) = config["receivers"][1]["sns_configs"]
    assert topic["topic_arn"] == "arn:aws:sns:eu-central-1:123456789012:alarms", "who is told"
    assert {route["receiver"] for route in config["route"]["routes"]} == {"topic"}, "alerts that nobody reads"
    names = {receiver["name"] for receiver in config["receivers"]}
    assert config["route"]["receiver"] in names, "Alertmanager does not start"


def test_nothing_is_asked_that_eks_does_not_show() -> None:
    for name in monitoring.UNSEEN:
        assert MONITORING[name] == {"enabled": False}, f"an alert about {name} would fire for ever"


def test_an_index_is_one_tenants_and_no_pod_chooses_it() -> None:
    values = VALUES["fluent-bit"]
    assert shipper.index_pattern("acme") == "logs-acme.*", "the dot ends the name"
    config = values["config"]
    assert "Logstash_Prefix_Key $index" in config["outputs"], "the index is the one that route.lua found"
    assert "Logstash_Prefix_Separator ." in config["outputs"], "with a dash acme would read acme-2"
    assert 'string.match(namespace, "^tenant%-(.+)$")' in values["luaScripts"]["route.lua"], (
        "the namespace says whose a line is; labels are whatever a pod says"
    )
    for switch in ("K8S-Logging.Parser Off", "K8S-Logging.Exclude Off"):
        assert switch in config["filters"], "a pod's annotations would change how logs are kept"


def test_the_shipper_signs_by_its_pods_identity_over_tls() -> None:
    outputs = VALUES["fluent-bit"]["config"]["outputs"]
    for line in ("tls On", "tls.verify On", "AWS_Auth On", "AWS_Region eu-central-1", "Port 443"):
        assert line in outputs, f"{line} is missing"
    for word in ("HTTP_User", "HTTP_Passwd", "AWS_Role_ARN"):
        assert word not in outputs, "its identity comes by Pod Identity"
    assert VALUES["fluent-bit"]["serviceAccount"]["name"] == "fluent-bit", (
        "EKS gives the role to this account"
    )


def test_what_cannot_be_sent_waits_on_disk_and_not_without_end() -> None:
    config = VALUES["fluent-bit"]["config"]
    assert "storage.type filesystem" in config["inputs"], "in memory it ends with the pod"
    assert "storage.total_limit_size 2G" in config["outputs"], "a node's disk is not the logs' alone"
    assert "DB /buffer/positions.db" in config["inputs"], "a new pod goes on where the old one was"


def test_secrets_come_into_one_namespace_at_a_time() -> None:
    values = VALUES["external-secrets"]
    assert values["crds"]["createClusterSecretStore"] is False, "one identity lent to every namespace"
    assert values["processClusterStore"] is False, "nor if somebody brings the definition"
    assert values["rbac"]["serviceAccountTokenCreate"] is False, "it would become any account"
    for role in ("View", "Edit", "Admin"):
        assert values["rbac"][f"aggregateTo{role}"] is False, "tenants' people would make secrets come"
    assert values["crds"]["annotations"] == {"helm.sh/resource-policy": "keep"}, (
        "a definition that goes takes every secret with it"
    )
