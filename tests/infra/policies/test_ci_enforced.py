"""CI's policies, enforced by moto with authentication on.

moto ignores conditions; `tests.infra.iam` tests those. Refusals here only depend on actions, resources and
denials.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from infra.config.naming import Names
from infra.policies import ci, ci_change, scope
from tests.infra.engine import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = Names(environment="prod", account=ACCOUNT, region=REGION)
SCOPE = scope.Scope(
    names=NAMES,
    estate_boundary=NAMES.boundary_arn("estate"),
    tenant_boundary=NAMES.boundary_arn("tenant"),
)
LAKE, STATE = NAMES.lake_bucket("acme"), NAMES.bucket("state")
TRUST = {"Version": "2012-10-17", "Statement": []}
HERE = {"LocationConstraint": REGION}

Client = Any


def become(documents: dict[str, Any], before: Callable[[], int]) -> Callable[[str], Client]:
    """Return a factory of clients for a role with these documents; `before` creates resources first."""
    before()
    iam = boto3.client("iam")
    iam.create_role(RoleName="ci", AssumeRolePolicyDocument=json.dumps(TRUST))
    for name, document in documents.items():
        iam.put_role_policy(RoleName="ci", PolicyName=name, PolicyDocument=json.dumps(document))
    session = boto3.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/ci", RoleSessionName="job"
    )
    credentials = session["Credentials"]
    return lambda service: boto3.client(
        service,
        region_name=REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def buckets() -> int:
    """Create a lake and the states' bucket, each with an object; return the number of calls."""
    s3 = boto3.client("s3", region_name=REGION)
    for bucket in (LAKE, STATE):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=HERE)
        s3.put_object(Bucket=bucket, Key="x", Body=b"data")
    return 4


SETUP = 4 + 1 + 1
"""Calls before the role exists, not counting one for each of its documents."""


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    status = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert status == 403, f"refused for another reason: {caught.value}"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)


LOOK = {"look": ci.look(SCOPE)}


@set_initial_no_auth_action_count(SETUP + len(LOOK))
@mock_aws
def test_the_previewing_role_reads_and_writes_nothing() -> None:
    client = become(LOOK, buckets)
    assert client("ec2").describe_vpcs()["Vpcs"] is not None, "the configuration"
    assert client("s3").get_object(Bucket=STATE, Key="x")["Body"].read() == b"data", "the states"
    assert client("kms").list_aliases()["Aliases"] is not None, "the names of keys"
    s3 = client("s3")
    refused(s3.put_object, Bucket=STATE, Key="x", Body=b"changed")
    refused(s3.delete_object, Bucket=STATE, Key="x")
    refused(s3.put_object, Bucket=LAKE, Key="x", Body=b"changed")
    refused(s3.get_object, Bucket=LAKE, Key="x")
    refused(client("ec2").create_vpc, CidrBlock="10.0.0.0/16")
    refused(client("iam").create_user, UserName="door")
    refused(client("kms").create_key)
    refused(client("sns").create_topic, Name="lightwork-prod-alarms")
    refused(client("ecr").create_repository, repositoryName="lightwork/prod/platform")
    refused(client("secretsmanager").create_secret, Name="lightwork/prod/acme/x", SecretString="x")


APPLY = {**LOOK, **ci_change.applying(SCOPE)}


@set_initial_no_auth_action_count(SETUP + len(APPLY))
@mock_aws
def test_the_deploying_role_writes_the_states_and_neither_reads_nor_deletes_data() -> None:
    client = become(APPLY, buckets)
    s3 = client("s3")
    s3.put_object(Bucket=STATE, Key="x", Body=b"changed")
    s3.put_bucket_versioning(Bucket=LAKE, VersioningConfiguration={"Status": "Enabled"})
    refused(s3.get_object, Bucket=LAKE, Key="x")
    refused(s3.delete_object, Bucket=LAKE, Key="x")
    refused(s3.delete_bucket, Bucket=LAKE)
    refused(client("iam").create_user, UserName="door")
    refused(client("iam").create_access_key, UserName="door")
    refused(client("secretsmanager").get_secret_value, SecretId="lightwork/prod/acme/x")
    refused(client("rds").delete_db_instance, DBInstanceIdentifier="lightwork-prod-archive")
    refused(client("ecr").delete_repository, repositoryName=NAMES.image_repository)
