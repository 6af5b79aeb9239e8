"""Policies attached to resources: buckets, keys, endpoints, the OpenSearch domain."""

from __future__ import annotations

from infra.policies.statements import Condition, Policy, Statement, deny, let, policy


def s3_endpoint(*, account: str, region: str) -> Policy:
    """Limit traffic to S3 to this account's buckets and to reading image layers and packages.

    ECR, the Kubernetes project and Amazon Linux keep the nodes' downloads in buckets of their own; the
    buckets of all other accounts are refused. Buckets in other regions are not reached through the endpoint
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
    """Let AWS's two log services write to the bucket of access logs, for this account only and over TLS only.

    Args:
        bucket_arn: the bucket.
        account: the account whose logs these are.
        region: its region.
        sources: the ARNs, or patterns of ARNs, of the buckets whose access is logged.
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
    """Let the account's own policies decide about a key, and AWS services as far as `more` allows."""
    root: dict[str, str | list[str]] = {"AWS": f"arn:aws:iam::{account}:root"}
    return policy(let("Account", root, ["kms:*"], ["*"]), *more)


def for_logs(*, account: str, region: str, group: str) -> Statement:
    """Let CloudWatch Logs use the key for one log group."""
    context: Condition = {
        "ArnEquals": {
            "kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{region}:{account}:log-group:{group}"
        }
    }
    return let("Logs", {"Service": f"logs.{region}.amazonaws.com"}, USE, ["*"], context)


def for_alarms(*, account: str, services: tuple[str, ...], events: str) -> tuple[Statement, ...]:
    """Let the services that publish to an encrypted topic use its key.

    Args:
        account: the account on whose behalf they may.
        services: those that name the account.
        events: EventBridge, which does not.
    """
    context: Condition = {"StringEquals": {"aws:SourceAccount": account}}
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    return (
        let("Publishers", {"Service": list(services)}, use, ["*"], context),
        let("Events", {"Service": events}, use, ["*"]),
    )


def search_access(*, domain_arn: str, account: str, paths: list[str]) -> Policy:
    """Open the domain to the environment's roles, each as far as its own policies allow.

    Args:
        domain_arn: the domain.
        account: its account.
        paths: the IAM paths of those roles.
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
    """Deny on a bucket, whatever else is granted: insecure connections, other accounts and other keys.

    Insecure means plain HTTP or a TLS older than 1.2; AWS's own services do not count as other accounts. A
    write that names no key is fine, as the bucket's default is the right one: hence each `Null` condition,
    without which "not equals" would also match a request that names none. A write that asks for `aws:kms`
    without a key would get the account's own S3 key, and one with a customer's key (SSE-C) could be read with
    that alone.
    """
    everything = [bucket_arn, f"{bucket_arn}/*"]
    algorithm = "s3:x-amz-server-side-encryption"
    key = f"{algorithm}-aws-kms-key-id"
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
                "StringNotEquals": {algorithm: "aws:kms"},
                "Null": {algorithm: "false"},
            },
        ),
        deny("UnnamedKeys", "s3:PutObject", [f"{bucket_arn}/*"], {"Null": {algorithm: "false", key: "true"}}),
        deny(
            "CustomersKeys",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {"Null": {f"{algorithm}-customer-algorithm": "false"}},
        ),
        deny(
            "OtherKeys",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {
                "ArnNotEquals": {key: key_arn},
                "Null": {key: "false"},
            },
        ),
    )
