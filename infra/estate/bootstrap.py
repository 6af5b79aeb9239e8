"""The first step in an empty account: the bucket for Pulumi's states and the key that encrypts them.

    lightwork-estate bootstrap --env dev

This cannot be a Pulumi program, as Pulumi needs the bucket first. Instead it calls AWS directly. It can be
repeated: it creates what is missing, corrects settings that differ, and never deletes anything. At the end it
prints the variables to export.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.config import settings
from infra.config.naming import Names
from infra.policies import resources

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.tenants import Environment

KEPT_DAYS = 365
"""The days for which an overwritten state can be restored."""


def prepare(session: Any, names: Names) -> None:
    """Create bucket and key, or correct their settings if they exist.

    Args:
        session: a boto3 session with an administrator's credentials.
        names: the environment's names.

    Raises:
        InputError: the credentials are another account's; nothing is created then.
    """
    names.check_account(session.client("sts", region_name=names.region).get_caller_identity()["Account"])
    key_arn = _key(session.client("kms", region_name=names.region), names)
    _bucket(session.client("s3", region_name=names.region), names, key_arn)


def bootstrap(root: Path, environment: Environment) -> list[str]:
    """Prepare an environment's account.

    Args:
        root: the repository's root.
        environment: the environment.

    Returns:
        The lines to print: the variable to export, and the command that creates a stack.

    Raises:
        InputError: the settings are wrong, or the credentials are another account's.
    """
    import boto3

    declared = settings.load(root, environment)
    names = Names.of(declared)
    prepare(boto3.Session(), names)
    init = f"pulumi stack init {environment} --secrets-provider='{names.secrets_provider}'"
    return [f"export PULUMI_BACKEND_URL='{names.backend}'", f"# once for each stack: {init}"]


def _key(kms: Any, names: Names) -> str:
    alias = names.key("state")
    pages = kms.get_paginator("list_aliases").paginate()
    key_ids = {entry["AliasName"]: entry.get("TargetKeyId") for page in pages for entry in page["Aliases"]}
    key_id = key_ids.get(alias)
    if key_id is None:
        tags = [{"TagKey": key, "TagValue": value} for key, value in names.tags().items()]
        key = kms.create_key(Description=f"Encrypts Pulumi's states of {names.environment}", Tags=tags)
        key_id = key["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=key_id)
    kms.enable_key_rotation(KeyId=key_id)
    arn: str = kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    return arn


def _bucket(s3: Any, names: Names, key_arn: str) -> None:
    bucket = names.bucket("state")
    if bucket not in {entry["Name"] for entry in s3.list_buckets()["Buckets"]}:
        # us-east-1 is the default, and S3 refuses it as an explicit location.
        location = (
            {}
            if names.region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": names.region}}
        )
        s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerEnforced", **location)
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]
        },
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "drop-replaced-versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": KEPT_DAYS},
                }
            ]
        },
    )
    tags = [{"Key": key, "Value": value} for key, value in names.tags().items()]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    guard = resources.bucket_guard(
        bucket_arn=f"arn:aws:s3:::{bucket}", key_arn=key_arn, account=names.account
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(guard))
