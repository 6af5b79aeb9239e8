"""The rule `wildcard`: it recognises every form of wildcard, and an excuse is for one statement."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.rules import UNKNOWN
from tests.infra.rules.offences import reasons

POLICY = "aws:iam/policy:Policy"
ROLE = "aws:iam/role:Role"
KEY = "aws:kms/key:Key"
ONE = "arn:aws:s3:::one-bucket/*"
OWN = "arn:aws:iam::123456789012:root"


def document(**statement: Any) -> str:
    base = {"Sid": "Some", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [ONE]}
    merged = {key: value for key, value in {**base, **statement}.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [merged]})


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ({"Action": "*"}, "actions '*'"),
        ({"Action": ["s3:GetObject", "*"]}, "actions '*'"),
        ({"Action": "s3:*"}, "actions 's3:*'"),
        ({"Action": ["iam:*"]}, "actions 'iam:*'"),
        ({"Action": "*:*"}, "actions '*:*'"),
        ({"Action": None, "NotAction": ["iam:*"]}, "NotAction"),
        ({"Resource": "*"}, "resource '*'"),
        ({"Resource": [ONE, "*"]}, "resource '*'"),
        ({"Resource": "arn:aws:s3:::*"}, "resource 'arn:aws:s3:::*'"),
        ({"Resource": "arn:aws:s3:::*/*"}, "resource 'arn:aws:s3:::*/*'"),
        ({"Resource": "arn:aws:ec2:eu-central-1:123456789012:*"}, "ec2"),
        ({"Resource": "arn:aws:iam::*:role/one"}, "arn:aws:iam::*:role/one"),
        ({"Resource": "arn:aws:*"}, "arn:aws:*"),
        ({"Resource": None, "NotResource": [ONE]}, "NotResource"),
    ],
)
def test_every_form_of_wildcard_is_refused(statement: dict[str, Any], word: str) -> None:
    (line,) = reasons("wildcard", POLICY, {"policy": document(**statement)})
    assert word in line, line
    assert line.startswith("the statement 'Some' allows ")


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("aws:iam/rolePolicy:RolePolicy", {"policy": document(Action="*")}),
        ("aws:iam/userPolicy:UserPolicy", {"policy": document(Action="*")}),
        (ROLE, {"inlinePolicies": [{"name": "all", "policy": document(Action="*")}]}),
        (ROLE, {"assumeRolePolicy": document(Principal="*", Action="sts:AssumeRole", Resource=None)}),
        ("aws:sns/topicPolicy:TopicPolicy", {"policy": document(Principal={"AWS": "*"})}),
        ("aws:opensearch/domain:Domain", {"accessPolicies": document(Principal={"AWS": ["*"]})}),
        ("aws:secretsmanager/secretPolicy:SecretPolicy", {"policy": document(Principal="*")}),
        (KEY, {"policy": document(Principal="*", Action="kms:Decrypt", Resource="*")}),
        (KEY, {"policy": document(Principal={"AWS": OWN}, Action="kms:*", Resource="*")}),
        ("aws:s3/bucketPolicy:BucketPolicy", {"policy": document(Principal={"AWS": OWN}, Action="s3:*")}),
        (
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
        (ROLE, {"managedPolicyArns": ["arn:aws:iam::aws:policy/AmazonS3FullAccess"]}),
        (ROLE, {"managedPolicyArns": ["arn:aws:iam::aws:policy/job-function/PowerUserAccess"]}),
    ],
)
def test_a_wildcard_is_refused_in_every_resource_with_a_policy(type_: str, inputs: dict[str, Any]) -> None:
    assert len(reasons("wildcard", type_, inputs)) == 1


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        (POLICY, {"policy": document()}),
        (POLICY, {"policy": document(Action="s3:Get*")}),
        (POLICY, {"policy": document(Resource="arn:aws:kms:eu-central-1:123456789012:key/*")}),
        (POLICY, {"policy": document(Resource="arn:aws:ec2:eu-central-1::image/*")}),
        (POLICY, {"policy": document(Effect="Deny", Action="*", Resource="*")}),
        (POLICY, {"policy": UNKNOWN}),
        (KEY, {"policy": document(Principal={"AWS": OWN}, Action="kms:Decrypt", Resource="*")}),
        ("aws:ecr/lifecyclePolicy:LifecyclePolicy", {"policy": json.dumps({"rules": []})}),
        (
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        ),
        ("kubernetes:core/v1:ConfigMap", {"data": {"policy": document(Action="*")}}),
    ],
)
def test_specific_policies_are_allowed(type_: str, inputs: dict[str, Any]) -> None:
    assert reasons("wildcard", type_, inputs) == []


LOOK = {"Sid": "Look", "Action": ["ec2:DescribeVpcs"], "Resource": "*"}


def test_an_excuse_is_for_one_statement_of_one_resource() -> None:
    excused = {"policy": document(**LOOK)}
    assert reasons("wildcard", POLICY, excused, name="access-preview-look") == []
    assert reasons("wildcard", POLICY, excused, name="another") != [], "another resource"
    assert reasons("wildcard", ROLE, excused, name="access-preview-look") != [], "another type"
    other = {"policy": document(**{**LOOK, "Sid": "Other"})}
    assert reasons("wildcard", POLICY, other, name="access-preview-look") != [], "another statement"


def test_an_excuse_does_not_apply_to_a_statement_with_another_action() -> None:
    for action in ("iam:PassRole", "s3:GetObject", "secretsmanager:GetSecretValue"):
        wider = {"policy": document(**{**LOOK, "Action": ["ec2:DescribeVpcs", action]})}
        (line,) = reasons("wildcard", POLICY, wider, name="access-preview-look")
        assert "resource '*'" in line, action


def test_an_excuse_for_resources_does_not_cover_actions() -> None:
    wider = {"policy": document(**{**LOOK, "Action": ["ec2:*"]})}
    assert len(reasons("wildcard", POLICY, wider, name="access-preview-look")) == 2, "action and resource"
