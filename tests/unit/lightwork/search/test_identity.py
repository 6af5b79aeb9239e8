"""Becoming the role of a tenant's people, against moto's STS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lightwork.errors import InputError, LightworkError
from lightwork.search import identity

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/lightwork/dev/tenants/lightwork-dev-people-acme"
REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def _own_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def caller(keys: object) -> str:
    """Return who credentials are, as STS says."""
    frozen = keys.get_frozen_credentials()
    client = boto3.client(
        "sts",
        region_name=REGION,
        aws_access_key_id=frozen.access_key,
        aws_secret_access_key=frozen.secret_key,
        aws_session_token=frozen.token,
    )
    return str(client.get_caller_identity()["Arn"])


@mock_aws
def test_the_role_is_assumed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = identity.as_role(ROLE, REGION)
    session = caller(keys)
    assert "assumed-role/" in session
    assert session.endswith("/moto"), "AWS's logs say who it was"
    frozen = keys.get_frozen_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", frozen.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", frozen.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", frozen.token)
    assert identity.is_session_of(ROLE, session)
    again = identity.as_role(ROLE, REGION)
    assert again.get_frozen_credentials() == frozen, "who is the role already cannot assume it"


@pytest.mark.parametrize(
    "session",
    [
        "arn:aws:sts::123456789012:assumed-role/lightwork-dev-people-acme-2/ann",
        "arn:aws:sts::999999999999:assumed-role/lightwork-dev-people-acme/ann",
        "arn:aws:iam::123456789012:user/lightwork-dev-people-acme/ann",
    ],
)
def test_a_session_of_another_role_does_not_count(session: str) -> None:
    assert not identity.is_session_of(ROLE, session)


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::123456789012:user/team/ann", "ann"),
        ("arn:aws:iam::123456789012:root", "root"),
        ("arn:aws:sts::123456789012:assumed-role/r/x", "x-"),
        (f"arn:aws:sts::123456789012:assumed-role/r/{'long' * 30}", "long" * 16),
    ],
)
def test_a_session_has_a_name_that_aws_takes(arn: str, name: str) -> None:
    assert identity.session_name(arn) == name


def test_who_has_no_credentials_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match=r"no AWS credentials; log in \(aws sso login\), or set AWS_PROFILE"):
        identity.as_role(ROLE, REGION)


@mock_aws
def test_who_may_not_become_the_role_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = {"Error": {"Code": "AccessDenied", "Message": "User: x is not authorized"}}
        raise ClientError(error, "AssumeRole")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(InputError, match=rf"cannot become {ROLE}: .*AccessDenied.*not authorized") as caught:
        identity.as_role(ROLE, REGION)
    assert "\n" not in str(caught.value)


def test_an_aws_that_is_away_is_not_the_users_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LightworkError, match="cannot become") as caught:
        identity.as_role(ROLE, REGION)
    assert not isinstance(caught.value, InputError)
