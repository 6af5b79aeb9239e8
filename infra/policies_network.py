"""What may pass the VPC's S3 endpoint, and who may write the estate's logs."""

from __future__ import annotations

from infra.statements import Policy, deny, let, policy


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
