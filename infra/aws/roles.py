"""An IAM role for one service account of the cluster, by EKS Pod Identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import pods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.accounts import ServiceAccount
    from infra.policies.statements import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRoleArgs:
    """What such a role is made from.

    Attributes:
        role: the role's physical name.
        path: its IAM path.
        boundary: the ARN of the policy that bounds it, whatever it is granted.
        cluster: the cluster's name.
        cluster_arn: its ARN.
        account: the service account whose pods become the role.
        policy: what it may do; or
        managed: the ARNs of AWS's own policies that it carries.
        associate: whether EKS is told here who becomes it; an add-on tells EKS by itself.
        tags: on everything that takes tags.
    """

    role: str
    path: str
    boundary: pulumi.Input[str]
    cluster: pulumi.Input[str]
    cluster_arn: str
    account: ServiceAccount
    policy: pulumi.Input[Policy] | None = None
    managed: tuple[str, ...] = ()
    associate: bool = True
    tags: Mapping[str, str]


class PodRole(pulumi.ComponentResource):
    """A role that the pods of one service account of one cluster become, and nobody else.

    Costs: nothing.

    Deleting: those pods lose their access to AWS when their credentials end, within six hours.

    Attributes:
        arn: the role's ARN.
        name: the role's name.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:PodRole", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        trust = pods.trust(cluster_arn=args.cluster_arn, account=args.account)
        role = aws.iam.Role(
            f"{name}-role",
            name=args.role,
            path=args.path,
            assume_role_policy=json.dumps(trust),
            permissions_boundary=args.boundary,
            tags=args.tags,
            opts=inner,
        )
        if args.policy is not None:
            aws.iam.RolePolicy(
                f"{name}-policy",
                name="own",
                role=role.name,
                policy=pulumi.Output.json_dumps(args.policy),
                opts=inner,
            )
        for position, arn in enumerate(args.managed):
            aws.iam.RolePolicyAttachment(
                f"{name}-managed-{position}", role=role.name, policy_arn=arn, opts=inner
            )
        if args.associate:
            aws.eks.PodIdentityAssociation(
                f"{name}-association",
                cluster_name=args.cluster,
                namespace=args.account.namespace,
                service_account=args.account.name,
                role_arn=role.arn,
                tags=args.tags,
                opts=inner,
            )
        self.arn, self.name = role.arn, role.name
        self.register_outputs({"arn": self.arn, "name": self.name})
