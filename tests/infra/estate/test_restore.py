"""The steps of docs/restore.md: restore what was deleted or overwritten in a versioned bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from infra.config.naming import Names
from infra.estate import bootstrap
from tests.infra.engine import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
BUCKET = NAMES.lake_bucket("acme")
KEY = "artifacts/winners/part-0.parquet"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        client.put_object(Bucket=BUCKET, Key=KEY, Body=b"right")
        yield client


def content(s3: Any, bucket: str = BUCKET, key: str = KEY) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_removing_the_delete_marker_restores_an_object(s3: Any) -> None:
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(s3.exceptions.NoSuchKey):
        content(s3)
    (marker,) = s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)["DeleteMarkers"]
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=marker["VersionId"])
    assert content(s3) == b"right", "as it was"


def test_copying_the_older_version_restores_an_overwritten_object(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"wrong")
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)["Versions"]
    (older,) = [version["VersionId"] for version in versions if not version["IsLatest"]]
    s3.copy_object(Bucket=BUCKET, Key=KEY, CopySource=f"{BUCKET}/{KEY}?versionId={older}")
    assert content(s3) == b"right", "as it was"
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)["Versions"]
    assert len(versions) == 3, "the wrong version is still there"


def test_an_overwritten_state_can_be_restored_from_the_bootstrapped_bucket(s3: Any) -> None:
    bootstrap.prepare(boto3.Session(), NAMES)
    # moto ignores conditions: with the policy in place, it would deny everybody.
    s3.delete_bucket_policy(Bucket=NAMES.bucket("state"))
    bucket, state = NAMES.bucket("state"), ".pulumi/stacks/lightwork/dev.acme.json"
    for body in (b"before", b"after"):
        s3.put_object(Bucket=bucket, Key=state, Body=body)
    versions = s3.list_object_versions(Bucket=bucket, Prefix=state)["Versions"]
    (older,) = [version["VersionId"] for version in versions if not version["IsLatest"]]
    s3.copy_object(Bucket=bucket, Key=state, CopySource=f"{bucket}/{state}?versionId={older}")
    assert content(s3, bucket, state) == b"before", "the state before the deployment"
