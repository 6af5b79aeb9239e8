"""A tenant's grants as its stack creates them: linted, and enforced by moto.

moto ignores conditions and does not check which secret or key is requested, so no refusal here depends on
that. `test_tenant.py` tests both with `tests.infra.iam`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count
from parliament import analyze_policy_string

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from tests.infra.engine import ACCOUNT, REGION, run_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
TENANTS = ("acme", "globex", "acme-2")
TRUST = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)


def all_lakes() -> dict[str, str]:
    """Create a lake with an object, a key and a secret for each tenant, in four calls; return the keys."""
    keys = {}
    for tenant in TENANTS:
        s3, bucket = boto3.client("s3"), NAMES.lake_bucket(tenant)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key="runs/1.json", Body=b"data")
        keys[tenant] = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
        boto3.client("secretsmanager").create_secret(
            Name=f"{NAMES.secret_prefix(tenant)}weather-api", SecretString="value"
        )
    return keys


def become(tenant: str, keys: dict[str, str]) -> Callable[[str], Any]:
    """Return a factory of clients with the grants of a tenant's pods."""
    bucket = f"arn:aws:s3:::{NAMES.lake_bucket(tenant)}"
    prefix = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAMES.secret_prefix(tenant)}"
    grants = {
        "lake": tenant_policies.lake_read_write(bucket_arn=bucket, key_arn=keys[tenant]),
        "secrets": tenant_policies.read_secrets(prefix_arn=prefix, key_arn=keys[tenant], region=REGION),
    }
    iam = boto3.client("iam")
    iam.create_role(RoleName="pods", AssumeRolePolicyDocument=json.dumps(TRUST))
    for name, document in grants.items():
        iam.put_role_policy(RoleName="pods", PolicyName=name, PolicyDocument=json.dumps(document))
    arn = f"arn:aws:iam::{ACCOUNT}:role/pods"
    credentials = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="pod")["Credentials"]
    return lambda service: boto3.client(
        service,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    status, code = response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
    assert status == 403 or code == "AccessDeniedException", f"refused for another reason: {caught.value}"


@set_initial_no_auth_action_count(4 * len(TENANTS) + 4)
@mock_aws
def test_a_tenants_pods_reach_only_their_own_resources() -> None:
    keys = all_lakes()
    client = become("acme", keys)
    s3, own = client("s3"), NAMES.lake_bucket("acme")
    s3.put_object(Bucket=own, Key="runs/2.json", Body=b"more")
    assert s3.get_object(Bucket=own, Key="runs/2.json")["Body"].read() == b"more", "its own lake"
    assert s3.list_objects_v2(Bucket=own)["KeyCount"] == 2, "its own lake"
    for other in TENANTS[1:]:
        bucket = NAMES.lake_bucket(other)
        refused(s3.get_object, Bucket=bucket, Key="runs/1.json")
        refused(s3.put_object, Bucket=bucket, Key="runs/1.json", Body=b"changed")
        refused(s3.delete_object, Bucket=bucket, Key="runs/1.json")
        refused(s3.list_objects_v2, Bucket=bucket)
    refused(s3.delete_bucket, Bucket=own)
    refused(s3.put_bucket_policy, Bucket=own, Policy="{}")
    secrets = client("secretsmanager")
    refused(secrets.put_secret_value, SecretId=f"{NAMES.secret_prefix('acme')}weather-api", SecretString="x")
    refused(client("iam").create_user, UserName="door")
    refused(client("ec2").describe_instances)


def test_the_linter_finds_nothing_in_a_tenants_grants(root: Path) -> None:
    run = run_program(root, "dev.acme")
    grants = run.all("aws:iam/rolePolicy:RolePolicy")
    assert len(grants) == 8, (
        "lake and secrets for pods and steps, the lake for the controller, secrets, two for people"
    )
    for grant in grants:
        findings = analyze_policy_string(grant.inputs["policy"]).findings
        assert not findings, f"{grant.name}: {[(f.issue, f.detail) for f in findings]}"
