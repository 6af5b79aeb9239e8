"""The shared services in the cluster: charts, their settings, and the objects that all tenants share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra import manifests
from infra.config import accounts, versions
from infra.config.accounts import SSO
from infra.config.nodes import SYSTEM_SELECTOR, SYSTEM_TOLERATION, WORKERS
from infra.manifests import release
from infra.policies import pods
from infra.services import archive_login, log_relay, objects
from infra.services.charts import argo, autoscaler, monitoring, secrets, shipper
from infra.services.charts.common import Placement
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from infra.config.settings import GitLab


SYSTEM = Placement(selector=tuple(SYSTEM_SELECTOR.items()), tolerations=(tuple(SYSTEM_TOLERATION.items()),))
"""The nodes of the group `system`."""

METRICS_DAYS = 15
METRICS_DISK = "50Gi"
OPERATORS = "operators"
"""The GitLab subgroup whose members may stop and submit runs; members of the parent group may only look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformArgs:
    """Arguments of `Platform`.

    Attributes:
        names: the environment's names.
        gitlab: the identity provider and project; members of the project's group may log in to Argo.
        argo_domain: the host name of Argo's web page.
        archive_host: the archive's host name.
        archive_secret_arn: the secret in which RDS keeps the password of its master.
        search_endpoint: the host name of the OpenSearch domain.
        vpc_cidr: the address range of the VPC, in which the domain is.
        topic_arn: the topic that alerts are published to.
        after: the resources to create before any pod: nodes, and the pods' roles.
    """

    names: Names
    gitlab: GitLab
    argo_domain: str
    archive_host: pulumi.Output[str]
    archive_secret_arn: pulumi.Output[str]
    search_endpoint: pulumi.Output[str]
    vpc_cidr: str
    topic_arn: pulumi.Output[str]
    after: Sequence[pulumi.Resource]


class Platform(pulumi.ComponentResource):
    """Secrets operator, Prometheus, autoscaler, Argo, log shipper and relay, and the scaler's template.

    Costs: the nodes of the group `system`, and about 5 USD a month for the disks of Prometheus
    and Alertmanager.

    Deleting: namespaces are protected and retained; CRDs stay, and with them all workflows. Metrics and
    silences are deleted with their disks.
    """

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Platform", name, {}, opts)
        self._args, self._inner = args, pulumi.ResourceOptions(parent=self)
        first = manifests.make(
            [
                *objects.namespaces(),
                objects.storage_class(),
                objects.search_account(),
                *objects.previewers(),
            ],
            pulumi.ResourceOptions.merge(self._inner, pulumi.ResourceOptions(depends_on=list(args.after))),
        )
        base = list(first.values())
        operator = release(
            "external-secrets",
            chart="external-secrets",
            namespace=accounts.SECRETS.namespace,
            values=secrets.values(secrets.SecretsValues(account=accounts.SECRETS.name, placement=SYSTEM)),
            opts=self._inner,
            after=base,
        )
        metrics = self._metrics(base)
        self._make(objects.watching(), [metrics])
        release(
            "cluster-autoscaler",
            chart="cluster-autoscaler",
            namespace=accounts.AUTOSCALER.namespace,
            values=autoscaler.values(
                autoscaler.AutoscalerValues(
                    cluster=args.names.cluster,
                    region=args.names.region,
                    account=accounts.AUTOSCALER.name,
                    image_tag=_tag("cluster-autoscaler"),
                    placement=SYSTEM,
                    preferred=(WORKERS,),
                )
            ),
            opts=self._inner,
            after=[*base, metrics],
        )
        workflows = self._argo([*base, metrics, operator])
        self._make(objects.shared(), [workflows])
        region = args.names.region
        release(
            "fluent-bit",
            chart="fluent-bit",
            namespace=accounts.SHIPPER.namespace,
            values=args.search_endpoint.apply(
                lambda endpoint: shipper.values(
                    shipper.ShipperValues(endpoint=endpoint, region=region, account=accounts.SHIPPER.name)
                )
            ),
            opts=self._inner,
            after=[*base, metrics],
        )
        relay = log_relay.objects(
            image=versions.PYTHON_IMAGE,
            endpoint="<<search-endpoint>>",
            inside=args.vpc_cidr,
            placement=SYSTEM,
        )
        self._make(manifests.filled(relay, {"search-endpoint": args.search_endpoint}), base)
        self.register_outputs({})

    def _metrics(self, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        region = self._args.names.region
        return release(
            "kube-prometheus-stack",
            chart="kube-prometheus-stack",
            namespace=monitoring.NAME,
            values=self._args.topic_arn.apply(
                lambda topic_arn: monitoring.values(
                    monitoring.MonitoringValues(
                        retention_days=METRICS_DAYS,
                        storage=METRICS_DISK,
                        storage_class=objects.STORAGE_CLASS,
                        region=region,
                        topic_arn=topic_arn,
                        placement=SYSTEM,
                    )
                )
            ),
            opts=self._inner,
            after=after,
        )

    def _argo(self, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        args, names = self._args, self._args.names
        people = args.gitlab.project.rpartition("/")[0]
        operators = f"{people}/{OPERATORS}"
        sso = argo_config.SSO(
            issuer=f"https://{args.gitlab.host}",
            redirect=f"https://{args.argo_domain}/oauth2/callback",
            groups=(people, operators),
            secret=argo.SSO_SECRET,
            user_info="/oauth/userinfo",
        )
        settings = manifests.filled(
            [
                objects.argo_settings(names.cluster, host="<<archive-host>>", sso=sso),
                *objects.argo_secrets(sso_name=pods.platform_secret(names, SSO), region=names.region),
                *archive_login.objects(
                    archive_login.Login(
                        image=versions.PYTHON_IMAGE,
                        host="<<archive-host>>",
                        database=argo_config.DATABASE,
                        pods=argo.PODS,
                        placement=SYSTEM,
                        master_arn="<<archive-secret>>",
                        region=names.region,
                    )
                ),
            ],
            {"archive-host": args.archive_host, "archive-secret": args.archive_secret_arn},
        )

        return release(
            "argo-workflows",
            chart="argo-workflows",
            namespace=argo.NAMESPACE,
            values=argo.values(
                argo.ArgoValues(
                    image_tag=_tag("argo-workflows"),
                    archive_secret=archive_login.SECRET,
                    people=people,
                    operators=operators,
                    placement=SYSTEM,
                )
            ),
            opts=self._inner,
            after=self._make(settings, after),
            # Argo's server starts only once the login's secret exists, which a person stores by hand.
            wait=False,
        )

    def _make(
        self, kubernetes_objects: list[dict[str, object]], after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        opts = pulumi.ResourceOptions.merge(self._inner, pulumi.ResourceOptions(depends_on=list(after)))
        return list(manifests.make(kubernetes_objects, opts).values())


def _tag(chart: str) -> str:
    """Return the pinned version of a chart's main image."""
    tag = versions.CHARTS[chart].image_tag
    if tag is None:
        raise ValueError(f"infra/config/versions.py: {chart}: image_tag is missing")
    return tag
