"""Every IAM document that the program creates, linted as recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from parliament import analyze_policy_string
from parliament import statement as linter

if TYPE_CHECKING:
    from tests.infra.engine import Run

GRANTS = ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
PROPERTIES = ("policy", "assumeRolePolicy", "accessPolicies")

KNOWN = {
    ("UNKNOWN_CONDITION_FOR_ACTION", "kms:ResourceAliases"): "the linter's list of KMS conditions is older",
    (
        "RESOURCE_MISMATCH",
        "es:ListTags",
    ): "the linter expects every type of resource that the call supports",
    ("RESOURCE_MISMATCH", "es:AddTags"): "the same",
    ("RESOURCE_MISMATCH", "elasticloadbalancing:"): "the same: there are no balancers of the type `net`",
    ("RESOURCE_MISMATCH", "ec2:RunInstances"): "the call needs several resources, which have two statements",
    (
        "RESOURCE_MISMATCH",
        "ec2:ModifySecurityGroupRules",
    ): "the call needs group and rule, which have a statement each",
    ("RESOURCE_MISMATCH", "kms:CreateAlias"): "the call needs alias and key, which have a statement each",
    ("RESOURCE_POLICY_PRIVILEGE_ESCALATION", "lw-"): (
        "deploying buckets includes writing their policies; `look` denies reading the lakes' objects anyway"
    ),
}
"""False positives of the linter, with the reason."""

BOUNDARY = "access-estate-boundary"


@pytest.fixture(autouse=True)
def _lists_of_arns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teach the linter that a condition's list of ARNs is compared as ARNs are; it fails on `ArrayOfARN`."""
    known = linter.translate_documentation_types
    kind = {"ArrayOfARN": "Arn"}
    monkeypatch.setattr(linter, "translate_documentation_types", lambda name: kind.get(name) or known(name))


def documents(run: Run) -> list[tuple[str, str, dict[str, Any]]]:
    """Return type, name and document of each resource with an IAM document; ECR's lifecycle is not one."""
    return [
        (resource.type, resource.name, json.loads(resource.inputs[name]))
        for resource in run.resources
        for name in PROPERTIES
        if isinstance(resource.inputs.get(name), str) and "Statement" in resource.inputs[name]
    ]


def test_every_kind_of_document_is_linted(estate: Run) -> None:
    linted = documents(estate)
    kinds = {type_.rpartition(":")[2] for type_, _, _ in linted}
    assert kinds >= {
        "Policy",
        "RolePolicy",
        "Role",
        "Key",
        "BucketPolicy",
        "VpcEndpoint",
        "Domain",
        "TopicPolicy",
    }, "a kind of document is missing"
    assert len(linted) > 30, "documents are missing"


def test_the_linter_has_only_known_false_positives(estate: Run) -> None:
    for type_, name, document in documents(estate):
        if type_ not in GRANTS:
            continue
        for finding in analyze_policy_string(json.dumps(document)).findings:
            problem = f"{finding.issue} {finding.detail}"
            if finding.issue == "RESOURCE_STAR":
                continue  # see the next test
            explained = any(finding.issue == issue and word in problem for issue, word in KNOWN)
            assert explained, f"{name}: {problem}"


def test_no_grant_has_a_wildcard_where_aws_allows_naming_resources(estate: Run) -> None:
    for type_, name, document in documents(estate):
        if type_ not in GRANTS or name == BOUNDARY:
            continue
        stars = [
            finding.detail
            for finding in analyze_policy_string(json.dumps(document)).findings
            if finding.issue == "RESOURCE_STAR"
        ]
        assert not stars, f"{name}: these actions can be limited to resources: {stars}"


def test_the_wide_boundary_is_never_attached_as_a_grant(estate: Run) -> None:
    (boundary,) = [resource for resource in estate.resources if resource.name == BOUNDARY]
    arn = f"policy{boundary.inputs['path']}{boundary.inputs['name']}"
    for attachment in estate.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        assert not attachment.inputs["policyArn"].endswith(arn), "as a grant it would give all these rights"


def test_no_document_allows_every_action(estate: Run) -> None:
    for type_, name, document in documents(estate):
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny" or type_ in {
                "aws:kms/key:Key",  # the account's own policies decide: see the next test
                "aws:ec2/vpcEndpoint:VpcEndpoint",  # it only restricts
            }:
                continue
            for action in statement["Action"]:
                assert action != "*", f"{name}: allows everything"
                assert not action.endswith(":*") or name == BOUNDARY, f"{name}: {action}"


def test_principals_are_services_or_this_account(estate: Run) -> None:
    for type_, name, document in documents(estate):
        for statement in document["Statement"]:
            principal = statement.get("Principal")
            if (
                principal is None
                or statement["Effect"] == "Deny"
                or type_ == "aws:ec2/vpcEndpoint:VpcEndpoint"
            ):
                continue
            assert principal != "*", f"{name}: allows everybody"
            for kind, named in principal.items():
                for identity in [named] if isinstance(named, str) else named:
                    assert "*" not in identity, f"{name}: {kind} {identity}"
                    if kind == "AWS":
                        assert identity == "arn:aws:iam::123456789012:root", f"{name}: another account"


def test_every_service_principal_has_a_condition(estate: Run) -> None:
    bare = {"eks.amazonaws.com", "ec2.amazonaws.com"}  # they assume a role only for their own account
    # EventBridge names no account to topics and their keys: docs/decisions/archive-login.md
    unnamed = {("alarms-key", "events.amazonaws.com"), ("alarms-policy", "events.amazonaws.com")}
    for _, name, document in documents(estate):
        for statement in document["Statement"]:
            services = (
                (statement.get("Principal") or {}).get("Service", [])
                if statement["Effect"] == "Allow"
                else []
            )
            for service in [services] if isinstance(services, str) else services:
                assert service in bare or (name, service) in unnamed or statement.get("Condition"), (
                    f"{name}: {service} could act for other accounts"
                )


@pytest.mark.parametrize("bad", ["s3:GetObjekt", "iam:*Everything"])
def test_the_linter_reports_a_bad_policy(bad: str) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": [bad], "Resource": ["arn:aws:s3:::b/*"]}],
    }
    assert analyze_policy_string(json.dumps(policy)).findings, "otherwise the tests above prove nothing"
