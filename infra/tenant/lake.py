"""A tenant's lake: a bucket with a key of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import private_bucket
from infra.policies import resources
from infra.policies import tenant as tenant_policies

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeArgs:
    """Arguments of `Lake`.

    Attributes:
        bucket: the bucket's physical name.
        key_alias: the key's alias, `alias/...`.
        account: the only AWS account whose principals may access the bucket.
        access_logs: the bucket that S3 writes access logs to.
        deleted_days: the days for which deleted or overwritten objects can be restored.
        tags: the tags of all its resources.
    """

    bucket: str
    key_alias: str
    account: str
    access_logs: str
    deleted_days: int
    tags: Mapping[str, str]


class Lake(pulumi.ComponentResource):
    """A private, versioned bucket with a lifecycle, encrypted by a key of its own and accessible by TLS only.

    Makes: a KMS key that rotates every year, with an alias; the bucket, with versioning, that key as its
    default encryption, access by policies only (no ACLs), all public access blocked, and a policy whose
    denials override any grant; access logs, in the estate's own bucket; a lifecycle that deletes replaced
    versions and the parts of unfinished uploads.

    Costs: 1 USD a month for the key (each of the first two rotations adds 1 USD), about 25 USD a month per TB
    stored, old versions included, and the requests.

    Deleting: bucket and key are protected, so `pulumi destroy` refuses. After a deliberate `pulumi state
    unprotect`, Pulumi forgets them, and the bucket on AWS keeps its data, encryption, policy and lifecycle.
    Delete them for good by hand, the bucket before the key: without its key the data is lost, even if the
    objects are still there.

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
        # A retained bucket must keep its key, logs, versions and lifecycle.
        retained = pulumi.ResourceOptions(parent=self, retain_on_delete=True)

        key = aws.kms.Key(
            f"{name}-key",
            description=f"Encrypts the bucket {args.bucket}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        aws.kms.Alias(f"{name}-alias", name=args.key_alias, target_key_id=key.key_id, opts=retained)
        bucket, _ = private_bucket(
            name,
            args.bucket,
            encryption={
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key.arn,
                },
                # One data key serves many objects; without it, every request costs a call to KMS.
                "bucket_key_enabled": True,
            },
            policy=lambda bucket: pulumi.Output.all(bucket_arn=bucket.arn, key_arn=key.arn).apply(
                lambda arns: json.dumps(resources.bucket_guard(account=args.account, **arns))
            ),
            tags=args.tags,
            parent=self,
        )
        self.bucket, self.bucket_arn, self.key_arn = bucket.bucket, bucket.arn, key.arn
        aws.s3.BucketLogging(
            f"{name}-access-logs",
            bucket=self.bucket,
            target_bucket=args.access_logs,
            target_prefix=f"buckets/{args.bucket}/",
            opts=retained,
        )
        self._keep_versions(name, args.deleted_days, retained)
        self.register_outputs({"bucket": self.bucket, "bucket_arn": self.bucket_arn, "key_arn": self.key_arn})

    def grant_read_write(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let a role read and write this lake.

        Args:
            name: the grant's logical name.
            role: the role's name.
        """
        document = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(tenant_policies.lake_read_write(**arns))
        )
        return aws.iam.RolePolicy(name, role=role, policy=document, opts=pulumi.ResourceOptions(parent=self))

    def grant_steps(self, name: str, role: pulumi.Input[str], tenant: str) -> aws.iam.RolePolicy:
        """Let a role use this lake as far as a step may.

        Args:
            name: the grant's logical name.
            role: the role's name.
            tenant: the tenant whose lake it is.
        """
        document = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(tenant_policies.lake_of_steps(tenant=tenant, **arns))
        )
        return aws.iam.RolePolicy(name, role=role, policy=document, opts=pulumi.ResourceOptions(parent=self))

    def grant_controller(self, name: str, role: pulumi.Input[str], tenant: str) -> aws.iam.RolePolicy:
        """Let a role read and write the records of runs in this lake.

        Args:
            name: the grant's logical name.
            role: the role's name.
            tenant: the tenant whose lake it is.
        """
        document = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(tenant_policies.lake_of_controller(tenant=tenant, **arns))
        )
        return aws.iam.RolePolicy(name, role=role, policy=document, opts=pulumi.ResourceOptions(parent=self))

    def grant_people(
        self, name: str, role: pulumi.Input[str], tenant: str, region: str
    ) -> aws.iam.RolePolicy:
        """Let the role of the tenant's people read this lake.

        Args:
            name: the grant's logical name.
            role: the role's name.
            tenant: the tenant whose lake it is.
            region: the lake's region.
        """
        document = pulumi.Output.all(bucket_arn=self.bucket_arn, key_arn=self.key_arn).apply(
            lambda arns: json.dumps(tenant_policies.lake_of_people(tenant=tenant, region=region, **arns))
        )
        return aws.iam.RolePolicy(name, role=role, policy=document, opts=pulumi.ResourceOptions(parent=self))

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
            # The rule for replaced versions needs versioning to be on.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[versioning])),
        )
