"""What runs for everybody in a cluster at hand."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra import platform_manifests, platform_objects, versions
from infra.charts import argo
from infra.charts.common import Place
from infra.platform_charts import release


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
        made = platform_manifests.make(
            [
                *platform_objects.namespaces((argo.NAMESPACE,)),
                platform_objects.argo_settings(args.cluster, host=None),
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
                    archive_secret=platform_objects.ARCHIVE_SECRET,
                    place=Place(),
                )
            ),
            opts=inner,
            after=list(made.values()),
        )
        platform_manifests.make(
            platform_objects.shared(),
            pulumi.ResourceOptions.merge(inner, pulumi.ResourceOptions(depends_on=[workflows])),
        )
        self.register_outputs({})
