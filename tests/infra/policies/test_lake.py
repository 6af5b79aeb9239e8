"""Access to a lake: only its own role, and only over TLS."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws
import pytest

from infra.policies import resources
from infra.policies import tenant as tenant_policies
from infra.tenant.lake import Lake, LakeArgs
from tests.infra.engine import ACCOUNT, record
from tests.infra.iam import decide

BUCKET = "arn:aws:s3:::lw-dev-acme"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/acme"
OTHER_BUCKET = "arn:aws:s3:::lw-dev-globex"
OTHER_KEY = "arn:aws:kms:eu-central-1:123456789012:key/globex"

GUARD = resources.bucket_guard(bucket_arn=BUCKET, key_arn=KEY, account=ACCOUNT)
GRANT = tenant_policies.lake_read_write(bucket_arn=BUCKET, key_arn=KEY)
ADMIN = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
GOOD = {
    "aws:SecureTransport": "true",
    "s3:TlsVersion": "1.3",
    "aws:PrincipalAccount": ACCOUNT,
    "aws:PrincipalIsAWSService": "false",
}
ALGORITHM = "s3:x-amz-server-side-encryption"
KEY_ID = f"{ALGORITHM}-aws-kms-key-id"
CUSTOMERS = f"{ALGORITHM}-customer-algorithm"
ACTIONS = {
    "s3:ListBucket": BUCKET,
    "s3:GetObject": f"{BUCKET}/runs/1.json",
    "s3:PutObject": f"{BUCKET}/runs/1.json",
    "s3:DeleteObject": f"{BUCKET}/runs/1.json",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_tenants_own_role_reads_and_writes_its_lake(action: str) -> None:
    assert decide([GUARD, GRANT], action, ACTIONS[action], GOOD), "otherwise the tenant's pipelines fail"


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_the_tenants_own_role_uses_its_key_and_no_other(action: str) -> None:
    assert decide([GRANT], action, KEY, GOOD), "without the key the objects cannot be read"
    assert not decide([GRANT], action, OTHER_KEY, GOOD), "another tenant's key protects another tenant's data"


@pytest.mark.parametrize("action", ACTIONS)
def test_another_tenants_role_is_refused(action: str) -> None:
    other = tenant_policies.lake_read_write(bucket_arn=OTHER_BUCKET, key_arn=OTHER_KEY)
    assert not decide([GUARD, other], action, ACTIONS[action], GOOD), "a tenant must not reach another's lake"


def test_a_bucket_with_the_same_prefix_is_not_covered() -> None:
    longer = f"{BUCKET}-2/runs/1.json"
    assert not decide([GRANT], "s3:GetObject", longer, GOOD), "acme's grant must not cover the tenant acme-2"


@pytest.mark.parametrize("action", ACTIONS)
def test_plain_http_is_refused_even_to_an_administrator(action: str) -> None:
    plain = {**GOOD, "aws:SecureTransport": "false"}
    assert not decide([GUARD, ADMIN], action, ACTIONS[action], plain), "data must be encrypted in transit"


def test_old_tls_is_refused() -> None:
    old = {**GOOD, "s3:TlsVersion": "1.1"}
    assert not decide([GUARD, ADMIN], "s3:GetObject", f"{BUCKET}/a", old), "TLS below 1.2 is broken"


def test_another_account_is_refused_whatever_its_grants() -> None:
    foreign = {**GOOD, "aws:PrincipalAccount": "999999999999"}
    assert not decide([GUARD, ADMIN], "s3:GetObject", f"{BUCKET}/a", foreign), (
        "only this account may access it"
    )


def test_an_anonymous_request_is_refused() -> None:
    anonymous = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalIsAWSService": "false"}
    assert not decide([GUARD, ADMIN], "s3:GetObject", f"{BUCKET}/a", anonymous), (
        "an anonymous caller is not of this account"
    )


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({KEY_ID: KEY}, True),
        ({ALGORITHM: "aws:kms", KEY_ID: KEY}, True),
        ({ALGORITHM: "aws:kms"}, False),
        ({ALGORITHM: "aws:kms:dsse", KEY_ID: KEY}, False),
        ({ALGORITHM: "aws:fsx"}, False),
        ({ALGORITHM: "AES256"}, False),
        ({KEY_ID: OTHER_KEY}, False),
        ({ALGORITHM: "aws:kms", KEY_ID: OTHER_KEY}, False),
        ({CUSTOMERS: "AES256"}, False),
        ({CUSTOMERS: ""}, False),
        ({CUSTOMERS: "AES256", ALGORITHM: "aws:kms", KEY_ID: KEY}, False),
    ],
)
def test_objects_can_only_be_written_with_the_lakes_key(headers: dict[str, str], *, allowed: bool) -> None:
    decision = decide([GUARD, GRANT, ADMIN], "s3:PutObject", f"{BUCKET}/a", {**GOOD, **headers})
    assert decision is allowed, "all data must be under the lake's key"


def test_no_statement_names_every_resource_or_every_action() -> None:
    for statement in [*GUARD["Statement"], *GRANT["Statement"]]:
        for resource in statement["Resource"]:
            assert resource.startswith((BUCKET, KEY)), (
                f"{statement['Sid']} reaches beyond the lake: {resource}"
            )
        if statement["Effect"] == "Allow":
            assert not any("*" in action for action in statement["Action"]), (
                f"{statement['Sid']} grants too much"
            )


def test_a_role_cannot_remove_old_versions() -> None:
    assert not decide([GRANT], "s3:DeleteObjectVersion", f"{BUCKET}/a", GOOD), (
        "otherwise a pipeline could destroy data for good"
    )


def test_a_grant_is_for_the_given_role_and_this_lake() -> None:
    def program() -> None:
        provider = aws.Provider("aws", region="eu-central-1")
        args = LakeArgs(
            bucket="lw-dev-acme",
            key_alias="alias/a",
            account=ACCOUNT,
            access_logs="lw-dev-audit",
            deleted_days=1,
            tags={},
        )
        lake = Lake("lake", args, pulumi.ResourceOptions(providers=[provider]))
        lake.grant_read_write("acme-reads", "acme-role")

    grant = record(program).one("aws:iam/rolePolicy:RolePolicy")
    assert grant.inputs["role"] == "acme-role", "the grant must be for the given role"
    key = "arn:aws:kms:eu-central-1:123456789012:key/lake-key"
    expected = tenant_policies.lake_read_write(bucket_arn=BUCKET, key_arn=key)
    assert json.loads(grant.inputs["policy"]) == expected, "the grant names this lake's bucket and key"
