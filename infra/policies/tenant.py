"""The policies of a tenant's roles: its own lake, its own secrets, and nothing else."""

from __future__ import annotations

from infra.policies.statements import Condition, Policy, allow, let, policy, refuse
from lightwork.kube import contract


def trust_operator(*, role_arn: str) -> Policy:
    """Let the secrets operator assume the role; `TagSession` because its pod's session passes tags on."""
    return policy(let("Operator", {"AWS": role_arn}, ["sts:AssumeRole", "sts:TagSession"], None))


def trust_people(*, principals: tuple[str, ...]) -> Policy:
    """Let the people of a tenant assume their role; each principal is named, none by a wildcard."""
    return policy(let("People", {"AWS": list(principals)}, ["sts:AssumeRole"], None))


def find_cluster(*, cluster_arn: str) -> Policy:
    """Allow asking for the address and the certificate of one cluster."""
    return policy(allow("Cluster", ["eks:DescribeCluster"], [cluster_arn]))


def read_secrets(*, prefix_arn: str, key_arn: str, region: str) -> Policy:
    """Allow reading the secrets of one tenant, and decrypting them with its key.

    Args:
        prefix_arn: the ARN of the secrets up to the slash after the tenant's name.
        key_arn: the tenant's key.
        region: the region.

    Raises:
        ValueError: the slash is missing; without it the tenant `acme` could read the secrets of `acme-2`.
    """
    if not prefix_arn.endswith("/"):
        raise ValueError(f"{prefix_arn}: must end in a slash")
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
    """Return the boundary of every tenant's roles: the most they may do, whatever they are granted.

    A role's grants name its own bucket, key and secrets. If one of them is wrong, this still keeps the role
    to data of its own environment: no other environment, no IAM.
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
        allow("Logs", ["es:ESHttpPost"], [f"{domain_arn}/logs-tenant-*/_search"]),
        allow(
            "Cluster",
            ["eks:DescribeCluster"],
            [f"arn:aws:eks:{region}:{account}:cluster/lightwork-{environment}"],
        ),
    )


def search_logs(*, domain_arn: str, stream: str) -> Policy:
    """Allow searching one stream of the logs. OpenSearch's own roles decide about what a search contains."""
    return policy(allow("Search", ["es:ESHttpPost"], [f"{domain_arn}/{stream}/_search"]))


_READ = ["s3:GetObject", "s3:ListMultipartUploadParts"]
_WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]


def lake_of_steps(*, bucket_arn: str, key_arn: str, tenant: str) -> Policy:
    """Allow using a tenant's folder of a lake, except for what only its drivers and workers may use.

    `contract.LAKE_CLOSED` cannot be listed either, also not by a prefix that covers more than it.

    Args:
        bucket_arn: the lake's bucket.
        key_arn: its key.
        tenant: the tenant, whose folder is of that name.
    """
    folder = f"{bucket_arn}/{tenant}"
    closed = [f"{folder}/{name}/*" for name in contract.LAKE_CLOSED]
    read_only = [f"{folder}/{pattern}" for pattern in contract.LAKE_READ_ONLY]
    wider = {f"{name}/"[:end] for name in contract.LAKE_CLOSED for end in range(len(name) + 1)}
    hidden = [f"{tenant}/{text}" for text in sorted(wider)] + [
        f"{tenant}/{name}/*" for name in contract.LAKE_CLOSED
    ]
    return policy(
        allow("Bucket", ["s3:GetBucketLocation"], [bucket_arn]),
        allow("List", ["s3:ListBucket"], [bucket_arn], {"StringLike": {"s3:prefix": [f"{tenant}/*"]}}),
        allow("Objects", [*_READ, *_WRITE], [f"{folder}/*"]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        refuse("Runs", [*_READ, *_WRITE], closed),
        refuse("RunsList", ["s3:ListBucket"], [bucket_arn], {"StringLike": {"s3:prefix": hidden}}),
        refuse("Commits", _WRITE, read_only),
    )


def lake_of_people(*, bucket_arn: str, key_arn: str, tenant: str, region: str) -> Policy:
    """Allow reading a tenant's folder of a lake, and decrypting it, by S3 only.

    Args:
        bucket_arn: the lake's bucket.
        key_arn: its key.
        tenant: the tenant, whose folder is of that name.
        region: the lake's region.
    """
    context: Condition = {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}
    return policy(
        allow("List", ["s3:ListBucket"], [bucket_arn], {"StringLike": {"s3:prefix": [f"{tenant}/*"]}}),
        allow("Read", ["s3:GetObject"], [f"{bucket_arn}/{tenant}/*"]),
        allow("Key", ["kms:Decrypt"], [key_arn], context),
    )


def lake_of_controller(*, bucket_arn: str, key_arn: str, tenant: str) -> Policy:
    """Allow reading the records of a tenant's runs, writing those of Workflows, and marking these runs.

    Nothing else of a lake but the figures that the job of the history leaves: what drivers write can neither
    be changed nor deleted.

    Args:
        bucket_arn: the lake's bucket.
        key_arn: its key.
        tenant: the tenant, whose folder is of that name.
    """
    runs, figures = f"{tenant}/runs", f"{tenant}/history/figures"
    listed: Condition = {"StringLike": {"s3:prefix": [f"{runs}/*", f"{figures}/*"]}}
    read_only = [f"{bucket_arn}/{runs}/*/{name}" for name in ("attempts/*.json", "run.json", "alive")]
    workflow, note = f"{bucket_arn}/{runs}/*/workflow.json", f"{bucket_arn}/{runs}/.open/*.json"
    retries, marks = f"{bucket_arn}/{runs}/*/retries/*", f"{bucket_arn}/{tenant}/history/runs/open/*"
    return policy(
        allow("List", ["s3:ListBucket"], [bucket_arn], listed),
        allow("Read", ["s3:GetObject"], [*read_only, workflow, note, f"{bucket_arn}/{figures}/*"]),
        allow("Write", ["s3:PutObject"], [workflow, note, retries, marks]),
        allow("Replace", ["s3:DeleteObject"], [note]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )


def lake_read_write(*, bucket_arn: str, key_arn: str) -> Policy:
    """Allow reading and writing one lake, but not deleting old versions."""
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
