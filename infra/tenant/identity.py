"""The AWS roles of a tenant's pods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import pods
from lightwork.kube import contract

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
    """The roles that the tenant's pods assume, by EKS Pod Identity.

    One is for drivers, workers and the job of the history, one for steps that run a container of the tenant's
    choice, and one for the controller, which runs none of the tenant's code. They have no permissions of
    their own: the lake and the secrets grant access to themselves.

    Costs: nothing.

    Deleting: the tenant's pods lose their access to AWS when their credentials expire, within six hours.

    Attributes:
        role: the name of the role of drivers, workers and the job of the history.
        arn: its ARN.
        steps_role: the name of the steps' role.
        controller_role: the name of the controller's role.
    """

    role: pulumi.Output[str]
    arn: pulumi.Output[str]
    steps_role: pulumi.Output[str]
    controller_role: pulumi.Output[str]

    def __init__(self, name: str, args: TenantIdentityArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:TenantIdentity", name, {}, opts)
        self._name, self._args = name, args
        tenant = args.tenant.name
        role = self._make_role(
            "role", pods_role(args.names, tenant), f"The pods of the tenant {tenant}", contract.LAKE_ACCOUNTS
        )
        steps = self._make_role(
            "steps-role",
            steps_role(args.names, tenant),
            f"The steps of the tenant {tenant}",
            (contract.ACCOUNT_STEP,),
        )
        controller = self._make_role(
            "controller-role",
            controller_role(args.names, tenant),
            f"The controller of the tenant {tenant}",
            (contract.ACCOUNT_CONTROLLER,),
        )
        self.role, self.arn, self.steps_role = role.name, role.arn, steps.name
        self.controller_role = controller.name
        self.register_outputs(
            {
                "role": self.role,
                "arn": self.arn,
                "steps_role": self.steps_role,
                "controller_role": self.controller_role,
            }
        )

    def _make_role(
        self, logical: str, name: str, description: str, accounts: tuple[str, ...]
    ) -> aws.iam.Role:
        """Make a role, and associate it with service accounts of the tenant's namespace."""
        names, namespace = self._args.names, self._args.tenant.namespace
        inner, tags = pulumi.ResourceOptions(parent=self), names.tags(self._args.tenant.name)
        trust = pods.trust(cluster_arn=names.cluster_arn, namespace=namespace, accounts=list(accounts))
        role = aws.iam.Role(
            f"{self._name}-{logical}",
            name=name,
            path=names.tenant_role_path,
            description=description,
            assume_role_policy=json.dumps(trust),
            permissions_boundary=self._args.boundary,
            tags=tags,
            opts=inner,
        )
        for account in accounts:
            aws.eks.PodIdentityAssociation(
                f"{self._name}-{account}",
                cluster_name=names.cluster,
                namespace=namespace,
                service_account=account,
                role_arn=role.arn,
                tags=tags,
                opts=inner,
            )
        return role


def pods_role(names: Names, tenant: str) -> str:
    """Return the name of the pods' role. The purpose comes before the tenant, so that names never collide."""
    return names.named(f"pods-{tenant}", limit=64)


def steps_role(names: Names, tenant: str) -> str:
    """Return the name of the role of the tenant's container steps."""
    return names.named(f"steps-{tenant}", limit=64)


def controller_role(names: Names, tenant: str) -> str:
    """Return the name of the role of the controller that watches the tenant's runs."""
    return names.named(f"controller-{tenant}", limit=64)


def secrets_role(names: Names, tenant: str) -> str:
    """Return the name of the role that copies the tenant's secrets into its namespace."""
    return names.named(f"secrets-{tenant}", limit=64)


def people_role(names: Names, tenant: str) -> str:
    """Return the name of the role that the tenant's people assume."""
    return names.named(f"people-{tenant}", limit=64)
