"""What pulumi-eks makes of a component, as far as the estate uses it, and a refusal of anything beyond."""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING, Any

import pulumi_eks
import pytest

from infra.offline import expected
from infra.offline.expected import CLUSTER, NODE_GROUP, made

if TYPE_CHECKING:
    from tests.infra.engine import Run

LEAST: dict[str, Any] = {
    "name": "lightwork-dev",
    "authenticationMode": "API",
    "encryptionConfigKeyArn": "key",
    "ipFamily": "ipv4",
    "kubeProxyAddonOptions": {"version": "v1.35.3-eksbuild.29"},
    "providerCredentialOpts": {},
    "serviceRole": {"arn": "role"},
    "skipDefaultNodeGroup": True,
    "skipDefaultSecurityGroups": True,
    "subnetIds": ["a", "b"],
    "useDefaultVpcCni": True,
    "vpcId": "vpc",
}
"""The inputs without which a cluster is more than this program asks for."""


def test_it_is_written_for_the_release_that_is_installed() -> None:
    assert importlib.metadata.version("pulumi-eks") == expected.VERSION, (
        "read the source of the new release, and change infra/offline/expected.py with it"
    )


def test_every_known_input_is_an_argument_of_the_components() -> None:
    for type_, arguments in (
        (CLUSTER, pulumi_eks.ClusterArgs),
        (NODE_GROUP, pulumi_eks.ManagedNodeGroupArgs),
    ):
        properties = (getattr(arguments, name) for name in dir(arguments) if not name.startswith("_"))
        names = {getattr(it.fget, "_pulumi_name", None) for it in properties if isinstance(it, property)}
        assert expected.KNOWN[type_] <= names, type_


def test_the_least_cluster_has_a_provider_and_kube_proxy_and_an_administrator_by_creation() -> None:
    children = {child.name: child for child in made(CLUSTER, "c", LEAST).children}
    assert set(children) == {"c-eksCluster", "c-kube-proxy", "c-eks-k8s"}
    access = children["c-eksCluster"].inputs["accessConfig"]
    assert access["bootstrapClusterCreatorAdminPermissions"] is True, "why infra/aws/children.py is needed"
    assert "accessConfig.bootstrapClusterCreatorAdminPermissions" in children["c-eksCluster"].ignore_changes
    assert children["c-eksCluster"].inputs["tags"] == {"Name": "c-eksCluster"}
    assert children["c-kube-proxy"].inputs["preserve"] is True
    assert (
        made(CLUSTER, "c", {**LEAST, "kubeProxyAddonOptions": {"enabled": False}})
        .children[1]
        .type.startswith("pulumi:providers:")
    )


def test_an_entry_and_its_policy_are_children_of_their_own() -> None:
    policy = {"policyArn": "view", "accessScope": {"type": "cluster"}}
    entry = {"principalArn": "p", "kubernetesGroups": ["g"], "accessPolicies": {"policy": policy}}
    *_, principal, association = made(CLUSTER, "c", {**LEAST, "accessEntries": {"one": entry}}).children
    assert principal.inputs == {
        "principalArn": "p",
        "kubernetesGroups": ["g"],
        "clusterName": "lightwork-dev",
    }
    assert (principal.name, association.name, association.parent) == ("c-one", "c-one-policy", "c-one")
    assert association.inputs == {**policy, "principalArn": "p", "clusterName": "lightwork-dev"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"skipDefaultNodeGroup": None}, "only with skipDefaultNodeGroup True"),
        ({"skipDefaultSecurityGroups": False}, "only with skipDefaultSecurityGroups True"),
        ({"useDefaultVpcCni": None}, "only with useDefaultVpcCni True"),
        ({"authenticationMode": "API_AND_CONFIG_MAP"}, "only with authenticationMode 'API'"),
        ({"providerCredentialOpts": None}, "only with providerCredentialOpts"),
        ({"vpcId": None}, "only with vpcId"),
        ({"serviceRole": None}, "only with serviceRole"),
        ({"kubeProxyAddonOptions": None}, "would take the newest kube-proxy"),
        ({"corednsAddonOptions": {"enabled": True}}, "does not know what eks:index:Cluster makes of coredns"),
        ({"fargate": True, "gpu": True}, "makes of fargate, gpu"),
    ],
)
def test_what_would_make_more_or_leave_a_choice_to_aws_is_refused(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        made(CLUSTER, "c", {**LEAST, **changed})


def test_another_component_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not know the component eks:index:NodeGroupV2"):
        made("eks:index:NodeGroupV2", "n", {})


def test_a_group_without_a_size_has_that_of_pulumi_eks() -> None:
    cluster = {"eksCluster": {"name": "lightwork-dev"}}
    (group,) = made(NODE_GROUP, "n", {"cluster": cluster, "scalingConfig": {"minSize": 3}}).children
    assert (group.name, group.inputs["clusterName"]) == ("n", "lightwork-dev"), "the component's own name"
    assert group.inputs["scalingConfig"] == {"desiredSize": 2, "minSize": 3, "maxSize": 2}


def test_the_kubeconfig_in_the_state_has_no_credentials(estate: Run) -> None:
    (provider,) = [resource for resource in estate.resources if resource.name == "cluster-eks-k8s"]
    (user,) = json.loads(provider.inputs["kubeconfig"])["users"]
    assert set(user["user"]) == {"exec"}, "a token is asked for when it is used"
    assert "--profile" not in user["user"]["exec"]["args"], "two people would see a difference for ever"
