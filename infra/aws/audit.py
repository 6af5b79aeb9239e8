"""The bucket for access logs: who read or wrote which lake, and which traffic the network refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import private_bucket
from infra.policies import resources

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditArgs:
    """Arguments of `Audit`.

    Attributes:
        bucket: the bucket's physical name.
        account: the AWS account.
        region: the region.
        sources: the ARNs, or patterns of ARNs, of the buckets whose access is logged here.
        kept_days: the days for which logs are kept.
        tags: the tags of all its resources.
    """

    bucket: str
    account: str
    region: str
    sources: tuple[str, ...]
    kept_days: int
    tags: Mapping[str, str]


class Audit(pulumi.ComponentResource):
    """A private bucket that only AWS's two log services can write to.

    Makes: the bucket, encrypted by S3's own key (S3 delivers access logs only to such buckets), without ACLs,
    with public access blocked, a policy and a lifecycle.

    Costs: 0.023 USD a month per GB stored.

    Deleting: it is protected and retained, as it is the audit trail.

    Attributes:
        bucket: its name.
        flows: the destination of flow logs: the bucket's ARN with a folder.
    """

    bucket: pulumi.Output[str]
    flows: pulumi.Output[str]

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Audit", name, {}, opts)
        document = resources.log_bucket(
            bucket_arn=f"arn:aws:s3:::{args.bucket}",
            account=args.account,
            region=args.region,
            sources=list(args.sources),
        )
        bucket, policy = private_bucket(
            name,
            args.bucket,
            encryption={"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}},
            policy=lambda _: json.dumps(document),
            tags=args.tags,
            parent=self,
        )
        self.bucket = bucket.bucket
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
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        # Derived from the policy, because flow logs can be created only where they may write.
        self.flows = policy.bucket.apply(lambda physical: f"arn:aws:s3:::{physical}/flows/")
        self.register_outputs({"bucket": self.bucket})
