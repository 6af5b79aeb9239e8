"""A private bucket: the base of every bucket of an estate and its tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def private_bucket(
    name: str,
    physical: str,
    *,
    encryption: aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict,
    policy: Callable[[aws.s3.Bucket], pulumi.Input[str]],
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy]:
    """Make a bucket that is encrypted, without ACLs, and closed to all public access.

    The bucket is protected and retained; its policy, encryption and access block are retained as well.

    Args:
        name: the component's logical name, the prefix of the resources' names.
        physical: the bucket's own name.
        encryption: the rule of its default encryption.
        policy: a function that returns the bucket's policy.
        tags: the bucket's tags.
        parent: the component that it belongs to.

    Returns:
        The bucket and its policy.
    """
    # A retained bucket must keep its policy, encryption and access block.
    retained = pulumi.ResourceOptions(parent=parent, retain_on_delete=True)
    bucket = aws.s3.Bucket(
        f"{name}-bucket",
        bucket=physical,
        force_destroy=False,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, protect=True, retain_on_delete=True),
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption", bucket=bucket.bucket, rules=[encryption], opts=retained
    )
    aws.s3.BucketOwnershipControls(
        f"{name}-ownership",
        bucket=bucket.bucket,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=retained,
    )
    blocked = aws.s3.BucketPublicAccessBlock(
        f"{name}-public-access",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=retained,
    )
    attached = aws.s3.BucketPolicy(
        f"{name}-policy",
        bucket=bucket.bucket,
        policy=policy(bucket),
        # S3 refuses two concurrent changes of a bucket's access.
        opts=pulumi.ResourceOptions.merge(retained, pulumi.ResourceOptions(depends_on=[blocked])),
    )
    return bucket, attached
