"""The resources that pulumi-eks makes of a component, as a function of its inputs.

Its provider is a program of its own, which is not at hand without Pulumi's plugins. This is written from its
source, as far as the estate uses it. Anything beyond that is an error, never a resource too few.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.offline.answers import pretend

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

VERSION = "4.4.0"
"""The release of pulumi-eks whose children these are.

Read at commit 7bf0c1b1 of its repository (2026-08-12), the newest at hand, whose Python package has the same
arguments as that of this release: in nodejs/eks, `createCore` and `createCluster` (cluster/cluster.ts),
`createAccessEntries` (cluster/authenticationMode.ts) and `createManagedNodeGroup` (nodes/nodegroup.ts).
"""

CLUSTER, NODE_GROUP = "eks:index:Cluster", "eks:index:ManagedNodeGroup"

Inputs = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A resource that a component makes.

    Attributes:
        type: its Pulumi type.
        name: its logical name.
        inputs: its inputs.
        parent: the name of the child that it belongs to; empty for the component itself.
        depends_on: the names of the children to create first.
        ignore_changes: the inputs whose changes are ignored.
    """

    type: str
    name: str
    inputs: Inputs
    parent: str = ""
    depends_on: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a component makes.

    Attributes:
        children: its resources, in an order in which they can be created.
        outputs: its plain outputs, as far as the estate uses them.
        references: its outputs that are children, as the children's names.
    """

    children: tuple[Child, ...]
    outputs: Inputs = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)


def made(type_: str, name: str, inputs: Mapping[str, Any]) -> Made:
    """Return what pulumi-eks makes of a component.

    Args:
        type_: the component's type.
        name: its logical name.
        inputs: its inputs by the provider's names, with the state of a resource in its place.

    Raises:
        AssertionError: the component, or one of its inputs, is not known here.
    """
    if type_ not in _MAKERS:
        raise AssertionError(f"{_HERE} does not know the component {type_}")
    given = {key: value for key, value in inputs.items() if value is not None}
    if unknown := sorted(given.keys() - KNOWN[type_]):
        raise AssertionError(f"{_HERE} does not know what {type_} makes of {', '.join(unknown)}")
    return _MAKERS[type_](name, given)


_HERE = f"infra/offline/expected.py (pulumi-eks {VERSION})"


def _cluster(name: str, given: Inputs) -> Made:
    wanted = {
        "authenticationMode": "API",
        "skipDefaultNodeGroup": True,
        "skipDefaultSecurityGroups": True,
        "useDefaultVpcCni": True,
    }
    # Without the first, everybody's AWS profile would be in the state; without the others, AWS decides.
    needed = ("providerCredentialOpts", "vpcId", "serviceRole", "ipFamily", "encryptionConfigKeyArn")
    for key, value in wanted.items():
        if given.get(key) != value:
            raise AssertionError(f"{_HERE} knows {CLUSTER} only with {key} {value!r}")
    for key in needed:
        if key not in given:
            raise AssertionError(f"{_HERE} knows {CLUSTER} only with {key}")
    cluster = _control_plane(name, given)
    state = pretend(cluster.type, cluster.name, cluster.inputs)
    return Made(
        children=(
            cluster,
            *_kube_proxy(name, given, cluster),
            _provider(name, state),
            *_entries(name, given, cluster),
        ),
        outputs={"clusterSecurityGroupId": state["vpcConfig"]["clusterSecurityGroupId"]},
        references={"eksCluster": cluster.name},
    )


def _control_plane(name: str, given: Inputs) -> Child:
    vpc = {key: given.get(key) for key in ("subnetIds", "endpointPrivateAccess", "endpointPublicAccess")}
    inputs = {
        "name": given["name"],
        "roleArn": given["serviceRole"]["arn"],
        "kubernetesNetworkConfig": _some(
            serviceIpv4Cidr=given.get("kubernetesServiceIpAddressRange"), ipFamily=given["ipFamily"]
        ),
        "bootstrapSelfManagedAddons": given.get("bootstrapSelfManagedAddons", True),
        "vpcConfig": _some(**vpc, publicAccessCidrs=given.get("publicAccessCidrs")),
        "version": given.get("version"),
        "enabledClusterLogTypes": given.get("enabledClusterLogTypes"),
        "tags": {"Name": f"{name}-eksCluster", **given.get("clusterTags", {}), **given.get("tags", {})},
        "encryptionConfig": {
            "provider": {"keyArn": given["encryptionConfigKeyArn"]},
            "resources": ["secrets"],
        },
        "accessConfig": {
            "authenticationMode": given["authenticationMode"],
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "upgradePolicy": given.get("upgradePolicy"),
        "deletionProtection": given.get("deletionProtection"),
    }
    return Child(
        type="aws:eks/cluster:Cluster",
        name=f"{name}-eksCluster",
        inputs=_some(**inputs),
        ignore_changes=(
            "accessConfig.bootstrapClusterCreatorAdminPermissions",
            "bootstrapSelfManagedAddons",
        ),
    )


def _kube_proxy(name: str, given: Inputs, cluster: Child) -> tuple[Child, ...]:
    options = given.get("kubeProxyAddonOptions", {})
    if options.get("enabled") is False:
        return ()
    if "version" not in options:
        raise AssertionError(f"{_HERE}: {CLUSTER} would take the newest kube-proxy; give its version")
    inputs = {
        "clusterName": given["name"],
        "addonName": "kube-proxy",
        "preserve": True,
        "tags": given.get("tags"),
        "resolveConflictsOnCreate": options.get("resolveConflictsOnCreate", "OVERWRITE"),
        "resolveConflictsOnUpdate": options.get("resolveConflictsOnUpdate", "OVERWRITE"),
        "addonVersion": options["version"],
    }
    return (
        Child(
            type="aws:eks/addon:Addon",
            name=f"{name}-kube-proxy",
            inputs=_some(**inputs),
            depends_on=(cluster.name,),
        ),
    )


def _provider(name: str, state: Mapping[str, Any]) -> Child:
    """Return the Kubernetes provider, which the estate does not use. Its kubeconfig has no credentials."""
    region = state["arn"].split(":")[3]
    arguments = ["--region", region, "eks", "get-token", "--cluster-name", state["name"], "--output", "json"]
    version = "client.authentication.k8s.io/v1beta1"
    token = {
        "apiVersion": version,
        "command": "aws",
        "args": arguments,
        "env": [{"name": "KUBERNETES_EXEC_INFO", "value": f'{{"apiVersion": "{version}"}}'}],
    }
    cluster = {
        "server": state["endpoint"],
        "certificate-authority-data": state["certificateAuthority"]["data"],
    }
    kubeconfig = {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": "kubernetes"}],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [{"name": "aws", "user": {"exec": token}}],
    }
    return Child(
        type="pulumi:providers:kubernetes",
        name=f"{name}-eks-k8s",
        inputs={"kubeconfig": json.dumps(kubeconfig)},
        depends_on=(f"{name}-eksCluster",),
    )


def _entries(name: str, given: Inputs, cluster: Child) -> list[Child]:
    children = []
    for key, entry in given.get("accessEntries", {}).items():
        fields = {field: entry.get(field) for field in ("principalArn", "kubernetesGroups", "tags", "type")}
        principal = Child(
            type="aws:eks/accessEntry:AccessEntry",
            name=f"{name}-{key}",
            inputs=_some(**fields, clusterName=given["name"], userName=entry.get("username")),
            depends_on=(cluster.name,),
        )
        children.append(principal)
        children += [
            Child(
                type="aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
                name=f"{principal.name}-{policy}",
                inputs={**association, "principalArn": entry["principalArn"], "clusterName": given["name"]},
                parent=principal.name,
                depends_on=(principal.name,),
            )
            for policy, association in entry.get("accessPolicies", {}).items()
        ]
    return children


def _node_group(name: str, given: Inputs) -> Made:
    sizes = {"desiredSize": 2, "minSize": 1, "maxSize": 2} | given.get("scalingConfig", {})
    inputs = {key: value for key, value in given.items() if key != "cluster"}
    group = Child(
        type="aws:eks/nodeGroup:NodeGroup",
        name=name,
        inputs={**inputs, "clusterName": given["cluster"]["eksCluster"]["name"], "scalingConfig": sizes},
    )
    return Made(children=(group,), references={"nodeGroup": name})


def _some(**inputs: Any) -> Inputs:
    return {key: value for key, value in inputs.items() if value is not None}


KNOWN: Mapping[str, Set[str]] = {
    CLUSTER: frozenset(
        {
            *("accessEntries", "authenticationMode", "bootstrapSelfManagedAddons", "clusterTags"),
            *("deletionProtection", "enabledClusterLogTypes", "encryptionConfigKeyArn"),
            *("endpointPrivateAccess", "endpointPublicAccess", "ipFamily", "kubeProxyAddonOptions"),
            *("kubernetesServiceIpAddressRange", "name", "providerCredentialOpts", "publicAccessCidrs"),
            *("serviceRole", "skipDefaultNodeGroup", "skipDefaultSecurityGroups", "subnetIds", "tags"),
            *("upgradePolicy", "useDefaultVpcCni", "version", "vpcId"),
        }
    ),
    NODE_GROUP: frozenset(
        {
            *("amiType", "capacityType", "cluster", "instanceTypes", "labels", "launchTemplate"),
            *("nodeGroupNamePrefix", "nodeRoleArn", "releaseVersion", "scalingConfig", "subnetIds"),
            *("tags", "taints", "version"),
        }
    ),
}
"""The inputs of each component that are known here."""

_MAKERS = {CLUSTER: _cluster, NODE_GROUP: _node_group}
