"""A tenant's secrets: places for them in Secrets Manager, and who may read what is put there."""

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

if TYPE_CHECKING:
    from infra.config.naming import Names
    from lightwork.kube.contract import Manifest
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


STORE = "tenant"
API = "external-secrets.io/v1"
EVERY = "15m"
"""How often a secret is looked at again; a changed one is in the pods that start after that."""


def variable(secret: str) -> str:
    """The environment variable that a secret becomes: `weather-api` is `WEATHER_API`."""
    return secret.replace("-", "_").upper()


def secret_objects(tenant: Tenant, *, prefix: str, role_arn: str, region: str) -> list[Manifest]:
    """What brings the tenant's secrets into its namespace; nothing if it has none.

    Args:
        tenant: the tenant.
        prefix: what the names of its secrets begin with.
        role_arn: the role that may read them, which the operator becomes for this store alone.
        region: where they are.

    Raises:
        InputError: two secrets would be one environment variable.
    """
    if not tenant.secrets:
        return []
    found: dict[str, str] = {}
    for secret in tenant.secrets:
        key = variable(secret)
        if key in found:
            raise InputError(
                f"tenants/{tenant.name}.yaml: secrets: {found[key]} and {secret} are both {key} in the pods'"
                " environment: name one of them otherwise"
            )
        found[key] = secret
    aws = {"service": "SecretsManager", "region": region, "role": role_arn}
    store = manifest(API, "SecretStore", STORE, tenant, spec={"provider": {"aws": aws}})
    spec = {
        "refreshInterval": EVERY,
        "secretStoreRef": {"kind": "SecretStore", "name": STORE},
        # What is gone from the file goes from the Secret; a store that does not answer takes nothing away.
        "target": {"name": contract.SECRETS, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "data": [
            {"secretKey": key, "remoteRef": {"key": f"{prefix}{secret}"}} for key, secret in found.items()
        ],
    }
    return [store, manifest(API, "ExternalSecret", contract.SECRETS, tenant, spec=spec)]
