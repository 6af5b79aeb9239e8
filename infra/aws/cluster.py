"""The Kubernetes cluster: EKS's control plane, its access entries, and the add-ons that nodes need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

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
        vpc_id: the VPC; without it, pulumi-eks looks for the account's default one.
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
    vpc_id: pulumi.Input[str]
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
    all five kinds of control-plane logs; through pulumi-eks, the cluster, of a pinned version, in access mode
    `API` (without aws-auth; its creator gets no special access), an access entry for each administrator and
    for CI's two roles, and kube-proxy; the other add-ons that a node needs to become ready: VPC CNI with
    network policies enforced, the Pod Identity agent. `infra.aws.children` decides what pulumi-eks has no
    argument for, such as the cluster's protection.

    Costs: 73 USD a month; 438 USD once its version is out of standard support; 0.50 USD per GB of logs.

    Deleting: cluster and key are protected and retained; in prod EKS refuses as well. Deleting the cluster by
    hand deletes everything that runs in it, namespaces included.

    Attributes:
        name: the cluster's name.
        endpoint: the URL of its API.
        ca: the CA certificate of its API, base64.
        security_group_id: the security group that EKS gives to the cluster and its nodes.
        component: the component of pulumi-eks, for its node groups.
        first_addons: what makes the add-ons without which no node becomes ready.
    """

    name: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    ca: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    component: eks.Cluster
    first_addons: list[pulumi.Resource]

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
        self.component = self._cluster(name, role, key, [logs, *attached])
        made = self.component.eks_cluster
        self.name, self.endpoint = made.apply(lambda it: it.name), made.apply(lambda it: it.endpoint)
        self.ca = made.apply(
            lambda it: it.certificate_authority.apply(lambda authority: authority.data or "")
        )
        self.security_group_id = self.component.cluster_security_group_id
        self.first_addons = [self.component, *self._first_addons(name)]
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

    def _cluster(
        self, name: str, role: aws.iam.Role, key: Key, depends_on: list[pulumi.Resource]
    ) -> eks.Cluster:
        args = self._args
        return eks.Cluster(
            name,
            name=args.names.cluster,
            service_role=role,
            version=versions.KUBERNETES,
            # With `STANDARD`, AWS would upgrade it at the end of standard support, past the pinned version.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="EXTENDED"),
            authentication_mode=eks.AuthenticationMode.API,
            access_entries=self._entries(),
            bootstrap_self_managed_addons=False,
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(version=versions.ADDONS["kube-proxy"]),
            # The other add-ons and the nodes are ours. Its VPC CNI takes no role by Pod Identity, and its
            # CoreDNS would come before any node.
            use_default_vpc_cni=True,
            skip_default_node_group=True,
            # Its own security groups would be open outwards.
            skip_default_security_groups=True,
            deletion_protection=args.protected,
            enabled_cluster_log_types=list(LOGS),
            encryption_config_key_arn=key.arn,
            ip_family="ipv4",
            kubernetes_service_ip_address_range=subnets.SERVICES,
            vpc_id=args.vpc_id,
            subnet_ids=args.subnet_ids,
            endpoint_private_access=True,
            endpoint_public_access=bool(args.public_cidrs),
            public_access_cidrs=list(args.public_cidrs) or None,
            # Empty, but given: else the AWS_PROFILE of whoever deploys would be in the state's kubeconfig.
            provider_credential_opts=eks.KubeconfigOptionsArgs(),
            tags=self._tags,
            cluster_tags={"Name": args.names.cluster},
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _first_addons(self, name: str) -> list[pulumi.Resource]:
        return [
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

    def _entries(self) -> dict[str, eks.AccessEntryArgs]:
        """Return the access entries, by the last part of their logical names."""
        return {
            **{
                f"administrator-{position}": self._entry(administrator, ADMIN)
                for position, administrator in enumerate(self._args.administrators)
            },
            "deployer": self._entry(self._args.deployer, ADMIN),
            "previewer": self._entry(self._args.previewer, VIEW, groups=[PREVIEWERS]),
        }

    def _entry(
        self, principal: pulumi.Input[str], access: str, *, groups: list[str] | None = None
    ) -> eks.AccessEntryArgs:
        scope = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
        return eks.AccessEntryArgs(
            principal_arn=principal,
            kubernetes_groups=groups,
            type=eks.AccessEntryType.STANDARD,
            tags=self._tags,
            access_policies={
                "policy": eks.AccessPolicyAssociationArgs(access_scope=scope, policy_arn=access)
            },
        )
