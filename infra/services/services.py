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
from infra.services import archive_login, log_relay, objects, page, watch
from infra.services.charts import argo, autoscaler, monitoring, secrets, shipper
from infra.services.charts.common import Placement
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.naming import Names
    from infra.config.settings import GitLab
    from lightwork.kube.contract import Manifest


SYSTEM = Placement(selector=tuple(SYSTEM_SELECTOR.items()), tolerations=(tuple(SYSTEM_TOLERATION.items()),))
"""The nodes of the group `system`."""

METRICS_DAYS = 15
METRICS_DISK = "50Gi"
GROUPS_CLAIM = "groups_direct"
"""The claim of GitLab's tokens with the groups that a user was put into.

`groups` lists the groups below these as well, so that whoever may look would be an operator.
"""


def sso(gitlab: GitLab, domain: str) -> argo_config.SSO:
    """Return how people log in to Argo's page by GitLab.

    Args:
        gitlab: the identity provider, and the project whose group has access.
        domain: the page's host name.
    """
    return argo_config.SSO(
        issuer=f"https://{gitlab.host}",
        redirect=f"https://{domain}/oauth2/callback",
        group=gitlab.group,
        secret=argo.SSO_SECRET,
        claim=GROUPS_CLAIM,
    )


def grafana_login(gitlab: GitLab, domain: str) -> monitoring.Login:
    """Return how people log in to Grafana by GitLab: those who may look at all tenants, as its dashboards do.

    Args:
        gitlab: the identity provider, and the project whose group has access.
        domain: the page's host name.
    """
    return monitoring.Login(
        host=domain,
        issuer=f"https://{gitlab.host}",
        groups=(gitlab.group, gitlab.operators),
        claim=GROUPS_CLAIM,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformArgs:
    """Arguments of `Platform`.

    Attributes:
        names: the environment's names.
        gitlab: the identity provider and project; members of the project's group may log in to Argo.
        hosts: the host names of the pages, by the names in `infra.config.pages`.
        has_balancer: whether a balancer leads to the pages; without it only `kubectl port-forward` does.
        balancer_cidrs: the ranges of the balancer's own addresses.
        control_cidrs: the ranges of the cluster's interfaces.
        archive_host: the archive's host name.
        archive_secret_arn: the secret in which RDS keeps the password of its master.
        search_endpoint: the host name of the OpenSearch domain.
        vpc_cidr: the address range of the VPC, in which the domain is.
        topic_arn: the topic that alerts are published to.
        after: the resources to create before any pod: nodes, and the pods' roles.
    """

    names: Names
    gitlab: GitLab
    hosts: Mapping[str, str]
    has_balancer: bool
    balancer_cidrs: Sequence[str]
    control_cidrs: Sequence[str]
    archive_host: pulumi.Output[str]
    archive_secret_arn: pulumi.Output[str]
    search_endpoint: pulumi.Output[str]
    vpc_cidr: str
    topic_arn: pulumi.Output[str]
    after: Sequence[pulumi.Resource]


class Platform(pulumi.ComponentResource):
    """Secrets operator, Prometheus with metrics of pipelines, autoscaler, Argo, log shipper and relay.

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
        self._pages(base, operator)
        metrics = self._metrics(base)
        self._make([*objects.watching(), *self._watch()], [metrics])
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

    def _pages(self, base: Sequence[pulumi.Resource], operator: pulumi.Resource) -> None:
        """Close the pages' servers to the cluster, and open ports of the nodes for a balancer."""
        args, names = self._args, self._args.names
        if not args.has_balancer:
            self._make(page.policies((), args.control_cidrs), base)
            return
        self._make([*page.policies(args.balancer_cidrs, args.control_cidrs), *page.services()], base)
        client = pods.platform_secret(names, SSO)
        self._make(objects.grafana_secrets(sso_name=client, region=names.region), [operator])

    def _watch(self) -> list[Manifest]:
        names = self._args.names
        return watch.objects(
            watch.WatchArgs(
                image=versions.PYTHON_IMAGE,
                cluster=names.cluster,
                region=names.region,
                metric_namespace=pods.metric_namespace(names),
                placement=SYSTEM,
            )
        )

    def _metrics(self, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        args, region = self._args, self._args.names.region
        people = grafana_login(args.gitlab, args.hosts["grafana"]) if args.has_balancer else None
        return release(
            "kube-prometheus-stack",
            chart="kube-prometheus-stack",
            namespace=monitoring.NAME,
            values=args.topic_arn.apply(
                lambda topic_arn: monitoring.values(
                    monitoring.MonitoringValues(
                        retention_days=METRICS_DAYS,
                        storage=METRICS_DISK,
                        storage_class=objects.STORAGE_CLASS,
                        region=region,
                        topic_arn=topic_arn,
                        placement=SYSTEM,
                        login=people,
                    )
                )
            ),
            opts=self._inner,
            after=after,
        )

    def _argo(self, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        args, names = self._args, self._args.names
        login = sso(args.gitlab, args.hosts["argo"])
        settings = manifests.filled(
            [
                objects.argo_settings(names.cluster, host="<<archive-host>>", sso=login),
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
                    people=args.gitlab.group,
                    operators=args.gitlab.operators,
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
