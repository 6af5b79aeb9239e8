"""The Kubernetes cluster: EKS's control plane, who may come in, and the add-ons that come before any node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.aws.roles import PodRole, PodRoleArgs
from infra.config import accounts, subnets, versions
from infra.config.accounts import PREVIEWERS
from infra.policies import pods, resources
from infra.policies.statements import let, policy

if TYPE_CHECKING:
    from infra.config.naming import Names


LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
"""EKS's own policies: everything; and looking at everything but secrets."""

CLUSTER_POLICY = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterArgs:
    """What a cluster is made from.

    Attributes:
        names: the environment's names.
        subnet_ids: the subnets of its own interfaces.
        public_cidrs: from where its API is reached from outside; empty: from nowhere.
        administrators: the ARNs of the roles that may do everything in it.
        deployer: the ARN of the role that deploys; it may do everything as well.
        previewer: the ARN of the role that previews; it may look, but not at secrets.
        boundary: the ARN of the policy that bounds the estate's roles.
        log_days: for how long the control plane's logs are kept.
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
    """An EKS cluster without a node and without a way in but its access entries.

    Makes: a KMS key, by which Kubernetes' secrets are encrypted in etcd and the logs on CloudWatch; the log
    group of all five kinds of control-plane logs; the cluster, of a pinned version, in access mode `API`
    (there is no aws-auth, and who made it is nobody special); an access entry for each administrator and for
    the two roles of CI; the add-ons that a node needs to become ready: VPC CNI, with its network policies
    enforced, kube-proxy, the Pod Identity agent.

    Costs: 73 USD a month; 438 USD once its version is out of standard support. 0.50 USD for each GB of logs.

    Deleting: cluster and key are protected and retained; in prod EKS refuses as well. Deleted by hand,
    everything that runs in it is gone, every namespace with it.

    Attributes:
        name: the cluster's name.
        endpoint: the address of its API.
        ca: its API's authority, base64.
        security_group_id: the group that EKS gives to the cluster and its nodes.
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
        # Made before the cluster, or EKS makes one itself that is kept for ever.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=group,
            retention_in_days=args.log_days,
            kms_key_id=key.arn,
            tags=self._tags,
            opts=self._inner,
        )
        role, attached = self._role(name)
        cluster = aws.eks.Cluster(
            f"{name}-cluster",
            name=args.names.cluster,
            role_arn=role.arn,
            version=versions.KUBERNETES,
            # With `STANDARD` AWS upgrades it by itself one day, and the pinned version above is not what
            # runs.
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
                parent=self, protect=True, retain_on_delete=True, depends_on=[logs, attached]
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
            settings: what to tell it.
            account: its service account, if it is somebody on AWS.
            managed: the ARNs of the policies for that.
            depends_on: what must be there before.
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
                # EKS's CNI enforces network policies only when it is told to.
                settings={"enableNetworkPolicy": "true"},
                account=accounts.NETWORK,
                managed=(pods.AWS_NETWORK,),
            ),
        ]

    def _role(self, name: str) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
        trust = policy(let("Eks", {"Service": "eks.amazonaws.com"}, ["sts:AssumeRole"], None))
        role = aws.iam.Role(
            f"{name}-role",
            name=self._args.names.named("cluster", limit=64),
            path=self._args.names.role_path,
            assume_role_policy=json.dumps(trust),
            permissions_boundary=self._args.boundary,
            tags=self._tags,
            opts=self._inner,
        )
        attached = aws.iam.RolePolicyAttachment(
            f"{name}-role-policy", role=role.name, policy_arn=CLUSTER_POLICY, opts=self._inner
        )
        return role, attached

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
