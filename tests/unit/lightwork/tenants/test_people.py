"""`people:` in a tenant's file: who may be named, and what is refused, in one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from lightwork import tenants
from lightwork.errors import InputError
from lightwork.kube import contract
from lightwork.tenants import template

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "name: acme\nenvironments: [dev]\n"
ROLE = "arn:aws:iam::123456789012:role/data-engineers"
SSO = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Data_0a1b2c"
USER = "arn:aws:iam::123456789012:user/team/jane.doe@example.com"


def load(folder: Path, people: str) -> tenants.People | None:
    path = folder / "acme.yaml"
    path.write_text(GOOD + people + "\n")
    return tenants.load(path).people


def refusal(folder: Path, people: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, people)
    return str(caught.value).removeprefix(f"{folder}/acme.yaml:")


def test_people_are_roles_and_users_and_a_group(tmp_path: Path) -> None:
    people = load(tmp_path, f"people:\n  principals: [{ROLE}, {SSO}, {USER}]\n  group: /Data Engineers")
    assert people == tenants.People(principals=(ROLE, SSO, USER), group="/Data Engineers")
    assert load(tmp_path, f"people: {{principals: [{ROLE}]}}") == tenants.People(principals=(ROLE,))
    assert load(tmp_path, "people: {group: data}") == tenants.People(group="data")
    assert load(tmp_path, "") is None, "nobody by default"


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        ("arn:aws:iam::123456789012:role/*", "has a wildcard; name each role or user"),
        ("'*'", "has a wildcard; name each role or user"),
        ("arn:aws:iam::123456789012:root", "is a whole account; name each role or user"),
        ("'123456789012'", "is a whole account; name each role or user"),
        (
            "arn:aws:sts::123456789012:assumed-role/Admin/jane",
            "is a session; name its role, whose ARN `aws iam get-role --role-name Admin` prints",
        ),
        ("arn:aws:iam::123456789012:group/data", "is a group, which cannot assume a role"),
        ("arn:aws:iam::12345:role/data", "should be the ARN of an IAM role or user, for example arn:aws:iam"),
        ("arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/data", "should be the ARN of an IAM role or user"),
        ("arn:aws:iam::123456789012:role/", "should be the ARN of an IAM role or user"),
        ("jane", "should be the ARN of an IAM role or user"),
        ('"arn:aws:iam::123456789012:user/a\\n"', "should be the ARN of an IAM role or user"),
        ("arn:aws:iam::123456789012:role/lightwork/dev/tenants/x", "is a role of the platform itself"),
        ("arn:aws:iam::123456789012:role/lightwork-ci/dev/lightwork-dev-apply", "is a role of the platform"),
    ],
)
def test_who_is_not_a_person_is_refused(tmp_path: Path, principal: str, reason: str) -> None:
    text = refusal(tmp_path, f"people:\n  principals:\n    - {ROLE}\n    - {principal}")
    assert text.startswith("6: people.principals.1: found '")
    assert f"; {reason}" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ("people: {}", "3: people.group: found None; give a group or `principals`, or leave out `people`"),
        ("people: {principals: []}", "3: people.group: found None; give a group or `principals`"),
        ("people: jane", "3: people: found 'jane'; should be a mapping of fields"),
        ("people: {principals: jane}", "3: people.principals: found 'jane'; should be a list"),
        (f"people: {{principals: [{ROLE}, {ROLE}]}}", f"{ROLE} appears twice; keep one"),
        ("people: {group: 7}", "3: people.group: found 7; should be a group's name"),
        ("people: {group: ''}", "3: people.group: found ''; should be a group's name"),
        ('people: {group: "it\'s"}', "should be a group's name of up to 256 characters, without quotes"),
        ('people: {group: "a\\nb"}', "should be a group's name of up to 256 characters, without quotes"),
        (f"people: {{group: {'x' * 257}}}", "should be a group's name of up to 256 characters"),
    ],
)
def test_wrong_people_are_refused(tmp_path: Path, people: str, message: str) -> None:
    text = refusal(tmp_path, people)
    assert message in text
    assert "\n" not in text


def test_a_wrong_field_gets_a_suggestion(tmp_path: Path) -> None:
    text = refusal(tmp_path, "people: {group: x, principal: []}")
    assert text == "3: people.principal: there is no such field; did you mean 'principals'?"


def test_principals_that_a_trust_policy_has_no_room_for_are_refused(tmp_path: Path) -> None:
    arns = [f"arn:aws:iam::123456789012:role/{number:02}{'x' * 50}" for number in range(22)]
    text = refusal(tmp_path, f"people: {{principals: {json.dumps(arns)}}}")
    assert "has 1,826 characters together" in text
    load(tmp_path, f"people: {{principals: {json.dumps(arns[1:])}}}")


@pytest.mark.parametrize(
    ("people", "valid"),
    [
        ({"principals": [ROLE, SSO, USER], "group": "data"}, True),
        ({"principals": ["arn:aws:iam::123456789012:root"]}, False),
        ({"principals": ["arn:aws:iam::123456789012:role/*"]}, False),
        ({"principal": [ROLE]}, False),
    ],
)
def test_editors_see_the_same_by_the_schema(people: dict[str, object], valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(template.json_schema()))
    assert validator.is_valid({**yaml.safe_load(GOOD), "people": people}) == valid


def test_the_kubernetes_group_has_no_prefix_that_eks_keeps_for_itself() -> None:
    group = contract.people_group("acme")
    assert group == "lightwork:acme:people"
    assert not group.startswith(("system:", "eks:", "aws:", "amazon:", "iam:"))
