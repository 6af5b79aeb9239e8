"""One tenant in one environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as kubernetes

from infra.lake import Lake, LakeArgs
from lightwork import tenants

if TYPE_CHECKING:
    from infra.naming import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantArgs:
    """What a tenant is made from.

    Attributes:
        tenant: what its file says.
        names: the environment's names.
    """

    tenant: tenants.Tenant
    names: Names


class Tenant(pulumi.ComponentResource):
    """A tenant's lake and its Kubernetes namespace.

    Costs: what its lake costs; a namespace costs nothing.

    Deleting: the namespace is protected and retained like the lake, since everything in it goes with it.

    Attributes:
        lake: the lake.
        namespace: the namespace's name.
    """

    lake: Lake
    namespace: pulumi.Output[str]

    def __init__(self, name: str, args: TenantArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Tenant", name, {}, opts)
        self.lake = Lake(
            "lake",
            LakeArgs(
                bucket=args.names.lake_bucket(args.tenant.name),
                key_alias=args.names.lake_key(args.tenant.name),
                account=args.names.account,
                deleted_days=args.tenant.data_retention_days,
                tags=args.names.tags(args.tenant.name),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        manifest = tenants.namespace(args.tenant)
        namespace = kubernetes.core.v1.Namespace(
            "namespace",
            metadata=manifest["metadata"],
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        self.namespace = namespace.metadata.apply(lambda metadata: str(metadata.name))
        self.register_outputs({"namespace": self.namespace})
