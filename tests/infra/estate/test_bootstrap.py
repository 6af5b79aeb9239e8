"""The place of Pulumi's states: private, encrypted, every version kept; made once, set right each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from infra.config.naming import Names
from infra.driver import cli
from infra.estate import bootstrap
from infra.policies import ci
from infra.policies.scope import Scope
from lightwork.errors import InputError
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
BUCKET = NAMES.bucket("state")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    with mock_aws():
        yield boto3.Session(region_name=REGION)


def test_pulumi_is_told_where_states_and_key_are(
    session: Any, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "ROOT", root)
    assert cli.execute(["bootstrap", "--env", "dev"]) == 0, "bucket and key are there"
    printed = capsys.readouterr().out
    assert f"export PULUMI_BACKEND_URL='s3://{BUCKET}?region={REGION}&awssdk=v2'" in printed, "what to export"
    assert f"--secrets-provider='awskms:///alias/lightwork/dev/state?region={REGION}'" in printed, (
        "and the key"
    )


def test_an_account_that_nobody_has_chosen_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "Pulumi.dev.yaml").write_text(files.settings("dev"))
    monkeypatch.setattr(cli, "ROOT", root)
    assert cli.execute(["bootstrap", "--env", "dev"]) == 2, "the settings have chosen none"
    assert "zeros stand for an account" in capsys.readouterr().err, "one line that says why"


def test_the_bucket_is_private_encrypted_and_keeps_every_version(session: Any) -> None:
    bootstrap.prepare(session, NAMES)
    s3 = session.client("s3")
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert all(block.values()), "a state says how everything is set up"
    assert len(block) == 4, "each of the four switches"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    key = session.client("kms").describe_key(KeyId=NAMES.key("state"))["KeyMetadata"]["Arn"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key, "by the key that CI may use"
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled", (
        "a state that was broken is restored"
    )
    guard = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    plain = {"aws:SecureTransport": "false", "aws:PrincipalAccount": ACCOUNT}
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = f"arn:aws:s3:::{BUCKET}/x"
    assert not decide([guard, everything], "s3:GetObject", arn, plain), "TLS only"
    foreign = {"aws:SecureTransport": "true", "aws:PrincipalAccount": "999999999999", "s3:TlsVersion": "1.3"}
    assert not decide(
        [guard, everything], "s3:GetObject", arn, {**foreign, "aws:PrincipalIsAWSService": "false"}
    ), "another account is refused"


def test_the_key_rotates_and_is_the_one_that_cis_policies_name(session: Any) -> None:
    bootstrap.prepare(session, NAMES)
    kms = session.client("kms")
    key = kms.describe_key(KeyId=NAMES.key("state"))["KeyMetadata"]["KeyId"]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], "one key for ever protects ever more"
    scope = Scope(names=NAMES, estate_boundary="x", tenant_boundary="y")
    assert NAMES.key("state") in json.dumps(ci.look(scope)), "else CI cannot read a state"
    assert scope.state == f"arn:aws:s3:::{BUCKET}", "nor find it"


def test_a_second_call_makes_nothing_new_and_sets_right_what_somebody_changed(session: Any) -> None:
    kms, s3 = session.client("kms"), session.client("s3")
    bootstrap.prepare(session, NAMES)
    key = kms.describe_key(KeyId=NAMES.key("state"))["KeyMetadata"]["KeyId"]
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="lightwork/dev.json", Body=b"{}")
    s3.delete_public_access_block(Bucket=BUCKET)
    bootstrap.prepare(session, NAMES)
    again = kms.describe_key(KeyId=NAMES.key("state"))["KeyMetadata"]["KeyId"]
    assert again == key, "a new key reads no old state"
    assert len(kms.list_keys()["Keys"]) == 1, "and costs a dollar a month"
    assert s3.get_public_access_block(Bucket=BUCKET), "what somebody switched off is on again"
    assert s3.get_bucket_policy(Bucket=BUCKET), "and so is this"
    # moto lets every condition pass: with the policy on, it refuses everybody.
    s3.delete_bucket_policy(Bucket=BUCKET)
    assert s3.get_object(Bucket=BUCKET, Key="lightwork/dev.json")["Body"].read() == b"{}", "states stay"


def test_credentials_of_another_account_make_nothing(session: Any) -> None:
    other = Names(environment="dev", account="999999999999", region=REGION)
    with pytest.raises(InputError, match="belong to account 123456789012; dev is account 999999999999"):
        bootstrap.prepare(session, other)
    assert not session.client("s3").list_buckets()["Buckets"], "refused before anything is made"
    assert not session.client("kms").list_keys()["Keys"], "no key either"


def test_in_us_east_1_no_place_is_named(session: Any) -> None:
    names = Names(environment="dev", account=ACCOUNT, region="us-east-1")
    bootstrap.prepare(session, names)
    found = [entry["Name"] for entry in session.client("s3").list_buckets()["Buckets"]]
    assert found == [names.bucket("state")], "AWS refuses us-east-1 as a constraint"
