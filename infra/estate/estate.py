"""An environment's estate: everything that its tenants share. This module only wires components together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from infra.aws.access import Access, AccessArgs
from infra.aws.alarms import Alarms, AlarmsArgs
from infra.aws.archive import Archive, ArchiveArgs
from infra.aws.audit import Audit, AuditArgs
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.network import Network, NetworkArgs
from infra.aws.nodes import Nodes, NodesArgs
from infra.aws.page import Page, PageArgs
from infra.aws.providers import kubernetes_provider
from infra.aws.registry import Registry, RegistryArgs
from infra.aws.roles import PodRole, PodRoleArgs
from infra.aws.search import Search, SearchArgs
from infra.aws.watch import Watch, WatchArgs
from infra.aws.workloads import Autoscaler, AutoscalerArgs, PlatformAws, PlatformAwsArgs
from infra.config import accounts, pages, subnets
from infra.config.nodes import groups
from infra.policies import pods
from infra.services.services import Platform, PlatformArgs
from lightwork.manifests import gate

if TYPE_CHECKING:
    from infra.aws.children import Children
    from infra.config.naming import Names
    from infra.config.settings import Settings
    from infra.policies.statements import Policy


AUDIT_DAYS = 400
"""The days for which every environment keeps access logs: more than a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateArgs:
    """Arguments of `Estate`.

    Attributes:
        settings: the environment's settings.
        names: the environment's names.
        children: the decisions about what pulumi-eks makes, registered with the engine.
    """

    settings: Settings
    names: Names
    children: Children


class Estate(pulumi.ComponentResource):
    """Network, cluster, nodes, archive, logs, images, alarms and CI's access of one environment.

    Costs: `infra/offline/cost.py` adds them up from the resources.

    Deleting: `pulumi destroy` refuses as long as any resource is protected.

    Attributes:
        outputs: the stack's outputs, by the names of `EstateOutputs`.
    """

    outputs: dict[str, Any]

    def __init__(self, name: str, args: EstateArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Estate", name, {}, opts)
        self._args = args
        inner = pulumi.ResourceOptions(parent=self)
        settings, names, sizes = args.settings, args.names, args.settings.sizes
        prod, make_account_parts = settings.environment == "prod", settings.account_parts == "make"
        hosts = pages.hosts(settings.domain)
        ranges = subnets.share(sizes.vpc_cidr, _max_nodes(settings))
        search_arn = f"arn:aws:es:{names.region}:{names.account}:domain/{names.search_domain}"

        access = Access(
            "access",
            AccessArgs(
                names=names,
                gitlab=settings.gitlab,
                make_provider=make_account_parts,
                search_domain_arn=search_arn,
                zone_id=settings.dns_zone,
                hosts=tuple(hosts.values()),
            ),
            inner,
        )
        audit = Audit(
            "audit",
            AuditArgs(
                bucket=names.bucket("audit"),
                account=names.account,
                region=names.region,
                sources=(f"arn:aws:s3:::lw-{names.environment}-*",),
                kept_days=AUDIT_DAYS,
                tags=names.tags(),
            ),
            inner,
        )
        network = Network(
            "network",
            NetworkArgs(
                account=names.account,
                region=names.region,
                cidr=sizes.vpc_cidr,
                subnets=ranges,
                nat_per_zone=sizes.nat_per_zone,
                flow_logs=audit.flows,
                tags=names.tags(),
            ),
            inner,
        )
        cluster = Cluster(
            "cluster",
            ClusterArgs(
                names=names,
                vpc_id=network.vpc_id,
                subnet_ids=network.control_subnet_ids,
                public_cidrs=settings.api_public_cidrs,
                administrators=settings.administrators,
                deployer=access.apply_arn,
                previewer=access.preview_arn,
                boundary=access.estate_boundary_arn,
                log_days=sizes.log_days,
                protected=prod,
            ),
            inner,
        )
        nodes = Nodes(
            "nodes",
            NodesArgs(
                names=names,
                cluster=cluster,
                children=args.children,
                subnet_ids=network.private_subnet_ids,
                sizes=sizes,
                boundary=access.estate_boundary_arn,
            ),
            inner,
        )
        scaler = Autoscaler(
            "autoscaler",
            AutoscalerArgs(names=names, cluster=cluster.name, boundary=access.estate_boundary_arn),
            inner,
        )
        archive = Archive(
            "archive",
            ArchiveArgs(
                names=names,
                vpc_id=network.vpc_id,
                subnet_ids=network.data_subnet_ids,
                clients=cluster.security_group_id,
                sizes=sizes,
                protected=prod,
            ),
            inner,
        )
        operator = self._secrets_operator(cluster, access)
        login = self._archive_login(archive, cluster, access)
        search = Search(
            "search",
            SearchArgs(
                names=names,
                vpc_id=network.vpc_id,
                subnet_ids=network.data_subnet_ids,
                clients=cluster.security_group_id,
                cluster=cluster.name,
                sizes=sizes,
                boundary=access.estate_boundary_arn,
                service_role=make_account_parts,
            ),
            inner,
        )
        registry = Registry("registry", RegistryArgs(names=names), inner)
        alarms = Alarms("alarms", AlarmsArgs(names=names, email=settings.alarm_email), inner)
        Watch(
            "watch",
            WatchArgs(names=names, sizes=sizes, nat_ids=network.nat_ids, topic_arn=alarms.topic_arn),
            inner,
        )
        aws = PlatformAws(
            "platform-aws",
            PlatformAwsArgs(
                names=names,
                cluster=cluster.name,
                boundary=access.estate_boundary_arn,
                topic_arn=alarms.topic_arn,
            ),
            inner,
        )
        if settings.dns_zone:
            self._page(network, cluster, nodes, settings.dns_zone)
        Platform(
            "platform",
            PlatformArgs(
                names=names,
                gitlab=settings.gitlab,
                hosts=hosts,
                has_balancer=settings.dns_zone is not None,
                balancer_cidrs=ranges.public,
                control_cidrs=ranges.control,
                archive_host=archive.host,
                archive_secret_arn=archive.secret_arn,
                search_endpoint=search.endpoint,
                vpc_cidr=sizes.vpc_cidr,
                topic_arn=alarms.topic_arn,
                # The cluster's access entries as well: they must outlast what Helm uninstalls by them.
                after=[cluster, nodes, scaler, operator, login, aws, archive],
            ),
            pulumi.ResourceOptions(
                parent=self,
                providers=[
                    kubernetes_provider(
                        settings, cluster=cluster.name, endpoint=cluster.endpoint, ca=cluster.ca
                    )
                ],
            ),
        )
        self.outputs = {
            "account": settings.account,
            "region": settings.region,
            "environment": settings.environment,
            "cluster_name": cluster.name,
            "cluster_endpoint": cluster.endpoint,
            "cluster_ca": cluster.ca,
            "vpc_cidr": sizes.vpc_cidr,
            "service_cidr": subnets.SERVICES,
            "private_subnet_ids": network.private_subnet_ids,
            "api_cidrs": list(ranges.control),
            "archive_host": archive.host,
            "archive_secret_arn": archive.secret_arn,
            "search_endpoint": search.endpoint,
            "search_domain_arn": search.arn,
            "search_admin_role_arn": search.admin_role_arn,
            "image_repository_url": registry.url,
            "logs_bucket": audit.bucket,
            "argo_domain": hosts["argo"],
            "tenant_boundary_arn": access.tenant_boundary_arn,
            "alarm_topic_arn": alarms.topic_arn,
            "people_policies": list(gate.POLICIES),
        }
        self.register_outputs({})

    def _page(self, network: Network, cluster: Cluster, nodes: Nodes, zone_id: str) -> None:
        settings = self._args.settings
        Page(
            "page",
            PageArgs(
                names=self._args.names,
                zone_id=zone_id,
                doors=pages.DOORS,
                hosts=pages.hosts(settings.domain),
                cidrs=settings.page_cidrs,
                vpc_id=network.vpc_id,
                vpc_cidr=settings.sizes.vpc_cidr,
                subnet_ids=network.public_subnet_ids,
                nodes=cluster.security_group_id,
                scaling_groups=nodes.system_groups,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _secrets_operator(self, cluster: Cluster, access: Access) -> PodRole:
        """Make the role that copies the platform's secrets into the cluster, and tenants' secrets as them."""
        policy = pods.operator(names=self._args.names)
        return self._pod_role("secrets", accounts.SECRETS, policy, cluster, access)

    def _archive_login(self, archive: Archive, cluster: Cluster, access: Access) -> PodRole:
        """Make the only role that reads the password of the archive's master."""
        region = self._args.names.region
        policy = pulumi.Output.all(secret_arn=archive.secret_arn, key_arn=archive.key_arn).apply(
            lambda arns: pods.read_secret(**arns, region=region)
        )
        return self._pod_role("archive-login", accounts.ARCHIVE, policy, cluster, access)

    def _pod_role(
        self,
        name: str,
        account: accounts.ServiceAccount,
        policy: pulumi.Input[Policy],
        cluster: Cluster,
        access: Access,
    ) -> PodRole:
        names = self._args.names
        return PodRole(
            name,
            PodRoleArgs(
                role=names.named(name, limit=64),
                path=names.role_path,
                boundary=access.estate_boundary_arn,
                cluster=cluster.name,
                cluster_arn=names.cluster_arn,
                account=account,
                policy=policy,
                tags=names.tags(),
            ),
            pulumi.ResourceOptions(parent=self),
        )


def _max_nodes(settings: Settings) -> dict[str, int]:
    """Return the maximum number of nodes of each type; the first type of a group stands for all of them."""
    nodes: dict[str, int] = {}
    for group in groups(settings.sizes):
        nodes[group.types[0]] = nodes.get(group.types[0], 0) + group.max_size
    return nodes
