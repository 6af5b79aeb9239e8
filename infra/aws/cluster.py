"""The Kubernetes cluster: EKS's control plane, its access entries, and the add-ons that nodes need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.aws.roles import PodRole, PodRoleArgs, service_role
from infra.config import accounts, subnets, versions
from infra.config.accounts import PREVIEWERS
from infra.policies import pods, resources

if TYPE_CHECKING:
    from infra.config.naming import Names


LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
"""EKS's own policies: full access, and read access without secrets."""

CLUSTER_POLICY = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterArgs:
    """Arguments of `Cluster`.

    Attributes:
        names: the environment's names.
        subnet_ids: the subnets of its own interfaces.
        public_cidrs: the address ranges outside the VPC that may reach its API; empty: none.
        administrators: the ARNs of the roles with full access.
        deployer: the ARN of the role that deploys, with full access as well.
        previewer: the ARN of the role that previews, with read access but not to secrets.
        boundary: the ARN of the permissions boundary of the estate's roles.
        log_days: the days for which the control plane's logs are kept.
        protected: whether EKS itself refuses to delete it.
    """

    names: Names
    subnet_ids: list[pulumi.Output[str]]
    public_cidrs: tuple[str, ...]
    administrators: tuple[str, ...]
    deployer: pulumi.Input[str]
    previewer: pulumi.Input[str]
    boundary: pulumi.Input[str]
    log_days: int
    protected: bool


class Cluster(pulumi.ComponentResource):
    """An EKS cluster without nodes, accessible through its access entries only.

    Makes: a KMS key that encrypts Kubernetes' secrets in etcd and the logs on CloudWatch; the log group of
    all five kinds of control-plane logs; the cluster, of a pinned version, in access mode `API` (without
    aws-auth; its creator gets no special access); an access entry for each administrator and for CI's two
    roles; the add-ons that a node needs to become ready: VPC CNI with network policies enforced, kube-proxy,
    the Pod Identity agent.

    Costs: 73 USD a month; 438 USD once its version is out of standard support; 0.50 USD per GB of logs.

    Deleting: cluster and key are protected and retained; in prod EKS refuses as well. Deleting the cluster by
    hand deletes everything that runs in it, namespaces included.

    Attributes:
        name: the cluster's name.
        endpoint: the URL of its API.
        ca: the CA certificate of its API, base64.
        security_group_id: the security group that EKS gives to the cluster and its nodes.
    """

    name: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    ca: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Cluster", name, {}, opts)
        self._args, self._tags = args, args.names.tags()
        self._inner = pulumi.ResourceOptions(parent=self)
        group = f"/aws/eks/{args.names.cluster}/cluster"
        account, region = args.names.account, args.names.region
        key = Key(
            f"{name}-secrets",
            KeyArgs(
                alias=args.names.key("cluster"),
                description=f"Encrypts the secrets and logs of the cluster {args.names.cluster}",
                policy=resources.account_key(
                    account=account,
                    more=(resources.for_logs(account=account, region=region, group=group),),
                ),
                tags=self._tags,
            ),
            self._inner,
        )
        # Created before the cluster, or EKS creates one that is kept for ever.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=group,
            retention_in_days=args.log_days,
            kms_key_id=key.arn,
            tags=self._tags,
            opts=self._inner,
        )
        role, attached = service_role(
            f"{name}-role",
            role="cluster",
            sid="Eks",
            service="eks.amazonaws.com",
            managed={f"{name}-role-policy": CLUSTER_POLICY},
            names=args.names,
            boundary=args.boundary,
            parent=self,
        )
        cluster = aws.eks.Cluster(
            f"{name}-cluster",
            name=args.names.cluster,
            role_arn=role.arn,
            version=versions.KUBERNETES,
            # With `STANDARD`, AWS would upgrade it at the end of standard support, past the pinned version.
            upgrade_policy={"support_type": "EXTENDED"},
            access_config={
                "authentication_mode": "API",
                "bootstrap_cluster_creator_admin_permissions": False,
            },
            bootstrap_self_managed_addons=False,
            deletion_protection=args.protected,
            enabled_cluster_log_types=list(LOGS),
            encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
            kubernetes_network_config={"ip_family": "ipv4", "service_ipv4_cidr": subnets.SERVICES},
            vpc_config={
                "subnet_ids": args.subnet_ids,
                "endpoint_private_access": True,
                "endpoint_public_access": bool(args.public_cidrs),
                "public_access_cidrs": list(args.public_cidrs) or None,
            },
            zonal_shift_config={"enabled": True},
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self, protect=True, retain_on_delete=True, depends_on=[logs, *attached]
            ),
        )
        self.name, self.endpoint = cluster.name, cluster.endpoint
        self.ca = cluster.certificate_authority.apply(lambda authority: authority.data or "")
        self.security_group_id = cluster.vpc_config.apply(lambda vpc: vpc.cluster_security_group_id or "")
        for position, administrator in enumerate(args.administrators):
            self._entry(f"{name}-administrator-{position}", administrator, ADMIN)
        self._entry(f"{name}-deployer", args.deployer, ADMIN)
        self._entry(f"{name}-previewer", args.previewer, VIEW, groups=[PREVIEWERS])
        self._first_addons(name)
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})

    def addon(
        self,
        name: str,
        addon: str,
        *,
        settings: dict[str, object] | None = None,
        account: accounts.ServiceAccount | None = None,
        managed: tuple[str, ...] = (),
        depends_on: list[pulumi.Resource] | None = None,
    ) -> aws.eks.Addon:
        """Add one of EKS's add-ons, in its pinned version.

        Args:
            name: its logical name.
            addon: its name on EKS.
            settings: its configuration values.
            account: its service account, if it needs an AWS role.
            managed: the ARNs of that role's policies.
            depends_on: the resources to create first.
        """
        associations = None
        if account is not None:
            role = PodRole(
                f"{name}-role",
                PodRoleArgs(
                    role=self._args.names.named(addon, limit=64),
                    path=self._args.names.role_path,
                    boundary=self._args.boundary,
                    cluster=self.name,
                    cluster_arn=self._args.names.cluster_arn,
                    account=account,
                    managed=managed,
                    associate=False,
                    tags=self._tags,
                ),
                self._inner,
            )
            associations = [
                aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=account.name)
            ]
        return aws.eks.Addon(
            name,
            cluster_name=self.name,
            addon_name=addon,
            addon_version=versions.ADDONS[addon],
            configuration_values=json.dumps(settings) if settings else None,
            pod_identity_associations=associations,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on or []),
        )

    def _first_addons(self, name: str) -> None:
        self.first_addons: list[pulumi.Resource] = [
            self.addon(f"{name}-kube-proxy", "kube-proxy"),
            self.addon(f"{name}-pod-identity", "eks-pod-identity-agent"),
            self.addon(
                f"{name}-network",
                "vpc-cni",
                # Off by default: without it, network policies have no effect.
                settings={"enableNetworkPolicy": "true"},
                account=accounts.NETWORK,
                managed=(pods.AWS_NETWORK,),
            ),
        ]

    def _entry(
        self, name: str, principal: pulumi.Input[str], access: str, *, groups: list[str] | None = None
    ) -> None:
        entry = aws.eks.AccessEntry(
            name,
            cluster_name=self.name,
            principal_arn=principal,
            kubernetes_groups=groups,
            type="STANDARD",
            tags=self._tags,
            opts=self._inner,
        )
        aws.eks.AccessPolicyAssociation(
            f"{name}-policy",
            cluster_name=self.name,
            principal_arn=principal,
            policy_arn=access,
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
