"""The bucket that takes the access logs: who read or wrote which lake, and what the network refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import resources

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditArgs:
    """What it is made from.

    Attributes:
        bucket: the bucket's physical name.
        account: the AWS account.
        region: the region.
        sources: the ARNs, patterns among them, of the buckets whose access is logged here.
        kept_days: for how long.
        tags: on everything that takes tags.
    """

    bucket: str
    account: str
    region: str
    sources: tuple[str, ...]
    kept_days: int
    tags: Mapping[str, str]


class Audit(pulumi.ComponentResource):
    """A private bucket into which AWS's two log services write, and nobody else.

    Makes: the bucket, encrypted by S3's own key (S3 delivers access logs to no other), without ACLs, public
    access blocked, with a policy and a lifecycle.

    Costs: 0.023 USD a month for each GB kept.

    Deleting: it is protected and retained, as it is the proof of what was done.

    Attributes:
        bucket: its name.
        flows: the ARN, with the folder, for flow logs.
    """

    bucket: pulumi.Output[str]
    flows: pulumi.Output[str]

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Audit", name, {}, opts)
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.bucket,
            force_destroy=False,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        self.bucket = bucket.bucket
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=kept,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=kept,
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=kept,
        )
        document = resources.log_bucket(
            bucket_arn=f"arn:aws:s3:::{args.bucket}",
            account=args.account,
            region=args.region,
            sources=list(args.sources),
        )
        policy = aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=json.dumps(document),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[blocked])),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": args.kept_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
            opts=kept,
        )
        # By way of the policy, as flow logs begin only where they may write.
        self.flows = policy.bucket.apply(lambda physical: f"arn:aws:s3:::{physical}/flows/")
        self.register_outputs({"bucket": self.bucket})
