"""The rules `soft-gate` and `unguarded-people`: nobody's people write what no policy checks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from infra.config.stack import StackName
from infra.rules import STACK_RULES, UNKNOWN, Subject, recorded
from lightwork.kube import contract
from lightwork.manifests import gate
from tests.infra.rules.offences import reasons

if TYPE_CHECKING:
    from tests.infra.engine import Run

RULE = "unguarded-people"
ACME = StackName.parse("dev.acme")
POLICY = f"kubernetes:{gate.API}:{gate.POLICY}"
BINDING = f"kubernetes:{gate.API}:{gate.BINDING}"


def reported(subjects: list[Subject]) -> list[str]:
    return [f"{item.name}: {reason}" for item, reason in STACK_RULES[RULE](subjects)]


def tenant_of(run: Run) -> list[Subject]:
    return recorded.subjects(run, "dev.acme")


def without(subjects: list[Subject], *names: str) -> list[Subject]:
    assert {item.name for item in subjects} >= set(names)
    return [item for item in subjects if item.name not in names]


def replaced(subjects: list[Subject], name: str, inputs: dict[str, Any]) -> list[Subject]:
    """Return the subjects with other inputs of one."""
    (old,) = [item for item in subjects if item.name == name]
    new = Subject(type=old.type, name=name, inputs=inputs, stack=old.stack)
    return [new if item is old else item for item in subjects]


def binding_of(policy: str) -> str:
    return f"{gate.BINDING.lower()}-{contract.gate_binding(policy, 'acme')}"


def test_a_tenant_and_its_estate_pass(acme: Run, estates: dict[str, Run]) -> None:
    assert reported(tenant_of(acme)) == []
    for environment, run in estates.items():
        assert reported(recorded.subjects(run, environment)) == []


@pytest.mark.parametrize("policy", gate.POLICIES)
def test_a_tenant_with_people_and_without_a_policy_is_refused(acme: Run, policy: str) -> None:
    lines = reported(without(tenant_of(acme), binding_of(policy)))
    expected = f"people may write in tenant-acme what no policy checks; bind {policy} to it"
    assert any(line.startswith(f"rolebinding-people: {expected}") for line in lines), lines
    page = [line for line in lines if line.startswith("rolebinding-argo-page")]
    assert bool(page) == (policy == contract.GATE_RUNS), "Argo's page stops runs, and creates nothing"


@pytest.mark.parametrize(
    "change",
    [
        {"validationActions": ["Audit"]},
        {"validationActions": ["Warn", "Audit"]},
        {"policyName": contract.GATE_VALUES},
        {"matchResources": gate.only_in("tenant-globex")},
        {"matchResources": {**gate.only_in("tenant-acme"), "objectSelector": {"matchLabels": {"a": "b"}}}},
        {"matchResources": {**gate.only_in("tenant-acme"), "excludeResourceRules": [{}]}},
        {
            "matchResources": {
                "namespaceSelector": {"matchLabels": {gate.OF_NAMESPACE: "tenant-acme", "a": "b"}}
            }
        },
        {"matchResources": {}},
    ],
)
def test_a_binding_that_is_about_less_is_none(acme: Run, change: dict[str, Any]) -> None:
    subjects, name = tenant_of(acme), binding_of(contract.GATE_RUNS)
    (item,) = [item for item in subjects if item.name == name]
    inputs = copy.deepcopy(dict(item.inputs))
    inputs["spec"] |= change
    assert reported(replaced(subjects, name, inputs))


def test_a_role_from_elsewhere_counts_as_one_that_writes(acme: Run) -> None:
    subjects = without(tenant_of(acme), "role-people", *map(binding_of, gate.POLICIES))
    assert len([line for line in reported(subjects) if line.startswith("rolebinding-people: ")]) == 3


def test_a_role_of_the_cluster_is_not_the_one_of_the_same_name_in_the_namespace(acme: Run) -> None:
    subjects = without(tenant_of(acme), *map(binding_of, gate.POLICIES))
    (item,) = [item for item in subjects if item.name == "rolebinding-log-search"]
    assert not [line for line in reported(subjects) if line.startswith("rolebinding-log-search")]
    inputs = copy.deepcopy(dict(item.inputs))
    inputs["roleRef"]["kind"] = "ClusterRole"
    lines = reported(replaced(subjects, item.name, inputs))
    assert len([line for line in lines if line.startswith("rolebinding-log-search")]) == 3


@pytest.mark.parametrize(
    "group",
    [
        contract.people_group("acme"),
        "system:authenticated",
        "system:serviceaccounts",
        "system:serviceaccounts:tenant-acme",
    ],
)
def test_people_have_no_rights_in_the_whole_cluster(group: str) -> None:
    """Also as one of all: whoever is logged in, or whoever is a service account, as on Argo's page."""
    inputs = {
        "metadata": {"name": "x"},
        "subjects": [{"kind": "Group", "name": group}],
        "roleRef": {"name": "view"},
    }
    kind = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
    (line,) = reported([Subject(type=kind, name="all", inputs=inputs, stack=ACME)])
    assert line.startswith("all: it gives a tenant's people rights in every namespace")


@pytest.mark.parametrize("policy", gate.POLICIES)
def test_an_estate_without_a_policy_is_refused(estates: dict[str, Run], policy: str) -> None:
    subjects = recorded.subjects(estates["dev"], "dev")
    (line,) = reported(without(subjects, f"{gate.POLICY.lower()}-{policy}"))
    assert line.startswith("clusterworkflowtemplate-lightwork-scaler: ")
    assert line.endswith(f"make the policy {policy} too")


@pytest.mark.parametrize(
    ("type_", "spec", "word"),
    [
        (POLICY, {"failurePolicy": "Ignore"}, "failurePolicy: Fail"),
        (POLICY, {}, "failurePolicy: Fail"),
        (BINDING, {"validationActions": ["Audit"]}, "add Deny"),
        (BINDING, {}, "add Deny"),
    ],
)
def test_a_policy_that_lets_through_is_refused(type_: str, spec: dict[str, Any], word: str) -> None:
    (line,) = reasons("soft-gate", type_, {"spec": spec})
    assert word in line


@pytest.mark.parametrize(
    ("type_", "spec"),
    [
        (POLICY, {"failurePolicy": "Fail"}),
        (POLICY, {"failurePolicy": UNKNOWN}),
        (POLICY, UNKNOWN),
        (BINDING, {"validationActions": ["Deny", "Audit"]}),
        (BINDING, {"validationActions": UNKNOWN}),
        ("kubernetes:core/v1:ConfigMap", {}),
    ],
)
def test_one_that_refuses_is_allowed(type_: str, spec: Any) -> None:
    assert reasons("soft-gate", type_, {"spec": spec}) == []
