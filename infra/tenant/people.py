"""The role that a tenant's people assume, and their way into the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import tenant as tenant_policies
from infra.tenant.identity import people_role
from lightwork.kube import contract

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.tenant.lake import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPeopleArgs:
    """Arguments of `TenantPeople`.

    Attributes:
        tenant: the tenant's name.
        principals: the ARNs of the roles and users that may assume the role.
        names: the environment's names.
        boundary: the ARN of the permissions boundary of tenants' roles.
        lake: the tenant's lake, which they read.
    """

    tenant: str
    principals: tuple[str, ...]
    names: Names
    boundary: str
    lake: Lake


class TenantPeople(pulumi.ComponentResource):
    """A role for the tenant's people, and an access entry that puts it into the tenant's Kubernetes group.

    The role finds the cluster and reads the tenant's lake. What the group may do in the cluster is in
    `lightwork.manifests.people`. The role has no access policy of EKS: those would reach further.

    Costs: nothing.

    Deleting: they are out at once, also with credentials that they have got before.

    Attributes:
        role: the role's name.
        arn: its ARN.
    """

    role: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TenantPeopleArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:TenantPeople", name, {}, opts)
        names, tenant = args.names, args.tenant
        inner, tags = pulumi.ResourceOptions(parent=self), names.tags(tenant)
        role = aws.iam.Role(
            f"{name}-role",
            name=people_role(names, tenant),
            path=names.tenant_role_path,
            description=f"The people of the tenant {tenant}",
            assume_role_policy=json.dumps(tenant_policies.trust_people(principals=args.principals)),
            permissions_boundary=args.boundary,
            tags=tags,
            opts=inner,
        )
        aws.iam.RolePolicy(
            f"{name}-cluster",
            name="cluster",
            role=role.name,
            policy=json.dumps(tenant_policies.find_cluster(cluster_arn=names.cluster_arn)),
            opts=inner,
        )
        args.lake.grant_people(f"lake-of-{name}", role.name, tenant, names.region)
        aws.eks.AccessEntry(
            f"{name}-access",
            cluster_name=names.cluster,
            principal_arn=role.arn,
            kubernetes_groups=[contract.people_group(tenant)],
            type="STANDARD",
            tags=tags,
            opts=inner,
        )
        self.role, self.arn = role.name, role.arn
        self.register_outputs({"role": self.role, "arn": self.arn})
