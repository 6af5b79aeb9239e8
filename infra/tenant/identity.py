"""The AWS role of a tenant's pods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import pods
from lightwork.kube.contract import LAKE_ACCOUNTS

if TYPE_CHECKING:
    from infra.config.naming import Names
    from lightwork.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantIdentityArgs:
    """Arguments of `TenantIdentity`.

    Attributes:
        tenant: the tenant.
        names: the environment's names.
        boundary: the ARN of the permissions boundary of tenants' roles.
    """

    tenant: Tenant
    names: Names
    boundary: str


class TenantIdentity(pulumi.ComponentResource):
    """A role that the pods with the tenant's code assume, by EKS Pod Identity.

    It has no permissions of its own: the lake and the secrets grant access to themselves.

    Costs: nothing.

    Deleting: the tenant's pods lose their access to AWS when their credentials expire, within six hours.

    Attributes:
        role: the role's name.
        arn: its ARN.
    """

    role: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TenantIdentityArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:TenantIdentity", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        names, tags = args.names, args.names.tags(args.tenant.name)
        trust = pods.trust(
            cluster_arn=names.cluster_arn, namespace=args.tenant.namespace, accounts=list(LAKE_ACCOUNTS)
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=pods_role(names, args.tenant.name),
            path=names.tenant_role_path,
            description=f"The pods of the tenant {args.tenant.name}",
            assume_role_policy=json.dumps(trust),
            permissions_boundary=args.boundary,
            tags=tags,
            opts=inner,
        )
        for account in LAKE_ACCOUNTS:
            aws.eks.PodIdentityAssociation(
                f"{name}-{account}",
                cluster_name=names.cluster,
                namespace=args.tenant.namespace,
                service_account=account,
                role_arn=role.arn,
                tags=tags,
                opts=inner,
            )
        self.role, self.arn = role.name, role.arn
        self.register_outputs({"role": self.role, "arn": self.arn})


def pods_role(names: Names, tenant: str) -> str:
    """Return the name of the pods' role. The purpose comes before the tenant, so that names never collide."""
    return names.named(f"pods-{tenant}", limit=64)


def secrets_role(names: Names, tenant: str) -> str:
    """Return the name of the role that copies the tenant's secrets into its namespace."""
    return names.named(f"secrets-{tenant}", limit=64)
