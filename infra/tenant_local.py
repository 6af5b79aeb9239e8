"""A tenant in a cluster at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra import platform_manifests
from lightwork import manifests
from lightwork.functions import discovery

if TYPE_CHECKING:
    from lightwork.manifests.base import Target
    from lightwork.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTenantArgs:
    """What it is made from.

    Attributes:
        tenant: the tenant.
        target: what its objects are made for.
    """

    tenant: Tenant
    target: Target


class LocalTenant(pulumi.ComponentResource):
    """All that a tenant has in a cluster, as in production.

    Costs: nothing.

    Deleting: the namespace is protected and retained, with what bounds it.
    """

    def __init__(self, name: str, args: LocalTenantArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalTenant", name, {}, opts)
        platform_manifests.make(
            manifests.tenant_objects(args.tenant, args.target, discovery.pipelines()),
            pulumi.ResourceOptions(parent=self),
            names={f"namespace-{args.tenant.namespace}": "namespace"},
        )
        self.register_outputs({})
