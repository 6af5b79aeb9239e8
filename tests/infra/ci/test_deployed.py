"""The record of what was deployed to an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from infra.ci import deployed
from infra.policies import ci, ci_change
from infra.policies.scope import Scope
from lightwork.errors import InputError
from tests.infra.ci.conftest import COMMIT, IMAGE, REGION
from tests.infra.iam import decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.config.naming import Names


@pytest.fixture
def s3(names: dict[str, Names]) -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(
            Bucket=names["dev"].bucket("state"), CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield client


def test_a_written_record_is_read_back(s3: Any, names: dict[str, Names]) -> None:
    assert deployed.read(s3, names["dev"]) is None, "there is no record before the first deployment"
    written = deployed.write(s3, names["dev"], COMMIT, IMAGE)
    assert deployed.read(s3, names["dev"]) == written
    assert (written.commit, written.digest) == (COMMIT, IMAGE)
    assert written.at.endswith("+00:00")


@pytest.mark.parametrize(
    ("commit", "digest", "message"),
    [
        ("main", IMAGE, "^CI_COMMIT_SHA: .*'main'"),
        ("", IMAGE, "^CI_COMMIT_SHA: .*''"),
        (COMMIT, "latest", "^LIGHTWORK_IMAGE_DIGEST: .*'latest'"),
    ],
)
def test_an_invalid_commit_or_digest_is_not_recorded(
    s3: Any, names: dict[str, Names], commit: str, digest: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deployed.write(s3, names["dev"], commit, digest)
    assert deployed.read(s3, names["dev"]) is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"commit": "x"}', b'{"commit": "x", "digest": "y", "at": ""}']
)
def test_an_invalid_record_is_refused_with_its_address(s3: Any, names: dict[str, Names], body: bytes) -> None:
    bucket = names["dev"].bucket("state")
    s3.put_object(Bucket=bucket, Key=deployed.KEY, Body=body)
    with pytest.raises(InputError, match=f"^s3://{bucket}/lightwork/deployed.json: "):
        deployed.read(s3, names["dev"])


def test_a_missing_record_is_reported_with_the_remedy(s3: Any, names: dict[str, Names]) -> None:
    with pytest.raises(InputError, match=r"^dev: no deployment .*LIGHTWORK_ENVIRONMENTS"):
        deployed.required(s3, names["dev"])


def test_both_roles_read_the_record_and_only_the_deploying_one_writes_it(names: dict[str, Names]) -> None:
    scope = Scope(names=names["dev"], estate_boundary="x", tenant_boundary="y")
    look = ci.look(scope)
    arn = f"arn:aws:s3:::{names['dev'].bucket('state')}/{deployed.KEY}"
    assert decide([look], "s3:GetObject", arn, {})
    assert decide([look], "s3:ListBucket", arn.partition("/")[0], {}), "without it, a missing key is a 403"
    assert not decide([look], "s3:PutObject", arn, {}), "any branch could change the record"
    assert decide(list(ci_change.applying(scope).values()), "s3:PutObject", arn, {})
