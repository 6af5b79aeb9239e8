"""Policies attached to what they are about: buckets, keys, endpoints, the OpenSearch domain."""

from __future__ import annotations

from infra.policies.statements import Condition, Policy, Statement, deny, let, policy


def s3_endpoint(*, account: str, region: str) -> Policy:
    """What traffic to S3 may be about: this account's buckets, and reading the images' layers.

    ECR, the Kubernetes project and Amazon Linux keep what a node downloads in buckets of their own;
    everything else in S3 is another account's. Buckets of other regions are not reached through the endpoint
    at all.
    """
    return policy(
        let("OwnBuckets", {"AWS": "*"}, ["s3:*"], ["*"], {"StringEquals": {"aws:ResourceAccount": account}}),
        let(
            "ImageLayers",
            {"AWS": "*"},
            ["s3:GetObject"],
            [
                f"arn:aws:s3:::prod-{region}-starport-layer-bucket/*",
                "arn:aws:s3:::prod-registry-k8s-io-*/*",
                f"arn:aws:s3:::al2023-repos-{region}-de612dc2/*",
            ],
        ),
    )


def log_bucket(*, bucket_arn: str, account: str, region: str, sources: list[str]) -> Policy:
    """The bucket of access logs: AWS's two log services write, for this account alone; TLS only.

    Args:
        bucket_arn: the bucket.
        account: the account whose logs these are.
        region: its region.
        sources: the ARNs, patterns among them, of the buckets whose access is logged.
    """
    own: dict[str, str | list[str]] = {"aws:SourceAccount": account}
    flow = f"arn:aws:logs:{region}:{account}:*"
    everything = [bucket_arn, f"{bucket_arn}/*"]
    return policy(
        deny("PlainHttp", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        let(
            "BucketLogs",
            {"Service": "logging.s3.amazonaws.com"},
            ["s3:PutObject"],
            [f"{bucket_arn}/buckets/*"],
            {"StringEquals": own, "ArnLike": {"aws:SourceArn": sources}},
        ),
        let(
            "FlowLogs",
            {"Service": "delivery.logs.amazonaws.com"},
            ["s3:PutObject"],
            [f"{bucket_arn}/flows/*"],
            {
                "StringEquals": {**own, "s3:x-amz-acl": "bucket-owner-full-control"},
                "ArnLike": {"aws:SourceArn": flow},
            },
        ),
        let(
            "FlowLogsCheck",
            {"Service": "delivery.logs.amazonaws.com"},
            ["s3:GetBucketAcl"],
            [bucket_arn],
            {"StringEquals": own, "ArnLike": {"aws:SourceArn": flow}},
        ),
    )


USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


def account_key(*, account: str, more: tuple[Statement, ...] = ()) -> Policy:
    """A key that the account's own policies decide about, and AWS's services as far as `more` says."""
    root: dict[str, str | list[str]] = {"AWS": f"arn:aws:iam::{account}:root"}
    return policy(let("Account", root, ["kms:*"], ["*"]), *more)


def for_logs(*, account: str, region: str, group: str) -> Statement:
    """CloudWatch Logs may use the key for one log group."""
    context: Condition = {
        "ArnEquals": {
            "kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{region}:{account}:log-group:{group}"
        }
    }
    return let("Logs", {"Service": f"logs.{region}.amazonaws.com"}, USE, ["*"], context)


def for_alarms(*, account: str, services: tuple[str, ...]) -> Statement:
    """Services that publish to an encrypted topic may use its key, on behalf of this account alone."""
    context: Condition = {"StringEquals": {"aws:SourceAccount": account}}
    return let(
        "Publishers", {"Service": list(services)}, ["kms:Decrypt", "kms:GenerateDataKey*"], ["*"], context
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


def bucket_guard(*, bucket_arn: str, key_arn: str, account: str) -> Policy:
    """A lake bucket's own policy: whatever else somebody is granted, this is denied.

    Plain HTTP and TLS older than 1.2, principals of other accounts (AWS's own services excepted), and writing
    with any other key than the lake's. Saying none is fine, as the bucket's default is that key: hence each
    `Null`, without which "not equals" would also hold for a request that says nothing.
    """
    everything = [bucket_arn, f"{bucket_arn}/*"]
    return policy(
        deny("PlainHttp", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        deny("OldTls", "s3:*", everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        deny(
            "OtherAccounts",
            "s3:*",
            everything,
            {
                "StringNotEquals": {"aws:PrincipalAccount": account},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
        deny(
            "OtherEncryption",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {
                "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                "Null": {"s3:x-amz-server-side-encryption": "false"},
            },
        ),
        deny(
            "OtherKeys",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {
                "ArnNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key_arn},
                "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
            },
        ),
    )
