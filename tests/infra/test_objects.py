"""What other stacks or the cluster itself make is not made a second time: the real providers refuse it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from infra import manifests
from infra.config.stack import ENVIRONMENTS
from infra.offline.dump import entries
from infra.services.objects import SEEN
from lightwork.manifests import base
from tests.estate import files
from tests.infra.order import waits_for

if TYPE_CHECKING:
    from infra.offline.dump import Entry
    from tests.infra.engine import Run

MADE_BY_OTHERS = {
    ("ServiceAccount", "*", "default"),
    ("ConfigMap", "*", "kube-root-ca.crt"),
    *(("Namespace", "", name) for name in ("default", "kube-system", "kube-public", "kube-node-lease")),
    ("Service", "default", "kubernetes"),
    ("Service", "kube-system", "kube-dns"),
    *(("PriorityClass", "", f"system-{kind}-critical") for kind in ("cluster", "node")),
    *(("ClusterRole", "", name) for name in ("admin", "cluster-admin", "edit", "view")),
    ("ClusterRoleBinding", "", "cluster-admin"),
    ("ConfigMap", "kube-system", "extension-apiserver-authentication"),
    # EKS
    ("StorageClass", "", "gp2"),
    *(("ConfigMap", "kube-system", name) for name in ("aws-auth", "coredns", "amazon-vpc-cni", "kube-proxy")),
    *(("ServiceAccount", "kube-system", name) for name in ("aws-node", "coredns", "kube-proxy")),
}
"""Kind, namespace and name of what Kubernetes and EKS make in every cluster; `*` is any namespace."""


def objects(run: Run) -> list[Entry]:
    return [
        entry
        for entry in entries(run)
        if entry["type"].startswith("kubernetes:") and "kind" in entry["inputs"]
    ]


def identity(entry: Entry) -> tuple[str, str, str]:
    metadata = entry["inputs"]["metadata"]
    return entry["inputs"]["kind"], metadata.get("namespace", ""), metadata["name"]


def is_made_by_others(entry: Entry) -> bool:
    kind, namespace, name = identity(entry)
    return bool({(kind, namespace, name), (kind, "*", name)} & MADE_BY_OTHERS) or name.startswith("system:")


def test_what_the_cluster_makes_is_patched_and_nothing_else_is(
    estates: dict[str, Run], customers: dict[str, Run]
) -> None:
    for run in (*estates.values(), *customers.values()):
        for entry in objects(run):
            assert entry["type"].endswith("Patch") == is_made_by_others(entry), (
                f"{entry['name']}: {entry['type']}: an object that exists cannot be created"
            )


def test_every_tenants_default_account_has_no_token(customer: Run) -> None:
    (account,) = customer.all("kubernetes:core/v1:ServiceAccountPatch")
    assert account.inputs["metadata"]["name"] == "default"
    assert account.inputs["automountServiceAccountToken"] is False
    assert set(account.inputs) == {"apiVersion", "kind", "metadata", "automountServiceAccountToken"}, (
        "a patch owns what it sets: nothing that others write"
    )


@pytest.mark.parametrize(("kind", "name"), sorted(manifests.MADE_BY_KUBERNETES))
def test_an_object_of_every_namespace_is_patched(kind: str, name: str) -> None:
    made = base.manifest("v1", kind, name, files.load("acme"))
    assert manifests.token(made) == f"kubernetes:core/v1:{kind}Patch"
    assert manifests.token({**made, "metadata": {"name": "other"}}) == f"kubernetes:core/v1:{kind}"


NAMED_BY = {
    "aws:autoscaling/tag:Tag": ("autoscalingGroupName", "tag"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ("clusterName", "principalArn", "policyArn"),
    "aws:eks/accessEntry:AccessEntry": ("clusterName", "principalArn"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("clusterName", "namespace", "serviceAccount"),
    "aws:eks/addon:Addon": ("clusterName", "addonName"),
    "aws:iam/rolePolicy:RolePolicy": ("role", "name"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
    "aws:ec2/subnet:Subnet": ("vpcId", "cidrBlock"),
    "aws:ec2/route:Route": ("routeTableId", "destinationCidrBlock"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("subnetId",),
    "aws:opensearch/domain:Domain": ("domainName",),
    "aws:rds/instance:Instance": ("identifier",),
}
"""What makes a resource of AWS the same as another one, for types whose `name` or `bucket` does not."""


def physical(entry: Entry) -> str | None:
    """Return what AWS or Kubernetes knows a resource by; None if it chooses an identity of its own."""
    inputs: dict[str, Any] = entry["inputs"]
    if entry["type"].startswith("kubernetes:"):
        return json.dumps(identity(entry)) if "kind" in inputs else None
    fields = NAMED_BY.get(entry["type"], ("name",) if "name" in inputs else ("bucket",))
    if not entry["type"].startswith("aws:") or not set(fields) <= set(inputs):
        return None
    return json.dumps([entry["type"], *(inputs[field] for field in fields)])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_two_resources_of_an_environment_are_one_and_the_same(
    environment: str, estates: dict[str, Run], customers: dict[str, Run]
) -> None:
    runs = [
        estates[environment],
        *(run for stack, run in customers.items() if stack.startswith(f"{environment}.")),
    ]
    assert len(runs) > 1, "isolation needs tenants"
    counted = Counter(filter(None, (physical(entry) for run in runs for entry in entries(run))))
    assert not [name for name, count in counted.items() if count > 1], "the second one cannot be created"


VIEW = {
    *("configmaps", "endpoints", "events", "limitranges", "namespaces", "persistentvolumeclaims", "pods"),
    *("resourcequotas", "serviceaccounts", "services", "daemonsets", "deployments", "replicasets"),
    *("statefulsets", "cronjobs", "jobs", "ingresses", "networkpolicies", "poddisruptionbudgets"),
}
"""What EKS's view policy lets the previewing role read."""


def test_the_previewing_role_reads_every_kind_of_object_and_no_stack_makes_a_secret(
    estates: dict[str, Run], customers: dict[str, Run]
) -> None:
    """Comparing a state with the real objects reads each of them."""
    seen = VIEW | {resource for resources in SEEN.values() for resource in resources}
    kinds = {identity(entry)[0] for run in (*estates.values(), *customers.values()) for entry in objects(run)}
    plural = {
        kind: f"{kind.lower()}{'es' if kind.endswith('s') else 's'}".replace("ys", "ies") for kind in kinds
    }
    assert {kind for kind in kinds if plural[kind] not in seen} == set()
    assert "secrets" not in seen
    assert "Secret" not in kinds


def test_helms_releases_are_in_config_maps(estate: Run) -> None:
    provider = estate.named("pulumi:providers:kubernetes", "kubernetes")
    assert json.loads(provider.inputs["helmReleaseSettings"]) == {"driver": "configmap"}, (
        "a release in a Secret cannot be read by the previewing role"
    )


def test_everything_in_the_cluster_is_deleted_before_the_access_to_it(estate: Run) -> None:
    """`destroy` deletes in the reverse order of dependencies."""
    needed = {
        (resource.type, resource.name)
        for resource in estate.resources
        if resource.type.startswith("aws:eks/access")
    }
    needs = {(resource.type, resource.name): waits_for(estate, resource) for resource in estate.resources}
    assert len(needed) > 3

    def reached(name: tuple[str, str], seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
        for other in needs.get(name, set()) - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    for entry in entries(estate):
        if entry["type"].startswith("kubernetes:"):
            assert needed <= reached((entry["type"], entry["name"]), set()), entry["name"]
