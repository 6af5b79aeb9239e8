"""A tenant's people on Argo's page: their account's rights, and the rule by which it is chosen."""

from __future__ import annotations

import json
from typing import Any

from lightwork import manifests
from lightwork.kube import contract
from lightwork.manifests import page
from tests.unit.lightwork.manifests import objects

GROUP = "example/customers/acme"
WITH_GROUP = f"people: {{group: {GROUP}}}"


def made(text: str = WITH_GROUP) -> list[dict[str, Any]]:
    return manifests.tenant_objects(objects.tenant(text), objects.TARGET, {})


def account() -> dict[str, Any]:
    (found,) = (
        item
        for item in made()
        if (item["kind"], item["metadata"]["name"]) == ("ServiceAccount", contract.PEOPLE)
    )
    return found


def rights() -> set[tuple[str, str]]:
    """Return the verbs and resources of all Roles that are bound to the account."""
    bound = [
        item["roleRef"]["name"]
        for item in made()
        if item["kind"] == "RoleBinding"
        and any(
            (subject["kind"], subject["name"]) == ("ServiceAccount", contract.PEOPLE)
            for subject in item["subjects"]
        )
    ]
    return {
        (verb, resource)
        for item in made()
        if item["kind"] == "Role" and item["metadata"]["name"] in bound
        for rule in item["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_its_people_see_the_runs_and_stop_them_and_do_nothing_else() -> None:
    see = ("get", "list", "watch")
    seen = ("workflows", "workflowtemplates", "cronworkflows", "pods", "events")
    expected = {(verb, resource) for verb in see for resource in seen}
    assert rights() == {*expected, ("get", "pods/log"), ("patch", "workflows")}


def test_the_account_applies_to_the_members_of_the_group_alone_and_has_no_token_in_pods() -> None:
    annotations = account()["metadata"]["annotations"]
    rule = annotations["workflows.argoproj.io/rbac-rule"]
    assert rule == f'"{GROUP}" in groups'
    assert page.LOOK < int(annotations["workflows.argoproj.io/rbac-rule-precedence"]) < page.OPERATE
    assert account()["automountServiceAccountToken"] is False


def test_a_groups_name_is_text_in_the_rule_whatever_it_holds() -> None:
    name = "a' in groups or 'b"
    assert json.loads(page.member(name).removesuffix(" in groups")) == name


def test_no_secret_is_in_the_objects_and_the_job_makes_the_one_with_the_token() -> None:
    assert not [item for item in made() if item["kind"] == "Secret"], "a state would hold the token"
    (job,) = (item for item in made() if item["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["--page-account", "people"]


def test_without_a_group_there_is_no_account_and_no_token() -> None:
    for text in ("{}", "people: {principals: ['arn:aws:iam::123456789012:role/engineers']}"):
        kinds = [
            (item["kind"], item["metadata"]["name"])
            for item in made(text)
            if item["metadata"]["name"] in (contract.PEOPLE, page.ROLE) and item["kind"] == "ServiceAccount"
        ]
        assert kinds == []
        (job,) = (item for item in made(text) if item["kind"] == "Job")
        assert "--page-account" not in job["spec"]["template"]["spec"]["containers"][0]["args"]
