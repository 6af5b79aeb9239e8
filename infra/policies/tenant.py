"""What a tenant's role may do on AWS: its own lake, its own secrets, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, allow, let, policy

if TYPE_CHECKING:
    from collections.abc import Sequence


def trust_pods(*, cluster_arn: str, namespace: str, accounts: Sequence[str]) -> Policy:
    """EKS may hand the role to the pods of these accounts of the tenant's namespace in this cluster.

    Args:
        cluster_arn: the cluster.
        namespace: the tenant's namespace.
        accounts: the service accounts whose pods run the tenant's code.
    """
    tags: Condition = {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": list(accounts),
        }
    }
    service: dict[str, str | list[str]] = {"Service": "pods.eks.amazonaws.com"}
    return policy(let("Pods", service, ["sts:AssumeRole", "sts:TagSession"], None, tags))


def trust_operator(*, role_arn: str) -> Policy:
    """The secrets' operator may become the role. Its pod's session has tags, which it cannot leave behind."""
    return policy(let("Operator", {"AWS": role_arn}, ["sts:AssumeRole", "sts:TagSession"], None))


def read_secrets(*, prefix_arn: str, key_arn: str, region: str) -> Policy:
    """Read the secrets of one tenant, and use its key for them.

    Args:
        prefix_arn: the ARN of the secrets up to the slash that ends the tenant's name.
        key_arn: the tenant's key.
        region: the region.

    Raises:
        ValueError: without that slash the tenant `acme` would read what belongs to `acme-2`.
    """
    if not prefix_arn.endswith("/"):
        raise ValueError(f"{prefix_arn}: a prefix of secrets ends in a slash")
    everything = f"{prefix_arn}*"
    context: Condition = {
        "StringEquals": {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:SecretARN": everything},
    }
    return policy(
        allow("Secrets", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [everything]),
        allow("SecretsKey", ["kms:Decrypt"], [key_arn], context),
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


def lake_read_write(*, bucket_arn: str, key_arn: str) -> Policy:
    """What a role needs to read and write one lake. Old versions stay: nothing here removes one."""
    return policy(
        allow(
            "List", ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], [bucket_arn]
        ),
        allow(
            "Objects",
            [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            [f"{bucket_arn}/*"],
        ),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )
