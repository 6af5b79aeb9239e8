"""IAM roles: for an AWS service, and for a service account of the cluster by EKS Pod Identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import pods
from infra.policies.statements import let, policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.accounts import ServiceAccount
    from infra.config.naming import Names
    from infra.policies.statements import Policy


def service_role(
    name: str,
    *,
    role: str,
    sid: str,
    service: str,
    managed: Mapping[str, str],
    names: Names,
    boundary: pulumi.Input[str],
    parent: pulumi.Resource,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """Make a role that an AWS service assumes, with AWS's managed policies attached.

    Args:
        name: its logical name.
        role: the last part of its physical name.
        sid: the Sid of the statement that trusts the service.
        service: the service, such as `eks.amazonaws.com`.
        managed: the ARNs of the policies, by the logical names of their attachments.
        names: the environment's names.
        boundary: the ARN of the role's permissions boundary.
        parent: the component that it belongs to.

    Returns:
        The role, and the attachments to wait for before using it.
    """
    opts = pulumi.ResourceOptions(parent=parent)
    iam_role = aws.iam.Role(
        name,
        name=names.named(role, limit=64),
        path=names.role_path,
        assume_role_policy=json.dumps(policy(let(sid, {"Service": service}, ["sts:AssumeRole"], None))),
        permissions_boundary=boundary,
        tags=names.tags(),
        opts=opts,
    )
    attached: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(attachment, role=iam_role.name, policy_arn=arn, opts=opts)
        for attachment, arn in managed.items()
    ]
    return iam_role, attached


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRoleArgs:
    """Arguments of `PodRole`.

    Attributes:
        role: the role's physical name.
        path: its IAM path.
        boundary: the ARN of its permissions boundary.
        cluster: the cluster's name.
        cluster_arn: the cluster's ARN.
        account: the service account whose pods assume the role.
        policy: its inline policy; None for none.
        managed: the ARNs of AWS's managed policies to attach.
        associate: whether to associate the role with the account here; an add-on does so itself.
        tags: the tags of all its resources.
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
    """A role that only the pods of one service account of one cluster can assume.

    Costs: nothing.

    Deleting: those pods lose their access to AWS when their credentials expire, within six hours.

    Attributes:
        arn: the role's ARN.
        name: the role's name.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:PodRole", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        trust = pods.trust(
            cluster_arn=args.cluster_arn, namespace=args.account.namespace, accounts=args.account.name
        )
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
