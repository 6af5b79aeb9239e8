"""The calls that make a cluster and its parts."""

from __future__ import annotations

import json

from tests.infra.models.calls import Call, Calls, Given, entry


@entry("aws:eks/cluster:Cluster")
def _cluster(given: Given) -> Calls:
    encryption, vpc = given("encryptionConfig"), given("vpcConfig")
    yield Call(
        "eks",
        "CreateCluster",
        {
            **given.named("name", "version", "roleArn", "deletionProtection", "tags"),
            **given.named("accessConfig", "upgradePolicy", "zonalShiftConfig"),
            "bootstrapSelfManagedAddons": given("bootstrapSelfManagedAddons"),
            "kubernetesNetworkConfig": given("kubernetesNetworkConfig"),
            "resourcesVpcConfig": vpc,
            "encryptionConfig": [encryption],
            "logging": {"clusterLogging": [{"types": given("enabledClusterLogTypes"), "enabled": True}]},
        },
    )


@entry("aws:eks/nodeGroup:NodeGroup")
def _node_group(given: Given) -> Calls:
    effects = {"NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"}
    taints = given("taints") or []
    assert {taint["effect"] for taint in taints} <= effects
    yield Call(
        "eks",
        "CreateNodegroup",
        {
            "nodegroupName": f"{given('nodeGroupNamePrefix')}20261127000000000000000001",
            "subnets": given("subnetIds"),
            "nodeRole": given("nodeRoleArn"),
            "taints": taints,
            **{
                name: given(name)
                for name in (
                    *("clusterName", "version", "releaseVersion", "amiType", "capacityType", "instanceTypes"),
                    *(
                        "launchTemplate",
                        "scalingConfig",
                        "updateConfig",
                        "nodeRepairConfig",
                        "labels",
                        "tags",
                    ),
                )
            },
        },
    )


@entry("aws:eks/addon:Addon")
def _addon(given: Given) -> Calls:
    if settings := given("configurationValues"):
        json.loads(settings)
    given.skip("preserve")
    yield Call(
        "eks",
        "CreateAddon",
        {
            **given.named("clusterName", "addonName", "addonVersion", "tags"),
            "configurationValues": settings,
            "resolveConflicts": given("resolveConflictsOnCreate"),
            "podIdentityAssociations": given("podIdentityAssociations"),
        },
    )
    update = {"clusterName": given("clusterName"), "addonName": given("addonName")}
    yield Call("eks", "UpdateAddon", {**update, "resolveConflicts": given("resolveConflictsOnUpdate")})


@entry("aws:eks/accessEntry:AccessEntry")
def _access_entry(given: Given) -> Calls:
    yield Call(
        "eks",
        "CreateAccessEntry",
        given.named("clusterName", "principalArn", "kubernetesGroups", "type", "tags"),
    )


@entry("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
def _access_policy(given: Given) -> Calls:
    yield Call(
        "eks", "AssociateAccessPolicy", given.named("clusterName", "principalArn", "policyArn", "accessScope")
    )


@entry("aws:eks/podIdentityAssociation:PodIdentityAssociation")
def _pod_identity(given: Given) -> Calls:
    yield Call(
        "eks",
        "CreatePodIdentityAssociation",
        given.named("clusterName", "namespace", "serviceAccount", "roleArn", "tags"),
    )
