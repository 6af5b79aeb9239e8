"""The sizes of the node groups as AWS has them, and what to tell it about a group's size.

Only the autoscaler decides how many nodes run, but EKS takes minimum, maximum and number in one call, and the
provider sends all three whenever one of them changes. Ignoring the number alone would send the one that the
group was created with, and a run would lose its nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.nodes import Group

SUFFIX = "[0-9a-f]{26}"
"""What the provider adds to the prefix of a node group's name: a time stamp and a counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The scaling of a node group.

    Attributes:
        minimum: the minimum number of nodes.
        maximum: the maximum number of nodes.
        desired: the number of nodes that should run now.
    """

    minimum: int
    maximum: int
    desired: int


def live_scalings(cluster: str, parent: pulumi.Resource) -> dict[str, Scaling]:
    """Ask AWS for the scaling of a cluster's node groups.

    Args:
        cluster: the cluster's name.
        parent: the resource whose provider asks.

    Returns:
        The scaling of each node group, by the group's name; empty if the cluster does not exist yet.
    """
    opts = pulumi.InvokeOptions(parent=parent)
    # Asked first, since asking for the node groups of a missing cluster is an error.
    if cluster not in aws.eks.get_clusters(opts=opts).names:
        return {}
    return {
        name: _scaling(aws.eks.get_node_group(cluster_name=cluster, node_group_name=name, opts=opts))
        for name in aws.eks.get_node_groups(cluster_name=cluster, opts=opts).names
    }


def to_send(group: Group, live: Mapping[str, Scaling]) -> tuple[Scaling, bool]:
    """Return the scaling of a group to declare, and whether Pulumi is to ignore it.

    It is ignored as long as AWS has the minimum and the maximum of the settings. Otherwise the live number of
    nodes is sent, moved into the new limits: EKS refuses a minimum above it and a maximum below it.

    Args:
        group: the group in the settings.
        live: the scaling of the cluster's node groups, by their names.
    """
    names = [name for name in live if re.fullmatch(f"{re.escape(group.name)}-{SUFFIX}", name)]
    # While a group is replaced there are two. Names grow with time.
    current = live[max(names)] if names else None
    desired = min(max(current.desired, group.min_size), group.max_size) if current else group.min_size
    declared = Scaling(minimum=group.min_size, maximum=group.max_size, desired=desired)
    unchanged = current is not None and (current.minimum, current.maximum) == (
        declared.minimum,
        declared.maximum,
    )
    return declared, unchanged


def _scaling(group: aws.eks.AwaitableGetNodeGroupResult) -> Scaling:
    config = group.scaling_configs[0]
    return Scaling(minimum=config.min_size, maximum=config.max_size, desired=config.desired_size)
