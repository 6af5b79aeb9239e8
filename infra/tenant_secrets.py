"""A tenant's secrets: places for them in Secrets Manager, and who may read what is put there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import tenant_policies
from infra.tenant_identity import secrets_role

if TYPE_CHECKING:
    from infra.naming import Names
    from lightwork.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSecretsArgs:
    """What they are made from.

    Attributes:
        tenant: the tenant, whose file names its secrets.
        names: the environment's names.
        key_arn: the tenant's key.
        boundary: the ARN of the policy that bounds every tenant's roles.
        operator_arn: the role of the operator that brings secrets into the cluster.
    """

    tenant: Tenant
    names: Names
    key_arn: pulumi.Input[str]
    boundary: str
    operator_arn: str


class TenantSecrets(pulumi.ComponentResource):
    """An empty secret for each that the tenant's file names, and a role that reads this tenant's alone.

    Nobody's value is in the program or in its state: who has it puts it there,
    `aws secretsmanager put-secret-value --secret-id lightwork/dev/acme/weather-api --secret-string file://...`.

    Costs: 0.40 USD a month for each, and 0.05 USD for 10,000 times that one is read.

    Deleting: secrets are protected and retained. Taken out of the file, one is forgotten by Pulumi and stays.

    Attributes:
        role_arn: the role that the operator becomes to bring them into the tenant's namespace.
    """

    role_arn: str

    def __init__(self, name: str, args: TenantSecretsArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:TenantSecrets", name, {}, opts)
        self._args = args
        inner = pulumi.ResourceOptions(parent=self)
        names, tenant, tags = args.names, args.tenant.name, args.names.tags(args.tenant.name)
        for secret in args.tenant.secrets:
            aws.secretsmanager.Secret(
                f"{name}-{secret}",
                name=f"{names.secret_prefix(tenant)}{secret}",
                description=f"Of the tenant {tenant}; its value is put here by hand",
                kms_key_id=args.key_arn,
                recovery_window_in_days=30,
                tags=tags,
                opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
            )
        role = aws.iam.Role(
            f"{name}-role",
            name=secrets_role(names, tenant),
            path=names.tenant_role_path,
            description=f"Brings the secrets of the tenant {tenant} into its namespace",
            assume_role_policy=json.dumps(tenant_policies.trust_operator(role_arn=args.operator_arn)),
            permissions_boundary=args.boundary,
            tags=tags,
            opts=inner,
        )
        self.grant_read(f"{name}-read", role.name)
        self.role_arn = names.role_arn(secrets_role(names, tenant), tenant=True)
        self.register_outputs({"role_arn": self.role_arn})

    def grant_read(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let a role read this tenant's secrets, and nothing else.

        Args:
            name: the grant's logical name.
            role: the role's name.
        """
        names = self._args.names
        prefix = (
            f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:"
            f"{names.secret_prefix(self._args.tenant.name)}"
        )
        document = pulumi.Output.from_input(self._args.key_arn).apply(
            lambda key_arn: json.dumps(
                tenant_policies.read_secrets(prefix_arn=prefix, key_arn=key_arn, region=names.region)
            )
        )
        return aws.iam.RolePolicy(
            name, name="secrets", role=role, policy=document, opts=pulumi.ResourceOptions(parent=self)
        )
