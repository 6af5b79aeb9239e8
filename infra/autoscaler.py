"""Who sizes the node groups: the cluster-autoscaler's role. Its pods come from a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra import accounts, policies_pods
from infra.pod_role import PodRole, PodRoleArgs

if TYPE_CHECKING:
    from infra.naming import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerArgs:
    """What it is made from.

    Attributes:
        names: the environment's names.
        cluster: the cluster's name.
        boundary: the ARN of the policy that bounds the estate's roles.
    """

    names: Names
    cluster: pulumi.Output[str]
    boundary: pulumi.Input[str]


class Autoscaler(pulumi.ComponentResource):
    """The role by which the cluster-autoscaler sizes this cluster's scaling groups, and no others.

    Costs: nothing.

    Deleting: groups keep the size that they have, and no run gets more nodes.
    """

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Autoscaler", name, {}, opts)
        PodRole(
            f"{name}-pods",
            PodRoleArgs(
                role=args.names.named("autoscaler", limit=64),
                path=args.names.role_path,
                boundary=args.boundary,
                cluster=args.cluster,
                cluster_arn=args.names.cluster_arn,
                account=accounts.AUTOSCALER,
                policy=policies_pods.autoscaler(
                    account=args.names.account, region=args.names.region, cluster=args.names.cluster
                ),
                tags=args.names.tags(),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
