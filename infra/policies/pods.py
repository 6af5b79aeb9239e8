"""What the cluster's own pods may do on AWS, each by its service account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies import pods
from infra.policies.statements import Condition, Policy, allow, let, policy

if TYPE_CHECKING:
    from infra.config.accounts import ServiceAccount
    from infra.config.naming import Names


AWS_NETWORK = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
AWS_VOLUMES = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
"""AWS's own policies for the add-ons that need one."""


def trust(*, cluster_arn: str, account: ServiceAccount) -> Policy:
    """EKS may hand a role to the pods of one service account of one cluster; it says so in session tags."""
    tags: Condition = {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
            "aws:RequestTag/kubernetes-namespace": account.namespace,
            "aws:RequestTag/kubernetes-service-account": account.name,
        }
    }
    return policy(
        let(
            "Pods",
            {"Service": "pods.eks.amazonaws.com"},
            ["sts:AssumeRole", "sts:TagSession"],
            None,
            tags,
        )
    )


def autoscaler(*, account: str, region: str, cluster: str) -> Policy:
    """The cluster-autoscaler: it looks at everything and sizes this cluster's scaling groups alone.

    What it looks at cannot be named: AWS knows no resource for these calls, `eks:DescribeNodegroup` excepted.
    """
    own: Condition = {
        "StringEquals": {
            "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
            f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned",
        }
    }
    groups = f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/*"
    return policy(
        allow(
            "Look",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribeScalingActivities",
                "autoscaling:DescribeTags",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            ["*"],
        ),
        allow(
            "LookAtNodeGroups",
            ["eks:DescribeNodegroup"],
            [f"arn:aws:eks:{region}:{account}:nodegroup/{cluster}/*/*"],
        ),
        allow(
            "Size",
            ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            [groups],
            own,
        ),
    )


def ship_logs(*, domain_arn: str) -> Policy:
    """The log shipper: it adds to indexes and reads nothing. To which ones, OpenSearch decides."""
    return policy(
        allow("Bulk", ["es:ESHttpPost"], [f"{domain_arn}/_bulk", f"{domain_arn}/logs-*/_bulk"]),
    )


def manage_search(*, domain_arn: str) -> Policy:
    """Who sets OpenSearch up. To the domain it is the master; AWS sees just the verbs."""
    verbs = [
        "es:ESHttpDelete",
        "es:ESHttpGet",
        "es:ESHttpHead",
        "es:ESHttpPatch",
        "es:ESHttpPost",
        "es:ESHttpPut",
    ]
    return policy(allow("Manage", verbs, [f"{domain_arn}/*"]))


def read_secret(*, secret_arn: str, key_arn: str, region: str) -> Policy:
    """Read one secret, with its key, and nothing else."""
    return policy(
        allow("Read", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [secret_arn]),
        allow(
            "Key",
            ["kms:Decrypt"],
            [key_arn],
            {
                "StringEquals": {
                    "kms:EncryptionContext:SecretARN": secret_arn,
                    "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
                }
            },
        ),
    )


def platform_secret(names: Names, name: str) -> str:
    """The name of a secret of the platform's own. No tenant's name begins with an underscore."""
    return f"{names.secret_prefix('_platform')}{name}"


def operator(*, names: Names, secret_arn: str, key_arn: str) -> Policy:
    """The secrets' operator: the archive's password, the platform's own secrets, and to become the role of
    each tenant's secrets. By itself it reads no tenant's secret.

    Args:
        names: the environment's names.
        secret_arn: the secret with the archive's password.
        key_arn: its key.
    """
    own = f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:{platform_secret(names, '*')}"
    archive = pods.read_secret(secret_arn=secret_arn, key_arn=key_arn, region=names.region)
    roles = names.role_arn(f"{names.named('secrets')}-*", tenant=True)
    return policy(
        *archive["Statement"],
        allow("Platform", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [own]),
        # A pod's session has tags that come along, so becoming a role is tagging a session too.
        allow("Tenants", ["sts:AssumeRole", "sts:TagSession"], [roles]),
    )


def publish(*, topic_arn: str, names: Names) -> Policy:
    """Alertmanager: publish alarms, and use the topic's key for that."""
    context: Condition = {
        "StringEquals": {"kms:ViaService": f"sns.{names.region}.amazonaws.com"},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key("alarms")},
    }
    keys = f"arn:aws:kms:{names.region}:{names.account}:key/*"
    return policy(
        allow("Publish", ["sns:Publish"], [topic_arn]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [keys], context),
    )
