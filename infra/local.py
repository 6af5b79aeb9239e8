"""The stacks `local` and `local.<tenant>`: the Kubernetes half, on the current kube context, without AWS.

For kind, k3d or any cluster at hand. They leave out what only AWS offers: autoscaler, archive, log shipper,
secrets operator, budget, roles. The S3 server is not part of them; its credentials go by hand into the Secret
`lightwork-secrets` in the tenant's namespace.
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
from infra.services.charts.common import Placement
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
        tenant: the tenant's name; None for what all tenants share.

    Raises:
        InputError: the settings or the tenant's file are wrong.
    """
    settings = load(root)
    declared = tenants.load(root / "tenants" / f"{tenant}.yaml") if tenant else None
    provider = kubernetes.Provider(
        "kubernetes",
        context=settings.kube_context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
    opts = pulumi.ResourceOptions(providers=[provider])
    if declared:
        target = Target(
            environment="dev",
            image=settings.image,
            lake=settings.lake.replace(TENANT, declared.name),
            variables={
                "AWS_REGION": settings.region,
                "AWS_DEFAULT_REGION": settings.region,
                **({"AWS_ENDPOINT_URL": settings.s3_endpoint} if settings.s3_endpoint else {}),
            },
            cloud_ports=settings.ports,
        )
        LocalTenant("tenant", LocalTenantArgs(tenant=declared, target=target), opts)
        pulumi.export("namespace", declared.namespace)
    else:
        LocalPlatform("platform", LocalPlatformArgs(cluster=LOCAL), opts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlatformArgs:
    """Arguments of `LocalPlatform`.

    Attributes:
        cluster: the cluster's name.
    """

    cluster: str


class LocalPlatform(pulumi.ComponentResource):
    """Argo Workflows without an archive, and the scaler's template.

    Costs: nothing.

    Deleting: the namespace is protected, as everywhere; CRDs stay.
    """

    def __init__(self, name: str, args: LocalPlatformArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalPlatform", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        settings = manifests.make(
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
                    placement=Placement(),
                )
            ),
            opts=inner,
            after=list(settings.values()),
        )
        manifests.make(
            objects.shared(),
            pulumi.ResourceOptions.merge(inner, pulumi.ResourceOptions(depends_on=[workflows])),
        )
        self.register_outputs({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTenantArgs:
    """Arguments of `LocalTenant`.

    Attributes:
        tenant: the tenant.
        target: the cluster and image to build its objects for.
    """

    tenant: Tenant
    target: Target


class LocalTenant(pulumi.ComponentResource):
    """All of a tenant's objects in a cluster, as in production.

    Costs: nothing.

    Deleting: the namespace is protected and retained, and so are its quota and network policies.
    """

    def __init__(self, name: str, args: LocalTenantArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalTenant", name, {}, opts)
        manifests.make(
            tenant_objects(args.tenant, args.target, discovery.pipelines()),
            pulumi.ResourceOptions(parent=self),
            names={f"namespace-{args.tenant.namespace}": "namespace"},
        )
        self.register_outputs({})
