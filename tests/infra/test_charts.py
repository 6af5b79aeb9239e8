"""What the charts are told: what they know, with limits on everything, and nobody mightier than need be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra import versions
from infra.charts import argo, autoscaler
from infra.charts.common import Place
from lightwork.manifests import argo_config

FREE = {
    "cluster-autoscaler": {"extraArgs"},
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
        "the names are of another version: read tests/infra/charts/__main__.py"
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
