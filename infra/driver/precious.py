"""Precious resources, and the steps of a plan that would delete or replace one. Needs no Pulumi.

`infra/permission.py` lifts the protection of the resources that a committed `destroy` entry names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.config.stack import StackName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


PRECIOUS = frozenset(
    {
        "aws:ecr/repository:Repository",
        "aws:eks/cluster:Cluster",
        "aws:kms/key:Key",
        "aws:kms/replicaKey:ReplicaKey",
        "aws:opensearch/domain:Domain",
        "aws:rds/cluster:Cluster",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:secretsmanager/secret:Secret",
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "kubernetes:core/v1:Namespace",
    }
)
"""Pulumi types of resources that hold data, or whose deletion deletes other resources' data."""

HARMLESS = frozenset({"same", "create", "update", "read", "refresh", "import"})
"""The engine's operations that keep an existing resource. Any other counts as destructive. That includes
operations that a later engine adds, and those by which Pulumi only forgets a resource, as nothing manages it
any more.
"""

UNCHANGED = frozenset({"same", "refresh"})
"""Operations that change nothing. What a refresh finds changed is in the steps of the plan after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a plan, from the engine's events.

    Attributes:
        op: the engine's name of the operation, such as `delete` or `create-replacement`.
        urn: the resource's URN.
        type: its Pulumi type, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
        values: its changed values, one line each; all of them if it is created.
        namespace: the Kubernetes namespace that it is in; empty for anything else.
    """

    op: str
    urn: str
    type: str
    name: str
    values: tuple[str, ...] = ()
    namespace: str = ""


def forbidden(steps: Iterable[Step], allowed: Collection[str]) -> list[str]:
    """Return the precious resources that a plan would delete, replace or forget without permission.

    Args:
        steps: the plan's steps.
        allowed: the logical names that a committed `destroy` entry allows to delete.

    Returns:
        One line for each resource, in the plan's order. The several steps of a replacement make one line.
    """
    endings: dict[tuple[str, str, str], set[str]] = {}
    for step in steps:
        if step.type in PRECIOUS and step.op not in HARMLESS and step.name not in allowed:
            endings.setdefault((step.urn, step.type, step.name), set()).add(step.op)
    return [
        f"{name} ({kind}): would be {_fate(ops)}, but is precious; to allow it, {_permission(urn, name)}"
        for (urn, kind, name), ops in endings.items()
    ]


def _fate(ops: set[str]) -> str:
    if any("replace" in op for op in ops):
        return "replaced"
    return "deleted" if "delete" in ops else f"lost (operation {', '.join(sorted(ops))})"


def _permission(urn: str, name: str) -> str:
    """Return what to commit, and where: the environment's settings or the tenant's file."""
    stack = StackName.of_urn(urn)
    if stack.tenant:
        entry = f"destroy: {{{stack.environment}: [{name}]}}"
        where = f"`{entry}` beside `state: leaving` in tenants/{stack.tenant}.yaml"
    else:
        where = f"`lightwork:destroy: [{name}]` in Pulumi.{stack}.yaml"
    return f"commit {where}"
