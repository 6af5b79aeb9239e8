"""A bucket that others can read or write: each way to make one is seen, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.config.stack import StackName
from infra.rules import UNKNOWN, Subject
from infra.rules.public import BLOCK, SWITCHES, unblocked_buckets
from tests.infra.rules.offences import said

DEV = StackName(environment="dev")
BUCKET = "aws:s3/bucket:Bucket"
ACL = "aws:s3/bucketAcl:BucketAcl"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
CLOSED = dict.fromkeys(SWITCHES, True)
ALL_USERS = {"grantee": {"uri": "http://acs.amazonaws.com/groups/global/AllUsers"}, "permission": "READ"}


def policy(**statement: Any) -> dict[str, str]:
    one = {"Sid": "Open", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [{**one, **statement}]})}


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
            "lets everybody in",
        ),
        *[(BLOCK, {**CLOSED, switch: False}, switch) for switch in SWITCHES],
        *[(BLOCK, {key: True for key in SWITCHES if key != switch}, switch) for switch in SWITCHES],
        ("aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock", {}, "blockPublicAcls"),
    ],
)
def test_each_way_to_open_a_bucket_is_refused(type_: str, inputs: dict[str, Any], word: str) -> None:
    assert any(word in line for line in said("public-bucket", type_, inputs)), f"{inputs} opens a bucket"


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
def test_what_opens_no_bucket_goes_through(type_: str, inputs: dict[str, Any]) -> None:
    assert said("public-bucket", type_, inputs) == [], "nobody but the account comes in, or it is no bucket"


def stack(*blocks: Any, bucket: Any = "b") -> list[str]:
    known = [Subject(stack=DEV, type=BUCKET, name="lake-bucket", inputs={"bucket": bucket} if bucket else {})]
    known += [
        Subject(stack=DEV, type=BLOCK, name="block", inputs={**CLOSED, "bucket": block}) for block in blocks
    ]
    return [f"{one.name}: {reason}" for one, reason in unblocked_buckets(known)]


def test_a_bucket_without_a_block_is_refused() -> None:
    (line,) = stack()
    assert line.startswith("lake-bucket: no BucketPublicAccessBlock"), line
    assert len(stack("another")) == 1, "another bucket's block is not its own"
    assert len(stack("b", bucket=None)) == 1, "a bucket that says no name has none that names it"


def test_a_bucket_with_its_block_goes_through() -> None:
    assert stack("b") == []
    assert stack("another", "b") == [], "each has its own"


def test_what_is_not_known_yet_is_not_judged() -> None:
    assert stack(UNKNOWN) == [], "it may well be this bucket's"
    assert stack("another", bucket=UNKNOWN) == [], "nobody knows its name yet"
