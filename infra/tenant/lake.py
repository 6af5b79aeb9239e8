"""A tenant's lake: one bucket, one key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import resources
from infra.policies import tenant as tenant_policies

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeArgs:
    """What a lake is made from.

    Attributes:
        bucket: the bucket's physical name.
        key_alias: the key's alias, `alias/...`.
        account: the AWS account whose principals alone may come near.
        access_logs: the bucket into which S3 writes who read or wrote what.
        deleted_days: days for which what was deleted or overwritten can be brought back.
        tags: on everything that takes tags.
    """

    bucket: str
    key_alias: str
    account: str
    access_logs: str
    deleted_days: int
    tags: Mapping[str, str]


class Lake(pulumi.ComponentResource):
    """A bucket, encrypted by a key of its own: TLS only, private, versioned, with a lifecycle.

    Makes: a KMS key that rotates every year, with an alias; the bucket, with versioning, that key as its
    default encryption, access by policies alone (no ACLs), every kind of public access blocked, and a policy
    that denies what no grant may allow; access logs, into the estate's own bucket; a lifecycle that drops
    replaced versions and the parts of uploads never finished.

    Costs: 1 USD a month for the key (each of the first two rotations adds 1 USD), about 25 USD a month for a
    TB stored, old versions included, and the requests.

    Deleting: bucket and key are protected, so `pulumi destroy` refuses. Once `pulumi state unprotect` has
    been run on purpose, Pulumi forgets them, and on AWS the bucket keeps its data, encryption, policy and
    lifecycle. Deleting for good is done by hand, bucket before key: without its key the data is lost, even if
    the objects are still there.

    Attributes:
        bucket: the bucket's name.
        bucket_arn: the bucket's ARN.
        key_arn: the key's ARN.
    """

    bucket: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: LakeArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Lake", name, {}, opts)
        precious = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        # A bucket that is kept must not lose what guards it.
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)

        key = aws.kms.Key(
            f"{name}-key",
            description=f"Encrypts the bucket {args.bucket}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=args.tags,
            opts=precious,
        )
        aws.kms.Alias(f"{name}-alias", name=args.key_alias, target_key_id=key.key_id, opts=kept)
        bucket = aws.s3.Bucket(
            f"{name}-bucket", bucket=args.bucket, force_destroy=False, tags=args.tags, opts=precious
        )
        self.bucket, self.bucket_arn, self.key_arn = bucket.bucket, bucket.arn, key.arn
        self._encrypt(name, kept)
        self._keep_private(name, args.account, kept)
        aws.s3.BucketLogging(
            f"{name}-access-logs",
            bucket=self.bucket,
            target_bucket=args.access_logs,
            target_prefix=f"buckets/{args.bucket}/",
            opts=kept,
        )
        self._keep_versions(name, args.deleted_days, kept)
        self.register_outputs({"bucket": self.bucket, "bucket_arn": self.bucket_arn, "key_arn": self.key_arn})

    def grant_read_write(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let a role read and write this lake, and nothing else.

        Args:
            name: the grant's logical name.
            role: the role's name.
        """
        document = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(tenant_policies.lake_read_write(**arns))
        )
        return aws.iam.RolePolicy(name, role=role, policy=document, opts=pulumi.ResourceOptions(parent=self))

    def _encrypt(self, name: str, opts: pulumi.ResourceOptions) -> None:
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
                    # One data key serves many objects; without it each request pays for a call to KMS.
                    "bucket_key_enabled": True,
                }
            ],
            opts=opts,
        )

    def _keep_private(self, name: str, account: str, opts: pulumi.ResourceOptions) -> None:
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=self.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=opts,
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=self.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        )
        guard = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(resources.bucket_guard(account=account, **arns))
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=self.bucket,
            policy=guard,
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[blocked])),
        )

    def _keep_versions(self, name: str, deleted_days: int, opts: pulumi.ResourceOptions) -> None:
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=self.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=opts,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.bucket,
            rules=[
                {
                    "id": "drop-replaced-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": deleted_days},
                    "expiration": {"expired_object_delete_marker": True},
                },
                {
                    "id": "drop-unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                },
            ],
            # Replaced versions exist once versioning is on.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[versioning])),
        )
