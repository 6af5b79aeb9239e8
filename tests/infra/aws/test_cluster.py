"""The cluster and its nodes: access by entries alone, everything pinned, spot for workers alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from infra.config import versions
from infra.config.nodes import SPOT_TAINT, SYSTEM_TAINT
from infra.services import objects
from lightwork.kube import contract

if TYPE_CHECKING:
    from tests.infra.engine import Resource, Run

CLUSTER = "aws:eks/cluster:Cluster"
GROUP = "aws:eks/nodeGroup:NodeGroup"
ADDON = "aws:eks/addon:Addon"
ENTRY = "aws:eks/accessEntry:AccessEntry"
ENTRY_POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
TAG = "aws:autoscaling/tag:Tag"


def group(run: Run, name: str) -> Resource:
    return run.named(GROUP, f"nodes-{name}")


def test_nobody_comes_in_but_by_an_access_entry(estate: Run) -> None:
    access = estate.one(CLUSTER).inputs["accessConfig"]
    assert access["authenticationMode"] == "API", "aws-auth is a text that locks people out"
    assert access["bootstrapClusterCreatorAdminPermissions"] is False, "who made it is nobody special"


def test_administrators_and_ci_come_in_with_what_they_need(estate: Run) -> None:
    found = {
        policy.inputs["principalArn"].rpartition("/")[2]: policy.inputs["policyArn"].rpartition("/")[2]
        for policy in estate.all(ENTRY_POLICY)
    }
    environment = estate.outputs["environment"]
    assert found == {
        "administrators": "AmazonEKSClusterAdminPolicy",
        f"lightwork-{environment}-apply": "AmazonEKSClusterAdminPolicy",
        f"lightwork-{environment}-preview": "AmazonEKSViewPolicy",
    }, "the previewing role looks, and not at secrets"
    assert len(estate.all(ENTRY)) == 3, "an entry for each and for nobody else"


def test_the_previewing_role_sees_what_a_program_makes_and_no_secret(estate: Run) -> None:
    (entry,) = [entry for entry in estate.all(ENTRY) if entry.name == "cluster-previewer"]
    (binding,) = [
        resource.inputs
        for resource in estate.all("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding")
        if resource.inputs["metadata"]["name"] == objects.PREVIEWERS_NAME
    ]
    assert [subject["name"] for subject in binding["subjects"]] == entry.inputs["kubernetesGroups"], (
        "the group of its access entry and nobody else"
    )
    (role,) = [
        resource.inputs
        for resource in estate.all("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
        if resource.inputs["metadata"]["name"] == binding["roleRef"]["name"]
    ]
    for rule in role["rules"]:
        assert set(rule["verbs"]) == {"get", "list", "watch"}, "it looks"
        assert not {"secrets", "configmaps", "pods", "workflows", "*"} & set(rule["resources"]), (
            "what belongs to a customer is none of a merge request's business"
        )


def test_the_version_is_pinned_and_aws_does_not_change_it(estate: Run) -> None:
    cluster = estate.one(CLUSTER).inputs
    assert cluster["version"] == versions.KUBERNETES, "the version that the tests run"
    assert cluster["upgradePolicy"] == {"supportType": "EXTENDED"}, "STANDARD upgrades by itself one day"


def test_every_addon_is_pinned_and_none_is_missing(estate: Run) -> None:
    found = {addon.inputs["addonName"]: addon.inputs["addonVersion"] for addon in estate.all(ADDON)}
    assert found == versions.ADDONS, "one file of versions"
    for name, version in found.items():
        assert re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", version), f"{name}: {version} is not a version"
    assert estate.one(CLUSTER).inputs["bootstrapSelfManagedAddons"] is False, "nothing floats beside them"


def test_network_policies_are_enforced(estate: Run) -> None:
    settings = json.loads(estate.named(ADDON, "cluster-network").inputs["configurationValues"])
    assert settings["enableNetworkPolicy"] == "true", "without it the policies are accepted and mean nothing"


def test_secrets_are_encrypted_in_etcd_by_a_key_of_our_own(estate: Run) -> None:
    encryption = estate.one(CLUSTER).inputs["encryptionConfig"]
    assert encryption["resources"] == ["secrets"], "whoever reads the disk reads the secrets"
    assert encryption["provider"]["keyArn"].endswith(":key/cluster-secrets-key"), "the cluster's own key"


def test_the_control_plane_says_all_that_it_does(estate: Run) -> None:
    kinds = set(estate.one(CLUSTER).inputs["enabledClusterLogTypes"])
    assert kinds == {"api", "audit", "authenticator", "controllerManager", "scheduler"}, "all five"
    logs = estate.named("aws:cloudwatch/logGroup:LogGroup", "cluster-logs").inputs
    assert logs["name"] == f"/aws/eks/{estate.one(CLUSTER).inputs['name']}/cluster", "EKS writes to this name"
    assert logs["retentionInDays"] > 0, "logs that are never dropped are paid for for ever"
    assert logs["kmsKeyId"].endswith(":key/cluster-secrets-key"), "they hold who did what"
    assert any("cluster-logs" in urn for urn in estate.one(CLUSTER).depends_on), (
        "else EKS makes the group first, for ever and with no key"
    )


def test_the_api_is_private_unless_somebody_says_from_where_it_is_reached(estate: Run) -> None:
    vpc = estate.one(CLUSTER).inputs["vpcConfig"]
    assert vpc["endpointPrivateAccess"] is True, "nodes reach it inside"
    assert vpc["endpointPublicAccess"] is False, "the settings name no addresses"
    assert "0.0.0.0/0" not in vpc.get("publicAccessCidrs", []), "the whole world"
    assert set(vpc["subnetIds"]) == {f"network-control-{zone}-id" for zone in "abc"}, (
        "its interfaces are where network policies say that they are"
    )


def test_there_are_three_groups_and_no_default_one(estate: Run) -> None:
    names = {resource.inputs["nodeGroupNamePrefix"] for resource in estate.all(GROUP)}
    assert names == {"system-", "drivers-", "workers-"}, "each for its own kind of pods"
    assert not any("nodeGroupName" in resource.inputs for resource in estate.all(GROUP)), (
        "a group of a fixed name cannot be made anew before the old one is drained"
    )


def test_only_workers_are_on_spot(estate: Run) -> None:
    found = {
        resource.inputs["labels"]["lightwork/pool"]: resource.inputs["capacityType"]
        for resource in estate.all(GROUP)
    }
    assert found == {"system": "ON_DEMAND", "drivers": "ON_DEMAND", "workers": "SPOT"}, (
        "a driver or a scheduler that is taken away takes its run along"
    )


def test_workers_start_from_zero_and_are_kept_apart_as_the_manifests_expect(estate: Run) -> None:
    workers = group(estate, "workers").inputs
    assert workers["scalingConfig"]["minSize"] == 0, "no run, no cost"
    assert workers["labels"][contract.LABEL_SPOT] == "true", "the scaler's affinity names this label"
    assert workers["taints"] == [{"key": contract.LABEL_SPOT, "value": "true", "effect": "NO_SCHEDULE"}], (
        "workers tolerate exactly this taint"
    )
    for other in ("system", "drivers"):
        assert group(estate, other).inputs["labels"][contract.LABEL_SPOT] == "false", (
            f"{other} is not on spot"
        )


def test_drivers_need_no_toleration_and_system_nodes_are_not_theirs(estate: Run) -> None:
    assert not group(estate, "drivers").inputs.get("taints"), "a driver's pod tolerates nothing"
    assert group(estate, "system").inputs["taints"] == [SYSTEM_TAINT], "tenants' pods must not crowd Argo out"


def test_worker_types_are_several_and_all_of_one_size(estate: Run) -> None:
    types = group(estate, "workers").inputs["instanceTypes"]
    assert len(types) >= 4, "spot is had more often where there is a choice"
    assert len({name.partition(".")[2] for name in types}) == 1, "the autoscaler reckons with one for all"
    assert len({name[0] for name in types}) == 1, "memory differs between the families"


def test_no_update_resets_a_running_group(estate: Run) -> None:
    for resource in estate.all(GROUP):
        assert resource.ignore_changes == ["scalingConfig.desiredSize"], (
            f"{resource.name}: an `up` in the middle of a run would take its workers"
        )


def test_node_images_are_pinned_and_of_the_clusters_version(estate: Run) -> None:
    assert versions.NODE_IMAGE.startswith(f"{versions.KUBERNETES}."), "node and control plane go together"
    for resource in estate.all(GROUP):
        assert resource.inputs["releaseVersion"] == versions.NODE_IMAGE, "else each plan takes the newest"
        assert resource.inputs["version"] == versions.KUBERNETES, "of the cluster's version"


@pytest.mark.parametrize("name", ["system", "drivers", "workers"])
def test_the_autoscaler_knows_a_node_of_an_empty_group(estate: Run, name: str) -> None:
    tags = {
        tag.inputs["tag"]["key"]: tag.inputs["tag"]["value"]
        for tag in estate.all(TAG)
        if tag.inputs["autoscalingGroupName"] == f"eks-{name}"
    }
    hint = "k8s.io/cluster-autoscaler/node-template"
    made = group(estate, name).inputs
    for label, value in made["labels"].items():
        assert tags[f"{hint}/label/{label}"] == value, f"{label}: pods that select it would wait for ever"
    for taint in made.get("taints", []):
        assert tags[f"{hint}/taint/{taint['key']}"] == f"{taint['value']}:NoSchedule", (
            "else it adds nodes in vain"
        )
    assert tags[f"{hint}/resources/ephemeral-storage"], "pods ask for disk, too"


def test_the_spot_taint_is_what_the_manifests_tolerate() -> None:
    assert SPOT_TAINT["key"] == contract.LABEL_SPOT, "one name for both sides"


def test_no_pod_reads_the_nodes_credentials_and_every_disk_is_encrypted(estate: Run) -> None:
    assert len(estate.all(TEMPLATE)) == 3, "each group has a template"
    for template in estate.all(TEMPLATE):
        options = template.inputs["metadataOptions"]
        assert options["httpTokens"] == "required", "a plain GET would do"
        assert options["httpPutResponseHopLimit"] == 1, "a pod is one hop further"
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true", f"{template.name}: data is spilled to disk"


def test_what_a_node_needs_is_there_before_the_first_node(estate: Run) -> None:
    for resource in estate.all(GROUP):
        for first in ("cluster-kube-proxy", "cluster-network", "cluster-pod-identity"):
            assert any(urn.endswith(f"::{first}") for urn in resource.depends_on), (
                f"{resource.name} without {first} never becomes ready"
            )
    for later in ("nodes-dns", "nodes-volumes"):
        depends = estate.named(ADDON, later).depends_on
        assert any(urn.endswith("::nodes-system") for urn in depends), f"{later} has nowhere to run"


def test_prod_alone_is_guarded_by_eks_against_deletion(estates: dict[str, Run]) -> None:
    found = {name: run.one(CLUSTER).inputs["deletionProtection"] for name, run in estates.items()}
    assert found == {"dev": False, "staging": False, "prod": True}, "dev is torn down now and then"


def test_pods_get_their_roles_by_pod_identity_and_not_by_the_node(estate: Run) -> None:
    found = {
        (entry.inputs["namespace"], entry.inputs["serviceAccount"])
        for entry in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    assert found == {
        ("kube-system", "cluster-autoscaler"),
        ("logging", "fluent-bit"),
        ("logging", "search-admin"),
        ("monitoring", "alertmanager"),
        ("external-secrets", "external-secrets"),
    }, "whoever is not listed is nobody on AWS"
    node = [
        attachment.inputs["policyArn"].rpartition("/")[2]
        for attachment in estate.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if attachment.name.startswith("nodes-role")
    ]
    assert sorted(node) == ["AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodeMinimalPolicy"], (
        "what a node may do, every pod with the host's network may do"
    )
