"""What must not end by accident, and which steps of a plan would end it. Needs no Pulumi.

`infra/permission.py` says who may still end it.
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
"""Pulumi's types of what holds data, or takes others' data along when it goes."""

HARMLESS = frozenset({"same", "create", "update", "read", "refresh", "import"})
"""The engine's operations that leave what there is in its place. Any other is taken to end it, also one that
a later engine brings, and also where Pulumi would only forget a resource: nobody looks after it then.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a plan, as the engine's events tell it.

    Attributes:
        op: the operation, in the engine's word, such as `delete` or `create-replacement`.
        urn: the resource's URN.
        type: its Pulumi type, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
    """

    op: str
    urn: str
    type: str
    name: str


def forbidden(steps: Iterable[Step], allowed: Collection[str]) -> list[str]:
    """What a plan would end that it must not.

    Args:
        steps: the plan's steps.
        allowed: the logical names that a committed `destroy` entry permits to end.

    Returns:
        One line for each precious resource that the steps delete, replace or forget, in the plan's order. A
        replacement is several steps, and one line.
    """
    ops: dict[tuple[str, str, str], set[str]] = {}
    for step in steps:
        if step.type in PRECIOUS and step.op not in HARMLESS and step.name not in allowed:
            ops.setdefault((step.urn, step.type, step.name), set()).add(step.op)
    return [
        f"{name} ({kind}): would be {_fate(found)}, and it is precious; {_permission(urn, name)}"
        for (urn, kind, name), found in ops.items()
    ]


def _fate(ops: set[str]) -> str:
    if any("replace" in op for op in ops):
        return "replaced"
    return "deleted" if "delete" in ops else f"ended ({', '.join(sorted(ops))})"


def _permission(urn: str, name: str) -> str:
    """Where its end would be permitted: in the environment's settings, or in the tenant's file."""
    stack = StackName.of_urn(urn)
    if stack.tenant:
        entry = f"destroy: {{{stack.environment}: [{name}]}}"
        where = f"`{entry}` beside `state: leaving` in tenants/{stack.tenant}.yaml"
    else:
        where = f"`lightwork:destroy: [{name}]` in Pulumi.{stack}.yaml"
    return f"if that is meant, commit {where}"
