"""Kubernetes objects of a tenant that only an estate on AWS has: what brings its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.errors import InputError
from lightwork.kube import contract
from lightwork.manifests.base import manifest

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant

STORE = "tenant"
API = "external-secrets.io/v1"
EVERY = "15m"
"""How often a secret is looked at again; a changed one is in the pods that start after that."""


def variable(secret: str) -> str:
    """The environment variable that a secret becomes: `weather-api` is `WEATHER_API`."""
    return secret.replace("-", "_").upper()


def secrets(tenant: Tenant, *, prefix: str, role_arn: str, region: str) -> list[Manifest]:
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
