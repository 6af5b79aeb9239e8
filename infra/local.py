"""The stacks `local` and `local.<tenant>`: the Kubernetes half, in the context that the settings name.

For kind, k3d or any cluster at hand. They leave out what only AWS offers: autoscaler, archive, log shipper,
secrets operator, budget, roles. The S3 server is not part of them. Its keys, `AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY`, go by hand into the Secret `lightwork-secrets` in the tenant's namespace, since pods
have no identity that opens the lake.

Nothing is protected: who tries the platform may also leave it. Namespaces are kept, with what is in them.
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
from infra.services import archive_login, objects
from infra.services.charts import argo
from infra.services.charts.common import Placement
from lightwork import tenants
from lightwork.functions import discovery
from lightwork.kube import contract
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
            lake_keys=contract.SECRETS,
            variables={
                "AWS_REGION": settings.region,
                "AWS_DEFAULT_REGION": settings.region,
                **({"AWS_ENDPOINT_URL": settings.s3_endpoint} if settings.s3_endpoint else {}),
            },
        )
        LocalTenant("tenant", LocalTenantArgs(tenant=declared, target=target), opts)
        pulumi.export("namespace", declared.namespace)
    else:
        args = LocalPlatformArgs(cluster=LOCAL, makes_argo=settings.argo == "make")
        LocalPlatform("platform", args, opts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlatformArgs:
    """Arguments of `LocalPlatform`.

    Attributes:
        cluster: the cluster's name.
        makes_argo: whether to install Argo; otherwise the cluster has it.
    """

    cluster: str
    makes_argo: bool


class LocalPlatform(pulumi.ComponentResource):
    """Argo Workflows without an archive, unless the cluster has it, and what all tenants share.

    Costs: nothing.

    Deleting: the namespace is retained; CRDs stay.
    """

    def __init__(self, name: str, args: LocalPlatformArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalPlatform", name, {}, opts)
        self._inner = pulumi.ResourceOptions(parent=self)
        workflows = [self._argo(args.cluster)] if args.makes_argo else []
        manifests.make(
            objects.shared(),
            pulumi.ResourceOptions.merge(self._inner, pulumi.ResourceOptions(depends_on=workflows)),
        )
        self.register_outputs({})

    def _argo(self, cluster: str) -> pulumi.Resource:
        settings = manifests.make(
            [*objects.namespaces((argo.NAMESPACE,)), objects.argo_settings(cluster, host=None)],
            self._inner,
            protect=False,
        )
        return release(
            "argo-workflows",
            chart="argo-workflows",
            namespace=argo.NAMESPACE,
            values=argo.values(
                argo.ArgoValues(
                    image_tag=versions.CHARTS["argo-workflows"].image_tag or "",
                    archive_secret=archive_login.SECRET,
                    placement=Placement(),
                )
            ),
            opts=self._inner,
            after=list(settings.values()),
        )


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

    Deleting: the namespace is retained, and with it its quota, its network policies and its Secrets.
    """

    def __init__(self, name: str, args: LocalTenantArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:LocalTenant", name, {}, opts)
        manifests.make(
            tenant_objects(args.tenant, args.target, discovery.pipelines()),
            pulumi.ResourceOptions(parent=self),
            names={f"namespace-{args.tenant.namespace}": manifests.NAMESPACE},
            protect=False,
        )
        self.register_outputs({})
