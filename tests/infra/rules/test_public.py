"""The rules `public-bucket` and `unblocked-bucket`: every way to make a bucket public is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.config.stack import StackName
from infra.rules import UNKNOWN, Subject
from infra.rules.public import BLOCK, SWITCHES, unblocked_buckets
from tests.infra.rules.offences import reasons

DEV = StackName(environment="dev")
BUCKET = "aws:s3/bucket:Bucket"
ACL = "aws:s3/bucketAcl:BucketAcl"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
CLOSED = dict.fromkeys(SWITCHES, True)
ALL_USERS = {"grantee": {"uri": "http://acs.amazonaws.com/groups/global/AllUsers"}, "permission": "READ"}


def policy(**statement: Any) -> dict[str, str]:
    base = {"Sid": "Open", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [{**base, **statement}]})}


@pytest.mark.parametrize(
    ("type_", "inputs", "word"),
    [
        (BUCKET, {"acl": "public-read"}, "public-read"),
        (BUCKET, {"acl": "public-read-write"}, "public-read-write"),
        (ACL, {"acl": "authenticated-read"}, "authenticated-read"),
        (ACL, {"accessControlPolicy": {"grants": [ALL_USERS]}}, "AllUsers"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", {"acl": "public-read"}, "public-read"),
        (POLICY, policy(Principal="*"), "Open"),
        (POLICY, policy(Principal={"AWS": "*"}), "Open"),
        (POLICY, policy(Principal={"AWS": ["arn:aws:iam::123456789012:root", "*"]}), "Open"),
        (POLICY, policy(NotPrincipal={"AWS": "arn:aws:iam::123456789012:root"}), "Open"),
        (POLICY, policy(Principal="*", Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), "Open"),
        (BUCKET, policy(Principal="*"), "Open"),
        (POLICY, {"policy": json.loads(policy(Principal="*")["policy"])}, "Open"),
        (
            POLICY,
            {"policy": json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}})},
            "'?' allows every principal",
        ),
        *[(BLOCK, {**CLOSED, switch: False}, switch) for switch in SWITCHES],
        *[(BLOCK, {key: True for key in SWITCHES if key != switch}, switch) for switch in SWITCHES],
        ("aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock", {}, "blockPublicAcls"),
    ],
)
def test_every_way_to_make_a_bucket_public_is_refused(type_: str, inputs: dict[str, Any], word: str) -> None:
    assert any(word in line for line in reasons("public-bucket", type_, inputs)), inputs


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        (BUCKET, {"bucket": "b", "forceDestroy": False}),
        (ACL, {"acl": "private"}),
        (ACL, {"acl": "log-delivery-write"}),
        (BLOCK, CLOSED),
        (BLOCK, {**CLOSED, "blockPublicAcls": UNKNOWN}),
        (POLICY, policy(Principal="*", Effect="Deny")),
        (POLICY, policy(Principal={"AWS": "arn:aws:iam::123456789012:root"})),
        (POLICY, policy(Principal={"Service": "logging.s3.amazonaws.com"})),
        (POLICY, {"policy": UNKNOWN}),
        (POLICY, {"policy": "{not json"}),
        ("aws:sns/topicPolicy:TopicPolicy", policy(Principal="*")),
    ],
)
def test_private_buckets_and_other_resources_are_allowed(type_: str, inputs: dict[str, Any]) -> None:
    assert reasons("public-bucket", type_, inputs) == []


def unblocked(*blocks: Any, bucket: Any = "b") -> list[str]:
    """Return the lines about a bucket in a stack with blocks for these buckets."""
    subjects = [
        Subject(stack=DEV, type=BUCKET, name="lake-bucket", inputs={"bucket": bucket} if bucket else {})
    ]
    subjects += [
        Subject(stack=DEV, type=BLOCK, name="block", inputs={**CLOSED, "bucket": block}) for block in blocks
    ]
    return [f"{subject.name}: {reason}" for subject, reason in unblocked_buckets(subjects)]


def test_a_bucket_without_a_block_is_refused() -> None:
    (line,) = unblocked()
    assert line.startswith("lake-bucket: no BucketPublicAccessBlock"), line
    assert len(unblocked("another")) == 1, "another bucket's block"
    assert len(unblocked("b", bucket=None)) == 1, "no block can name a bucket without a name"


def test_a_bucket_with_its_block_is_allowed() -> None:
    assert unblocked("b") == []
    assert unblocked("another", "b") == []


def test_an_unknown_bucket_name_is_accepted() -> None:
    assert unblocked(UNKNOWN) == [], "the block may be this bucket's"
    assert unblocked("another", bucket=UNKNOWN) == [], "the bucket may have this block"
