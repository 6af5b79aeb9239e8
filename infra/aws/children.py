"""What the estate decides about the resources that pulumi-eks makes, where its components have no argument.

pulumi-eks' components create their resources in the process of their own provider, out of this program's
reach. The engine calls a stack transform for each resource of a stack, theirs included, before it creates or
changes it.
"""

from __future__ import annotations

import copy
from typing import Self

import pulumi

CLUSTER = "aws:eks/cluster:Cluster"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"


class Children:
    """The decisions about a stack's clusters and node groups."""

    def __init__(self) -> None:
        self._unscaled: set[str] = set()

    @classmethod
    def registered(cls) -> Self:
        """Make them, and let the engine apply them to every resource that is registered from now on.

        It applies transforms in the order in which they were registered.
        """
        children = cls()
        pulumi.runtime.register_resource_transform(children.decide)
        return children

    def leave_scaling(self, prefix: str) -> None:
        """Ignore changes of the scaling of a node group, which must not be registered yet.

        Args:
            prefix: the prefix of the group's name.
        """
        self._unscaled.add(prefix)

    def decide(self, args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        """Return the inputs and options of a cluster or a node group; None for any other resource."""
        opts = copy.copy(args.opts)
        if args.type_ == CLUSTER:
            opts.protect = opts.retain_on_delete = True
            # Only a cluster's creation takes this: pulumi-eks asks for an administrator, and ignores changes.
            access = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
            decided = {"accessConfig": access, "zonalShiftConfig": {"enabled": True}}
        elif args.type_ == NODE_GROUP:
            decided = {
                "updateConfig": {"maxUnavailablePercentage": 33},
                "nodeRepairConfig": {"enabled": True},
            }
            if args.props.get("nodeGroupNamePrefix") in self._unscaled:
                opts.ignore_changes = [*(opts.ignore_changes or ()), "scalingConfig"]
        else:
            return None
        return pulumi.ResourceTransformResult({**args.props, **decided}, opts)
