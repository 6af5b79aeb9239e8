"""A tenant's people: who may assume their role, and what it opens to them and to nobody else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.kube import contract
from lightwork.manifests import gate, people
from tests.estate import files
from tests.infra.engine import ACCOUNT, Run, run_program
from tests.infra.iam import decide
from tests.infra.order import waits_for

if TYPE_CHECKING:
    from pathlib import Path

ROLE, ENTRY = "aws:iam/role:Role", "aws:eks/accessEntry:AccessEntry"
POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
ENGINEERS, JANE = f"arn:aws:iam::{ACCOUNT}:role/acme-engineers", f"arn:aws:iam::{ACCOUNT}:user/jane"
NAMED = f"""people:
  principals:
    - {ENGINEERS}
    - {JANE}
  group: example/customers/acme
"""


def acme(root: Path, people_of_file: str = NAMED) -> Run:
    path = root / "tenants" / "acme.yaml"
    text = path.read_text()
    assert NAMED in text
    path.write_text(text.replace(NAMED, people_of_file))
    return run_program(root, "dev.acme")


def objects(run: Run) -> dict[str, dict[str, Any]]:
    """Return the Kubernetes objects called `people`, by kind."""
    made = [item.inputs for item in run.resources if item.type.startswith("kubernetes:")]
    return {item["kind"]: item for item in made if item["metadata"]["name"] == contract.PEOPLE}


def test_only_the_named_ones_may_assume_the_role(root: Path) -> None:
    role = acme(root).named(ROLE, "people-role").inputs
    assert role["name"] == "lightwork-dev-people-acme"
    assert role["path"] == "/lightwork/dev/tenants/", "CI changes it within the tenants' boundary"
    assert role["permissionsBoundary"].endswith("/lightwork-dev-tenant-boundary")
    trust = json.loads(role["assumeRolePolicy"])
    for arn, expected in (
        (ENGINEERS, True),
        (JANE, True),
        (f"{ENGINEERS}-2", False),
        (f"arn:aws:iam::{ACCOUNT}:root", False),
        (f"arn:aws:iam::999999999999:user/{JANE.rpartition('/')[2]}", False),
    ):
        assert decide([trust], "sts:AssumeRole", "", {}, principal={"AWS": arn}) is expected, arn
    assert not decide([trust], "sts:TagSession", "", {}, principal={"AWS": JANE}), "no tags of their choice"
    assert not decide([trust], "sts:AssumeRole", "", {}, principal={"Service": "pods.eks.amazonaws.com"})


def test_the_access_entry_puts_them_into_the_tenants_group_and_nothing_else(root: Path) -> None:
    run = acme(root)
    entry = run.one(ENTRY).inputs
    assert entry["kubernetesGroups"] == ["lightwork:acme:people"]
    assert entry["clusterName"] == "lightwork-dev"
    assert entry["principalArn"].endswith(":role/lightwork/dev/tenants/lightwork-dev-people-acme")
    assert not run.all(POLICY), "EKS's own policies reach further than these rights"


def test_the_group_is_bound_in_the_tenants_namespace_alone(root: Path) -> None:
    made = objects(acme(root))
    assert set(made) == {"Role", "RoleBinding", "ServiceAccount"}, "nothing of the whole cluster"
    assert {item["metadata"]["namespace"] for item in made.values()} == {"tenant-acme"}
    *rules, schedules = made["Role"]["rules"]
    assert rules == people.RULES
    assert schedules == {
        "apiGroups": ["argoproj.io"],
        "resources": ["cronworkflows"],
        "resourceNames": ["windy-city", "battery-health"],
        "verbs": ["patch"],
    }, "by name, those of the file"
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "lightwork:acme:people"}
    assert group in made["RoleBinding"]["subjects"]
    assert made["RoleBinding"]["roleRef"]["name"] == "people"


def test_the_policies_are_bound_before_anybody_may_write_and_until_nobody_may(root: Path) -> None:
    """`destroy` deletes in the reverse order of dependencies."""
    run = acme(root)
    bound = {f"{gate.BINDING.lower()}-{contract.gate_binding(policy, 'acme')}" for policy in gate.POLICIES}
    for name in ("rolebinding-people", "rolebinding-argo-page"):
        binding = run.named("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", name)
        assert bound <= {before for _, before in waits_for(run, binding)}, name


def test_without_a_schedule_they_change_none() -> None:
    """A rule without names would be about all of them."""
    tenant = files.load("acme").model_copy(update={"pipelines": {}})
    assert people.rules(tenant) == people.RULES


def test_they_change_nothing_but_runs_and_schedules_and_read_no_secret() -> None:
    rights = {
        (group, resource, verb)
        for rule in people.rules(files.load("acme"))
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert not [right for right in rights if "*" in right]
    changes = {right for right in rights if right[2] not in ("get", "list")}
    assert changes == {
        ("argoproj.io", "workflows", "create"),
        ("argoproj.io", "workflows", "patch"),
        ("argoproj.io", "cronworkflows", "patch"),
        ("", "pods/portforward", "create"),
        ("", "configmaps", "create"),
    }
    assert not {resource for _, resource, _ in rights} & {"secrets", "pods/exec", "serviceaccounts/token"}


@pytest.mark.parametrize("text", ["", "people: {group: example/customers/acme}\n"])
def test_whoever_is_not_named_has_no_role_and_no_entry(root: Path, text: str) -> None:
    run = acme(root, text)
    assert not [role for role in run.all(ROLE) if role.name.startswith("people")]
    assert not run.all(ENTRY)
    assert bool(objects(run)) == bool(text), "a group sees runs on Argo's page by the same Role"


def test_the_people_of_a_tenant_that_leaves_stay_until_its_stack_goes(root: Path) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("secrets:", "state: leaving\nsecrets:", 1))
    run = run_program(root, "dev.acme")
    own = [
        item
        for item in run.resources
        if item.name.startswith(("people", "lake-of-people", "role-people", "rolebinding-people"))
    ]
    assert len(own) == 8, [item.name for item in own]
    kept = [item.name for item in own if item.protect or item.retain_on_delete]
    assert not kept, "`destroy` takes them out, without a line in the tenant's file"
