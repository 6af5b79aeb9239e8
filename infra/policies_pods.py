"""What the cluster's own pods may do on AWS, each by its service account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.statements import Condition, Policy, allow, let, policy

if TYPE_CHECKING:
    from infra.accounts import ServiceAccount

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


def search_access(*, domain_arn: str, account: str, paths: list[str]) -> Policy:
    """The domain's own policy: roles of the environment, each as far as its own policies let it.

    Args:
        domain_arn: the domain.
        account: its account.
        paths: the IAM paths below which those roles are.
    """
    roles: list[str] = [f"arn:aws:iam::{account}:role{path}*" for path in paths]
    return policy(
        let(
            "Environment",
            {"AWS": f"arn:aws:iam::{account}:root"},
            ["es:ESHttp*"],
            [f"{domain_arn}/*"],
            {"ArnLike": {"aws:PrincipalArn": roles}},
        )
    )


def tenant_boundary(*, account: str, region: str, environment: str, domain_arn: str) -> Policy:
    """The most that any tenant's role may ever do, whatever it is granted.

    Its own grants name its own bucket, key and secrets; this is what stands when one of them is wrong: no
    other environment, no IAM, nothing but data.
    """
    return policy(
        allow(
            "Lakes",
            [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ],
            [
                f"arn:aws:s3:::lw-{environment}-*-{account}-{region}",
                f"arn:aws:s3:::lw-{environment}-*-{account}-{region}/*",
            ],
        ),
        allow(
            "Keys",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            [f"arn:aws:kms:{region}:{account}:key/*"],
            {"ForAnyValue:StringLike": {"kms:ResourceAliases": f"alias/lightwork/{environment}/*/*"}},
        ),
        allow(
            "Secrets",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            [f"arn:aws:secretsmanager:{region}:{account}:secret:lightwork/{environment}/*"],
        ),
        allow("Logs", ["es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"], [f"{domain_arn}/*"]),
    )
