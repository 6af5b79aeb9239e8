"""Every IAM document that the program makes, linted as it stands in the recording."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from parliament import analyze_policy_string

if TYPE_CHECKING:
    from tests.infra.engine import Run

GRANTS = ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
PROPERTIES = ("policy", "assumeRolePolicy", "accessPolicies")

KNOWN = {
    ("UNKNOWN_CONDITION_FOR_ACTION", "kms:ResourceAliases"): "the linter's list of KMS conditions is older",
    (
        "RESOURCE_MISMATCH",
        "es:ListTags",
    ): "the linter wants every kind of resource that the call can be about",
    ("RESOURCE_MISMATCH", "es:AddTags"): "the same",
    ("RESOURCE_MISMATCH", "kms:CreateAlias"): "the call is about alias and key; a statement for each",
    ("RESOURCE_POLICY_PRIVILEGE_ESCALATION", "lw-"): (
        "who deploys buckets writes their policies; `look` denies it the lakes' objects whatever they say"
    ),
}
"""What the linter says without being right here, and why."""

BOUNDARY = "access-estate-boundary"


def documents(run: Run) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, name and document of whatever carries one; ECR's lifecycle is called a policy and is none."""
    return [
        (resource.type, resource.name, json.loads(resource.inputs[name]))
        for resource in run.resources
        for name in PROPERTIES
        if isinstance(resource.inputs.get(name), str) and "Statement" in resource.inputs[name]
    ]


def test_every_kind_of_document_is_among_those_that_are_looked_at(estate: Run) -> None:
    found = documents(estate)
    kinds = {type_.rpartition(":")[2] for type_, _, _ in found}
    assert kinds >= {
        "Policy",
        "RolePolicy",
        "Role",
        "Key",
        "BucketPolicy",
        "VpcEndpoint",
        "Domain",
        "TopicPolicy",
    }, "a document that is not looked at may say anything"
    assert len(found) > 30, "the estate has more documents than that"


def test_the_linter_has_nothing_to_say_that_is_not_explained(estate: Run) -> None:
    for type_, name, document in documents(estate):
        if type_ not in GRANTS:
            continue
        for finding in analyze_policy_string(json.dumps(document)).findings:
            said = f"{finding.issue} {finding.detail}"
            if finding.issue == "RESOURCE_STAR":
                continue  # that is the next test's
            explained = any(finding.issue == issue and word in said for issue, word in KNOWN)
            assert explained, f"{name}: {said}"


def test_no_grant_is_about_everything_where_aws_permits_naming(estate: Run) -> None:
    for type_, name, document in documents(estate):
        if type_ not in GRANTS or name == BOUNDARY:
            continue
        stars = [
            finding.detail
            for finding in analyze_policy_string(json.dumps(document)).findings
            if finding.issue == "RESOURCE_STAR"
        ]
        assert not stars, f"{name}: these can be about something in particular: {stars}"


def test_the_boundary_that_names_little_is_attached_to_nobody_as_a_grant(estate: Run) -> None:
    (boundary,) = [resource for resource in estate.resources if resource.name == BOUNDARY]
    arn = f"policy{boundary.inputs['path']}{boundary.inputs['name']}"
    for attachment in estate.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        assert not attachment.inputs["policyArn"].endswith(arn), "what bounds would grant"


def test_nobody_is_granted_every_action(estate: Run) -> None:
    for type_, name, document in documents(estate):
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny" or type_ in {
                "aws:kms/key:Key",  # the account's own policies decide: see the next test
                "aws:ec2/vpcEndpoint:VpcEndpoint",  # it adds no right, it takes some away
            }:
                continue
            for action in statement["Action"]:
                assert action != "*", f"{name}: everything"
                assert not action.endswith(":*") or name == BOUNDARY, f"{name}: {action}"


def test_what_names_principals_names_services_or_this_account(estate: Run) -> None:
    for type_, name, document in documents(estate):
        for statement in document["Statement"]:
            principal = statement.get("Principal")
            if (
                principal is None
                or statement["Effect"] == "Deny"
                or type_ == "aws:ec2/vpcEndpoint:VpcEndpoint"
            ):
                continue
            assert principal != "*", f"{name}: the whole world"
            for kind, named in principal.items():
                for one in [named] if isinstance(named, str) else named:
                    assert "*" not in one, f"{name}: {kind} {one}"
                    if kind == "AWS":
                        assert one == "arn:aws:iam::123456789012:root", f"{name}: another account"


def test_every_service_that_writes_for_others_says_for_whom(estate: Run) -> None:
    bare = {"eks.amazonaws.com", "ec2.amazonaws.com"}  # they become a role for their own account alone
    for _, name, document in documents(estate):
        for statement in document["Statement"]:
            services = (
                (statement.get("Principal") or {}).get("Service", [])
                if statement["Effect"] == "Allow"
                else []
            )
            for service in [services] if isinstance(services, str) else services:
                assert service in bare or statement.get("Condition"), (
                    f"{name}: {service} on behalf of anybody"
                )


@pytest.mark.parametrize("bad", ["s3:GetObjekt", "iam:*Everything"])
def test_the_linter_does_object(bad: str) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": [bad], "Resource": ["arn:aws:s3:::b/*"]}],
    }
    assert analyze_policy_string(json.dumps(policy)).findings, "a linter that says nothing says nothing"
