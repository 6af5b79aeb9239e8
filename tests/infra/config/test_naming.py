"""Physical names on AWS: complete, unique where they must be, and never cut."""

from __future__ import annotations

import pytest

from infra.config.naming import Names
from lightwork.errors import InputError

NAMES = Names(environment="prod", account="123456789012", region="eu-central-1")


def test_a_buckets_name_is_unique_in_the_world() -> None:
    bucket = NAMES.lake_bucket("acme")
    assert bucket == "lw-prod-acme-123456789012-eu-central-1", "all of AWS shares one namespace of buckets"


def test_the_longest_tenant_fits_in_every_environment_and_region() -> None:
    for region in ("us-east-1", "ap-southeast-1", "us-gov-west-1", "ap-northeast-3"):
        names = Names(environment="staging", account="123456789012", region=region)
        assert len(names.lake_bucket("a" * 20)) <= 63, "the tenant's model allows twenty characters"


def test_a_name_that_is_too_long_is_refused_and_never_cut() -> None:
    room = 63 - len(NAMES.lake_bucket(""))
    assert len(NAMES.lake_bucket("a" * room)) == 63, "the longest name that S3 allows"
    with pytest.raises(InputError, match=r"\b1 character\(s\) too long \(63.*shorten the tenant") as caught:
        NAMES.lake_bucket("a" * (room + 1))
    assert "a" * (room + 1) in str(caught.value), "the message shows the whole name"


def test_an_invalid_name_is_refused_with_the_pattern() -> None:
    for wrong in ("Acme", "a_b", "a.b"):
        with pytest.raises(InputError, match=rf"bucket .*{wrong}.*must match \[a-z0-9\]"):
            NAMES.lake_bucket(wrong)


def test_two_environments_never_share_a_name() -> None:
    other = Names(environment="dev", account="123456789012", region="eu-central-1")
    assert NAMES.lake_bucket("acme") != other.lake_bucket("acme"), "dev and prod may share an account"
    assert NAMES.lake_key("acme") != other.lake_key("acme"), (
        "a key's alias is unique in its account and region"
    )
