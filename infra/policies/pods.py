"""The policies of the cluster's own pods on AWS, each for one service account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, allow, let, policy

if TYPE_CHECKING:
    from infra.config.naming import Names


AWS_NETWORK = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
AWS_VOLUMES = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
"""AWS's managed policies for the add-ons that need one."""


def trust(*, cluster_arn: str, namespace: str, accounts: str | list[str]) -> Policy:
    """Let EKS give a role to the pods of a cluster's service accounts, which it names in session tags.

    Args:
        cluster_arn: the cluster.
        namespace: the accounts' namespace.
        accounts: the name of one account, or of several.
    """
    tags: Condition = {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": accounts,
        }
    }
    return policy(
        let("Pods", {"Service": "pods.eks.amazonaws.com"}, ["sts:AssumeRole", "sts:TagSession"], None, tags)
    )


def autoscaler(*, account: str, region: str, cluster: str) -> Policy:
    """Let the cluster-autoscaler read all scaling groups and resize this cluster's only.

    Except for `eks:DescribeNodegroup`, AWS does not support limiting the reading calls to resources.
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
    """Let the log shipper add lines but not read them; OpenSearch's own roles decide to which streams."""
    return policy(allow("Bulk", ["es:ESHttpPost"], [f"{domain_arn}/_bulk"]))


def manage_search(*, domain_arn: str) -> Policy:
    """Let a role configure OpenSearch; the domain has it as its master user, IAM only sees the verbs."""
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
    """Let the Job of the archive's login read the master's: one secret, decrypted with its key."""
    return policy(
        allow("Read", ["secretsmanager:GetSecretValue"], [secret_arn]),
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
    """Return the name of one of the platform's own secrets. No tenant's name begins with an underscore."""
    return f"{names.secret_prefix('_platform')}{name}"


def operator(*, names: Names) -> Policy:
    """Let the secrets operator read the platform's own secrets.

    It cannot read tenants' secrets itself; for those it may assume the role of each tenant's secrets.
    """
    own = f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:{platform_secret(names, '*')}"
    roles = names.role_arn(f"{names.named('secrets')}-*", tenant=True)
    return policy(
        allow("Platform", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [own]),
        # A pod's session passes its tags on, so assuming a role also tags a session.
        allow("Tenants", ["sts:AssumeRole", "sts:TagSession"], [roles]),
    )


def beat(*, names: Names) -> Policy:
    """Let the exporter of metrics write to one namespace of CloudWatch's metrics; they have no ARN."""
    own: Condition = {"StringEquals": {"cloudwatch:namespace": metric_namespace(names)}}
    return policy(allow("Beat", ["cloudwatch:PutMetricData"], ["*"], own))


def metric_namespace(names: Names) -> str:
    """Return the namespace of the environment's own metrics in CloudWatch."""
    return f"lightwork/{names.environment}"


def publish(*, topic_arn: str, names: Names) -> Policy:
    """Let Alertmanager publish alarms, and use the topic's key to do so."""
    context: Condition = {
        "StringEquals": {"kms:ViaService": f"sns.{names.region}.amazonaws.com"},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key("alarms")},
    }
    keys = f"arn:aws:kms:{names.region}:{names.account}:key/*"
    return policy(
        allow("Publish", ["sns:Publish"], [topic_arn]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [keys], context),
    )
