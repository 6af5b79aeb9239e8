"""What the program decides about the resources of a component in another process, with the real engine.

The component is pulumi-eks' as `infra/offline/expected.py` knows it, made by a provider of the tests' own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.offline.expected import NODE_GROUP
from tests.cluster.small_estate import Estate, deployed
from tests.cluster.stand_in import CLUSTER, GROUP

NAME = "cluster-eksCluster"
FIRST = ("cluster-kube-proxy", "cluster-pod-identity", "cluster-network")


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate that has been deployed once."""
    with deployed(tmp_path_factory.mktemp("components")) as estate:
        yield estate


def created(estate: Estate, type_: str) -> dict[str, dict[str, Any]]:
    """Return the inputs with which the resources of a type were created, by name."""
    return {name: inputs for kind, name, inputs in estate.account.created if kind == type_}


def kept(estate: Estate) -> dict[str, tuple[bool, bool]]:
    """Return the resources that are protected or retained, with both."""
    both = {
        name: (resource.get("protect", False), resource.get("retainOnDelete", False))
        for (_, name), resource in estate.state().items()
    }
    return {name: values for name, values in both.items() if any(values)}


def test_the_first_creation_already_has_what_the_program_decides(estate: Estate) -> None:
    inputs = created(estate, CLUSTER)[NAME]
    assert inputs["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }, "later changes are ignored"
    assert inputs["zonalShiftConfig"] == {"enabled": True}
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert inputs["tags"] == {"project": "lightwork", "environment": "dev", "Name": "lightwork-dev"}
    for name, group in created(estate, GROUP).items():
        assert group["updateConfig"] == {"maxUnavailablePercentage": 33}, name
        assert group["nodeRepairConfig"] == {"enabled": True}, name


def test_the_cluster_is_protected_and_nothing_else_that_the_component_makes(estate: Estate) -> None:
    key = {"cluster-secrets-key": (True, True), "cluster-secrets-alias": (False, True)}
    assert kept(estate) == {NAME: (True, True), **key}


def test_all_that_the_components_make_belongs_to_them_and_is_tagged(estate: Estate) -> None:
    state = estate.state()
    for (type_, name), resource in state.items():
        if type_.startswith("aws:eks/") and "$eks:index:" in resource["urn"]:
            untaggable = type_ == "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
            tags = resource["inputs"].get("tags", {})
            assert untaggable or tags.items() >= {"project": "lightwork", "environment": "dev"}.items(), name
    entries = {name for type_, name in state if type_ == "aws:eks/accessEntry:AccessEntry"}
    assert entries == {"cluster-administrator-0", "cluster-deployer", "cluster-previewer"}


def test_values_of_other_resources_reach_what_the_component_makes(estate: Estate) -> None:
    state = estate.state()
    cluster = state[CLUSTER, NAME]
    assert cluster["inputs"]["roleArn"] == state["aws:iam/role:Role", "cluster-role"]["outputs"]["arn"]
    key = state["aws:kms/key:Key", "cluster-secrets-key"]["outputs"]["arn"]
    assert cluster["inputs"]["encryptionConfig"]["provider"]["keyArn"] == key
    assert any(urn.endswith("::cluster-role") for urn in cluster["dependencies"]), "a transform keeps them"
    for name in created(estate, GROUP):
        assert state[GROUP, name]["inputs"]["clusterName"] == "lightwork-dev"


def test_nodes_come_after_the_addons_that_they_need_and_the_addons_that_need_them_after_the_system(
    estate: Estate,
) -> None:
    order = [name for _, name, _ in estate.account.created]
    groups = [order.index(name) for name in created(estate, GROUP)]
    assert min(groups) > max(map(order.index, FIRST)), "a node without them never becomes ready"
    for (type_, name), resource in estate.state().items():
        if type_ == NODE_GROUP:
            awaited = {urn.rpartition("::")[2] for urn in resource["dependencies"]}
            assert awaited >= {"cluster", *FIRST[1:]}, f"{name} came after them by chance"
    assert order.index("nodes-dns") > max(order.index(f"nodes-system-{zone}") for zone in "abc")


def test_a_destroy_without_an_entry_deletes_nothing(estate: Estate) -> None:
    code, summary = estate.typed("destroy --env dev --estate")
    assert code == 1
    assert f"{NAME} (aws:eks/cluster:Cluster): would be deleted" in str(summary["dev"]["error"])
    assert estate.account.deleted == []


def test_an_entry_reaches_the_cluster_and_a_destroy_then_deletes_it_after_its_nodes(estate: Estate) -> None:
    estate.permit("another")
    assert estate.updated() == []
    assert kept(estate)[NAME] == (True, True), "not named"
    estate.permit(NAME, "cluster-secrets-key")
    estate.updated()
    assert kept(estate) == {"cluster-secrets-alias": (False, True)}
    code, summary = estate.typed("destroy --env dev --estate")
    assert code == 0, summary["dev"]["error"]
    deleted = estate.account.deleted
    assert {NAME, *FIRST} <= set(deleted)
    groups = [deleted.index(name) for name in created(estate, GROUP)]
    assert max(groups) < min(map(deleted.index, FIRST)), "nodes are drained while they work"
    assert deleted.index("cluster-deployer") < deleted.index(NAME)
