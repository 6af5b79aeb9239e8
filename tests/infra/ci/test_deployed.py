"""What stands in an environment is kept beside its states."""

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


def test_what_is_recorded_is_read_again(s3: Any, names: dict[str, Names]) -> None:
    assert deployed.read(s3, names["dev"]) is None, "before the first deployment there is none"
    written = deployed.write(s3, names["dev"], COMMIT, IMAGE)
    assert deployed.read(s3, names["dev"]) == written
    assert (written.commit, written.digest) == (COMMIT, IMAGE)
    assert written.at.endswith("+00:00")


@pytest.mark.parametrize(
    ("commit", "digest", "says"),
    [("main", IMAGE, "found 'main'"), ("", IMAGE, "found ''"), (COMMIT, "latest", "found 'latest'")],
)
def test_what_is_no_commit_or_no_digest_is_not_recorded(
    s3: Any, names: dict[str, Names], commit: str, digest: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        deployed.write(s3, names["dev"], commit, digest)
    assert deployed.read(s3, names["dev"]) is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"commit": "x"}', b'{"commit": "x", "digest": "y", "at": ""}']
)
def test_a_record_that_is_none_is_refused_with_its_place(
    s3: Any, names: dict[str, Names], body: bytes
) -> None:
    bucket = names["dev"].bucket("state")
    s3.put_object(Bucket=bucket, Key=deployed.KEY, Body=body)
    with pytest.raises(InputError, match=f"^s3://{bucket}/lightwork/deployed.json: "):
        deployed.read(s3, names["dev"])


def test_where_nothing_is_recorded_it_is_said_what_to_do(s3: Any, names: dict[str, Names]) -> None:
    with pytest.raises(InputError, match=r"^dev: nothing is recorded as deployed by CI"):
        deployed.required(s3, names["dev"])


def test_both_roles_read_the_record_and_the_deploying_one_alone_writes_it(names: dict[str, Names]) -> None:
    scope = Scope(names=names["dev"], estate_boundary="x", tenant_boundary="y")
    look = ci.look(scope)
    place = f"arn:aws:s3:::{names['dev'].bucket('state')}/{deployed.KEY}"
    assert decide([look], "s3:GetObject", place, {})
    assert decide([look], "s3:ListBucket", place.partition("/")[0], {}), "else what is missing is forbidden"
    assert not decide([look], "s3:PutObject", place, {}), "any branch could say what stands there"
    assert decide(list(ci_change.applying(scope).values()), "s3:PutObject", place, {})
