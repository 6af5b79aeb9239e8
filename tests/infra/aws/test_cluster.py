"""The cluster and its nodes: access by entries only, everything pinned, spot for workers only."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pulumi
import pytest

from infra.aws.children import Children
from infra.aws.scaling import Scaling, to_send
from infra.config import nodes, versions
from infra.config.nodes import LABELS_ZONE, SPOT_TAINT, SYSTEM_TAINT, Group
from infra.services import objects
from lightwork.kube import contract
from tests.infra.order import waits_for

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


def awaited(run: Run, resource: Resource) -> set[str]:
    return {name for _, name in waits_for(run, resource)}


def test_access_entries_are_the_only_way_in(estate: Run) -> None:
    access = estate.one(CLUSTER).inputs["accessConfig"]
    assert access["authenticationMode"] == "API", "a mistake in aws-auth locks everybody out"
    assert access["bootstrapClusterCreatorAdminPermissions"] is False, "its creator gets no special access"


def test_nobodys_profile_is_written_into_the_state(estate: Run) -> None:
    component = estate.one("eks:index:Cluster").inputs
    assert component["providerCredentialOpts"] == {}, (
        "left out, pulumi-eks takes the AWS_PROFILE of the shell"
    )


def test_pulumi_eks_makes_no_nodes_groups_or_roles_of_its_own(estate: Run) -> None:
    made = {resource.type for resource in estate.resources if resource.expected}
    assert made == {CLUSTER, ADDON, ENTRY, ENTRY_POLICY, GROUP, "pulumi:providers:kubernetes"}
    component = estate.one("eks:index:Cluster").inputs
    for switch in ("skipDefaultNodeGroup", "skipDefaultSecurityGroups", "useDefaultVpcCni"):
        assert component[switch] is True, "its own role would have AmazonEKS_CNI_Policy"
    assert "corednsAddonOptions" not in component, "it would make CoreDNS before any node"


def test_the_cluster_survives_the_failure_of_a_zone_and_nodes_are_replaced_a_third_at_a_time(
    estate: Run,
) -> None:
    assert estate.one(CLUSTER).inputs["zonalShiftConfig"] == {"enabled": True}
    for resource in estate.all(GROUP):
        assert resource.inputs["updateConfig"] == {"maxUnavailablePercentage": 33}, resource.name
        assert resource.inputs["nodeRepairConfig"] == {"enabled": True}, resource.name


def test_administrators_and_ci_get_the_access_they_need(estate: Run) -> None:
    policies = {
        policy.inputs["principalArn"].rpartition("/")[2]: policy.inputs["policyArn"].rpartition("/")[2]
        for policy in estate.all(ENTRY_POLICY)
    }
    environment = estate.outputs["environment"]
    assert policies == {
        "administrators": "AmazonEKSClusterAdminPolicy",
        f"lightwork-{environment}-apply": "AmazonEKSClusterAdminPolicy",
        f"lightwork-{environment}-preview": "AmazonEKSViewPolicy",
    }, "the previewing role may look, but not at secrets"
    assert len(estate.all(ENTRY)) == 3, "one entry each and no others"


def test_the_previewing_role_reads_what_the_program_creates_and_no_secret(estate: Run) -> None:
    (entry,) = [entry for entry in estate.all(ENTRY) if entry.name == "cluster-previewer"]
    (binding,) = [
        resource.inputs
        for resource in estate.all("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding")
        if resource.inputs["metadata"]["name"] == objects.PREVIEWERS_NAME
    ]
    assert [subject["name"] for subject in binding["subjects"]] == entry.inputs["kubernetesGroups"], (
        "only the group of its access entry"
    )
    (role,) = [
        resource.inputs
        for resource in estate.all("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
        if resource.inputs["metadata"]["name"] == binding["roleRef"]["name"]
    ]
    for rule in role["rules"]:
        assert set(rule["verbs"]) == {"get", "list", "watch"}, "read only"
        assert not {"secrets", "configmaps", "pods", "workflows", "*"} & set(rule["resources"]), (
            "a merge request must not read customers' data"
        )


def test_the_version_is_pinned_and_aws_does_not_upgrade_it(estate: Run) -> None:
    cluster = estate.one(CLUSTER).inputs
    assert cluster["version"] == versions.KUBERNETES, "the version that the tests run"
    assert cluster["upgradePolicy"] == {"supportType": "EXTENDED"}, (
        "AWS upgrades a cluster with STANDARD support automatically"
    )


def test_every_addon_is_pinned_and_none_is_missing(estate: Run) -> None:
    installed = {addon.inputs["addonName"]: addon.inputs["addonVersion"] for addon in estate.all(ADDON)}
    assert installed == versions.ADDONS, "infra/config/versions.py is the only place"
    for name, version in installed.items():
        assert re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", version), f"{name}: {version} is not a version"
    assert estate.one(CLUSTER).inputs["bootstrapSelfManagedAddons"] is False, (
        "self-managed add-ons would not be pinned"
    )


def test_network_policies_are_enforced(estate: Run) -> None:
    settings = json.loads(estate.named(ADDON, "cluster-network").inputs["configurationValues"])
    assert settings["enableNetworkPolicy"] == "true", "without it, policies are accepted but have no effect"


def test_secrets_are_encrypted_in_etcd_by_a_key_of_our_own(estate: Run) -> None:
    encryption = estate.one(CLUSTER).inputs["encryptionConfig"]
    assert encryption["resources"] == ["secrets"], "otherwise etcd's disk holds them in clear text"
    assert encryption["provider"]["keyArn"].endswith(":key/cluster-secrets-key"), "the cluster's own key"


def test_the_control_plane_logs_everything(estate: Run) -> None:
    kinds = set(estate.one(CLUSTER).inputs["enabledClusterLogTypes"])
    assert kinds == {"api", "audit", "authenticator", "controllerManager", "scheduler"}, "all five"
    logs = estate.named("aws:cloudwatch/logGroup:LogGroup", "cluster-logs").inputs
    assert logs["name"] == f"/aws/eks/{estate.one(CLUSTER).inputs['name']}/cluster", "EKS writes to this name"
    assert logs["retentionInDays"] > 0, "logs without retention cost money for ever"
    assert logs["kmsKeyId"].endswith(":key/cluster-secrets-key"), "audit logs must be encrypted"
    assert "cluster-logs" in awaited(estate, estate.one(CLUSTER)), (
        "otherwise EKS creates the group first, without retention and key"
    )


def test_the_api_is_private_unless_the_settings_name_addresses(estate: Run) -> None:
    vpc = estate.one(CLUSTER).inputs["vpcConfig"]
    assert vpc["endpointPrivateAccess"] is True, "nodes reach it from inside the VPC"
    assert vpc["endpointPublicAccess"] is False, "the settings name no addresses"
    assert "0.0.0.0/0" not in vpc.get("publicAccessCidrs", []), "the whole world"
    assert set(vpc["subnetIds"]) == {f"network-control-{zone}-id" for zone in "abc"}, (
        "network policies name these subnets"
    )


def test_there_is_a_group_for_each_kind_of_pod_and_one_per_zone_for_the_system(estate: Run) -> None:
    names = {resource.inputs["nodeGroupNamePrefix"] for resource in estate.all(GROUP)}
    assert names == {"system-a-", "system-b-", "system-c-", "drivers-", "workers-"}
    assert not any("nodeGroupName" in resource.inputs for resource in estate.all(GROUP)), (
        "a group with a fixed name cannot be replaced before the old one is drained"
    )


def test_only_workers_are_on_spot(estate: Run) -> None:
    capacity = {
        resource.inputs["labels"]["lightwork/pool"]: resource.inputs["capacityType"]
        for resource in estate.all(GROUP)
    }
    assert capacity == {"system": "ON_DEMAND", "drivers": "ON_DEMAND", "workers": "SPOT"}, (
        "losing a driver or a scheduler means losing its run"
    )


def test_workers_start_at_zero_with_the_label_and_taint_of_the_manifests(estate: Run) -> None:
    workers = group(estate, "workers").inputs
    assert workers["scalingConfig"]["minSize"] == 0, "no run, no cost"
    assert workers["labels"][contract.LABEL_SPOT] == "true", "the scaler's affinity names this label"
    assert workers["taints"] == [{"key": contract.LABEL_SPOT, "value": "true", "effect": "NO_SCHEDULE"}], (
        "workers tolerate exactly this taint"
    )
    for other in ("system-a", "drivers"):
        assert group(estate, other).inputs["labels"][contract.LABEL_SPOT] == "false", (
            f"{other} is not on spot"
        )


def test_drivers_need_no_toleration_and_stay_off_system_nodes(estate: Run) -> None:
    assert not group(estate, "drivers").inputs.get("taints"), "a driver's pod has no toleration"
    assert group(estate, "system-b").inputs["taints"] == [SYSTEM_TAINT], (
        "tenants' pods must not crowd Argo out"
    )


def test_there_are_several_worker_types_of_the_same_size(estate: Run) -> None:
    types = group(estate, "workers").inputs["instanceTypes"]
    assert len(types) >= 4, "more choice means more spot capacity"
    assert len({name.partition(".")[2] for name in types}) == 1, (
        "the autoscaler takes all nodes of a group to be alike"
    )
    assert len({name[0] for name in types}) == 1, "memory differs between the families"


def live(group: Group, desired: int, *, minimum: int | None = None, maximum: int | None = None) -> Scaling:
    """Return a group's scaling on AWS, with the limits of the settings unless others are given."""
    return Scaling(
        minimum=group.min_size if minimum is None else minimum,
        maximum=group.max_size if maximum is None else maximum,
        desired=desired,
    )


WORKERS = Group(pool="workers", types=("m7i.large",), min_size=2, max_size=20)
NAME = f"workers-{'20261127120000000000000001':0>26}"


@pytest.mark.parametrize(
    ("found", "desired", "ignored"),
    [
        ({}, 2, False),
        ({NAME: live(WORKERS, 12)}, 12, True),
        ({NAME: live(WORKERS, 12, maximum=10)}, 12, False),
        ({NAME: live(WORKERS, 0, minimum=0)}, 2, False),
        ({NAME: live(WORKERS, 35, maximum=40)}, 20, False),
        ({NAME.replace("workers", "workers-a"): live(WORKERS, 9)}, 2, False),
        ({NAME: live(WORKERS, 3), NAME.replace("2026", "2027"): live(WORKERS, 7)}, 7, True),
    ],
    ids=["new", "grown", "raised maximum", "raised minimum", "lowered maximum", "another's", "replaced"],
)
def test_the_live_size_is_ignored_or_sent_within_the_new_limits(
    found: dict[str, Scaling], desired: int, ignored: bool
) -> None:
    assert to_send(WORKERS, found) == (live(WORKERS, desired), ignored)


def test_the_scaling_is_ignored_of_exactly_the_groups_whose_limits_aws_has() -> None:
    children = Children()
    children.leave_scaling("workers-")
    ignored = {}
    for prefix in ("workers-", "drivers-"):
        args = pulumi.ResourceTransformArgs(
            custom=True,
            type_=GROUP,
            name="any",
            props={"nodeGroupNamePrefix": prefix},
            opts=pulumi.ResourceOptions(ignore_changes=["labels"]),
        )
        result = children.decide(args)
        assert result is not None
        ignored[prefix] = result.opts.ignore_changes
    assert ignored == {"workers-": ["labels", "scalingConfig"], "drivers-": ["labels"]}


def test_without_an_account_each_group_is_shown_at_its_minimum(estate: Run) -> None:
    for resource in estate.all(GROUP):
        scaling = resource.inputs["scalingConfig"]
        assert scaling["desiredSize"] == scaling["minSize"], "the simulated account is empty"
    assert [token for token, _ in estate.invokes if token.startswith("aws:eks/")] == [
        "aws:eks/getClusters:getClusters"
    ], "asking for the groups of a missing cluster is an error"


def test_every_pool_that_has_volumes_has_a_group_in_each_zone(estate: Run) -> None:
    stored = [
        release.inputs["name"]
        for release in estate.all("kubernetes:helm.sh/v3:Release")
        if "volumeClaimTemplate" in json.dumps(release.inputs["values"])
    ]
    assert stored == ["kube-prometheus-stack"], "all of it is on system nodes"
    region = estate.outputs["region"]
    for zone in "abc":
        system = group(estate, f"system-{zone}")
        assert system.inputs["subnetIds"] == [f"network-private-{zone}-id"], "a volume cannot leave its zone"
        tags = {
            tag.inputs["tag"]["key"].rpartition("node-template/label/")[2]: tag.inputs["tag"]["value"]
            for tag in estate.all(TAG)
            if tag.inputs["autoscalingGroupName"] == f"eks-system-{zone}"
        }
        assert {tags[label] for label in LABELS_ZONE} == {f"{region}{zone}"}, (
            "the autoscaler would never add a node to an empty group for a volume"
        )
    assert estate.one("kubernetes:storage.k8s.io/v1:StorageClass").inputs["volumeBindingMode"] == (
        "WaitForFirstConsumer"
    ), "a volume is made in the zone of its pod"


def test_an_update_drains_the_system_nodes_of_one_zone_at_a_time(estate: Run) -> None:
    for before, after in ("ab", "bc"):
        assert f"nodes-system-{before}" in awaited(estate, group(estate, f"system-{after}"))


def test_the_smallest_number_of_system_nodes_is_spread_over_the_zones(estates: dict[str, Run]) -> None:
    smallest = {
        environment: [group(run, f"system-{zone}").inputs["scalingConfig"]["minSize"] for zone in "abc"]
        for environment, run in estates.items()
    }
    assert smallest == {"dev": [1, 1, 0], "staging": [1, 1, 0], "prod": [1, 1, 1]}
    assert [nodes.evenly(total) for total in (1, 4, 6)] == [[1, 0, 0], [2, 1, 1], [2, 2, 2]]


def test_node_images_are_pinned_and_of_the_clusters_version(estate: Run) -> None:
    assert versions.NODE_IMAGE.startswith(f"{versions.KUBERNETES}."), (
        "nodes and control plane must have the same version"
    )
    for resource in estate.all(GROUP):
        assert resource.inputs["releaseVersion"] == versions.NODE_IMAGE, (
            "otherwise each deployment takes the newest"
        )
        assert resource.inputs["version"] == versions.KUBERNETES, "of the cluster's version"


@pytest.mark.parametrize("name", ["system-c", "drivers", "workers"])
def test_tags_describe_the_nodes_of_an_empty_group_to_the_autoscaler(estate: Run, name: str) -> None:
    tags = {
        tag.inputs["tag"]["key"]: tag.inputs["tag"]["value"]
        for tag in estate.all(TAG)
        if tag.inputs["autoscalingGroupName"] == f"eks-{name}"
    }
    hint = "k8s.io/cluster-autoscaler/node-template"
    inputs = group(estate, name).inputs
    for label, value in inputs["labels"].items():
        assert tags[f"{hint}/label/{label}"] == value, f"{label}: pods that select it would wait for ever"
    for taint in inputs.get("taints", []):
        assert tags[f"{hint}/taint/{taint['key']}"] == f"{taint['value']}:NoSchedule", (
            "otherwise it adds nodes that pods cannot use"
        )
    assert tags[f"{hint}/resources/ephemeral-storage"], "pods request disk as well"


def test_the_spot_taint_is_what_the_manifests_tolerate() -> None:
    assert SPOT_TAINT["key"] == contract.LABEL_SPOT, "both sides use the same name"


def test_pods_cannot_read_the_nodes_credentials_and_disks_are_encrypted(estate: Run) -> None:
    assert len(estate.all(TEMPLATE)) == 3, "each pool has a template"
    for template in estate.all(TEMPLATE):
        options = template.inputs["metadataOptions"]
        assert options["httpTokens"] == "required", "IMDSv1 needs no token"
        assert options["httpPutResponseHopLimit"] == 1, "a pod is one hop further away"
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true", f"{template.name}: workers spill data to disk"


def test_add_ons_that_nodes_need_come_before_the_first_node(estate: Run) -> None:
    for resource in estate.all(GROUP):
        for first in ("cluster-kube-proxy", "cluster-network", "cluster-pod-identity"):
            assert first in awaited(estate, resource), f"{resource.name} without {first} never becomes ready"
    for later in ("nodes-dns", "nodes-volumes"):
        waits = awaited(estate, estate.named(ADDON, later))
        assert "nodes-system-a" in waits, f"{later} has nowhere to run"


def test_only_in_prod_eks_refuses_deletion(estates: dict[str, Run]) -> None:
    protection = {name: run.one(CLUSTER).inputs["deletionProtection"] for name, run in estates.items()}
    assert protection == {"dev": False, "staging": False, "prod": True}, "dev is torn down from time to time"


def test_pods_get_their_roles_by_pod_identity_and_not_by_the_node(estate: Run) -> None:
    accounts = {
        (entry.inputs["namespace"], entry.inputs["serviceAccount"])
        for entry in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    assert accounts == {
        ("kube-system", "cluster-autoscaler"),
        ("logging", "fluent-bit"),
        ("logging", "search-admin"),
        ("monitoring", "alertmanager"),
        ("monitoring", "watch"),
        ("external-secrets", "external-secrets"),
        ("argo", "archive-login"),
    }, "no other account has an AWS role"
    node = [
        attachment.inputs["policyArn"].rpartition("/")[2]
        for attachment in estate.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if attachment.name.startswith("nodes-role")
    ]
    assert sorted(node) == ["AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodeMinimalPolicy"], (
        "pods on the host's network can use the node's rights"
    )
