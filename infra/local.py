"""The stacks `local` and `local.<tenant>`: the Kubernetes half, on the current kube context, without AWS.

For kind, k3d or any cluster at hand. What only AWS has is left out: autoscaler, archive, log shipper, the
operator of the secrets, budget, roles. Tenants' pods find an S3 server that somebody else runs, and whatever
it asks of them in the Secret `lightwork-secrets`, which is made by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as kubernetes

from infra import manifests
from infra.config import versions
from infra.config.local import TENANT, load
from infra.config.stack import LOCAL
from infra.manifests import release
from infra.services import objects
from infra.services.charts import argo
from infra.services.charts.common import Place
from lightwork import tenants
from lightwork.functions import discovery
from lightwork.manifests import tenant_objects
from lightwork.manifests.base import Target

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.tenants import Tenant


def build(root: Path, tenant: str | None) -> None:
    """Build a local stack.

    Args:
        root: the repository's root.
        tenant: the tenant; None for what all of them share.

    Raises:
        InputError: settings or tenant cannot be used.
    """
    settings = load(root)
    found = tenants.load(root / "tenants" / f"{tenant}.yaml") if tenant else None
    provider = kubernetes.Provider(
        "kubernetes",
        context=settings.kube_context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
    opts = pulumi.ResourceOptions(providers=[provider])
    if found:
        target = Target(
            environment="dev",
            image=settings.image,
            lake=settings.lake.replace(TENANT, found.name),
            variables={
                "AWS_REGION": settings.region,
                "AWS_DEFAULT_REGION": settings.region,
                **({"AWS_ENDPOINT_URL": settings.s3_endpoint} if settings.s3_endpoint else {}),
            },
        )
        LocalTenant("tenant", LocalTenantArgs(tenant=found, target=target), opts)
        pulumi.export("namespace", found.namespace)
    else:
        LocalPlatform("platform", LocalPlatformArgs(cluster=LOCAL), opts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlatformArgs:
    """What it is made from.

    Attributes:
        cluster: what the cluster is called.
    """

    cluster: str


class LocalPlatform(pulumi.ComponentResource):
    """Argo Workflows without an archive, and the scaler's template.

    Costs: nothing.

    Deleting: the namespace is protected, as it is everywhere; definitions stay.
    """

    def __init__(self, name: str, args: LocalPlatformArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalPlatform", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        made = manifests.make(
            [
                *objects.namespaces((argo.NAMESPACE,)),
                objects.argo_settings(args.cluster, host=None),
            ],
            inner,
        )
        workflows = release(
            "argo-workflows",
            chart="argo-workflows",
            namespace=argo.NAMESPACE,
            values=argo.values(
                argo.ArgoValues(
                    image_tag=versions.CHARTS["argo-workflows"].image_tag or "",
                    archive_secret=objects.ARCHIVE_SECRET,
                    place=Place(),
                )
            ),
            opts=inner,
            after=list(made.values()),
        )
        manifests.make(
            objects.shared(),
            pulumi.ResourceOptions.merge(inner, pulumi.ResourceOptions(depends_on=[workflows])),
        )
        self.register_outputs({})


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
        manifests.make(
            tenant_objects(args.tenant, args.target, discovery.pipelines()),
            pulumi.ResourceOptions(parent=self),
            names={f"namespace-{args.tenant.namespace}": "namespace"},
        )
        self.register_outputs({})
