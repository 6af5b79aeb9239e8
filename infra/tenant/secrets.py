"""A tenant's secrets: in Secrets Manager, with the role that reads them, and copied into its namespace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import tenant as tenant_policies
from infra.tenant.identity import secrets_role
from lightwork.errors import InputError
from lightwork.kube import contract
from lightwork.manifests.base import manifest
from lightwork.tenants.names import problems, variable

if TYPE_CHECKING:
    from infra.config.naming import Names
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSecretsArgs:
    """Arguments of `TenantSecrets`.

    Attributes:
        tenant: the tenant, whose file names its secrets.
        names: the environment's names.
        key_arn: the ARN of the tenant's key.
        boundary: the ARN of the permissions boundary of tenants' roles.
        operator_arn: the ARN of the secrets operator's role.
    """

    tenant: Tenant
    names: Names
    key_arn: pulumi.Input[str]
    boundary: str
    operator_arn: str


class TenantSecrets(pulumi.ComponentResource):
    """An empty secret for each name in the tenant's file, and a role that reads only this tenant's secrets.

    No value is in the program or its state. Whoever has a value stores it with
    `aws secretsmanager put-secret-value --secret-id lightwork/dev/acme/weather-api --secret-string file://...`.

    Costs: 0.40 USD a month per secret, and 0.05 USD per 10,000 reads.

    Deleting: secrets are protected and retained. A secret removed from the file stays on AWS.

    Attributes:
        role_arn: the ARN of the role that the operator assumes to copy them into the tenant's namespace.
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
        """Let a role read this tenant's secrets.

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


STORE = "tenant"
API = "external-secrets.io/v1"
REFRESH = "15m"
"""The interval at which secrets are read again; pods started after that get changed values."""


def secret_objects(tenant: Tenant, *, prefix: str, role_arn: str, region: str) -> list[Manifest]:
    """Build the objects that copy the tenant's secrets into its namespace; none if it has no secrets.

    Args:
        tenant: the tenant.
        prefix: the prefix of its secrets' names.
        role_arn: the ARN of the role that may read them; the operator assumes it only for this store.
        region: the region of the secrets.

    Raises:
        InputError: a secret would become another one's environment variable, or one that programs obey.
    """
    if not tenant.secrets:
        return []
    if mistakes := problems(tenant.secrets):
        raise InputError(f"tenants/{tenant.name}.yaml: secrets: {mistakes[0][1]}")
    variables = {variable(secret): secret for secret in tenant.secrets}
    aws = {"service": "SecretsManager", "region": region, "role": role_arn}
    store = manifest(API, "SecretStore", STORE, tenant, spec={"provider": {"aws": aws}})
    spec = {
        "refreshInterval": REFRESH,
        "secretStoreRef": {"kind": "SecretStore", "name": STORE},
        # Keys removed from the file are removed from the Secret; a store that fails removes nothing.
        "target": {"name": contract.SECRETS, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "data": [
            {"secretKey": key, "remoteRef": {"key": f"{prefix}{secret}"}} for key, secret in variables.items()
        ],
    }
    return [store, manifest(API, "ExternalSecret", contract.SECRETS, tenant, spec=spec)]
