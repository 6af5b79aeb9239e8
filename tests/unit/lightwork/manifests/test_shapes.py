"""Every object has only fields of its kind, and texts where Kubernetes takes nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lightwork.manifests import objects, shapes

TEXTS = {"labels", "annotations", "matchLabels", "data", "hard", "nodeSelector"}


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_an_object_has_only_the_fields_of_its_kind(item: dict[str, Any]) -> None:
    assert shapes.unknown_fields(item) == []


def test_a_field_that_a_kind_does_not_have_is_seen_wherever_it_is() -> None:
    deployment = objects.of_run()[1] | {"spek": {}}
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = container["securityContext"] | {"privilege": True}
    workflow = objects.one("acme", "WorkflowTemplate", "windy-city")
    workflow = workflow | {"spec": workflow["spec"] | {"semaphore": {}, "podGC": {"strategi": "x"}}}
    assert shapes.unknown_fields(deployment) == [
        "Deployment.spek",
        "Deployment.spec.template.spec.containers.0.securityContext.privilege",
    ]
    assert shapes.unknown_fields(workflow) == [
        "WorkflowTemplate.spec.podGC.strategi",
        "WorkflowTemplate.spec.semaphore",
    ]


def wrong_texts(value: Any, where: str = "") -> list[str]:
    if isinstance(value, list):
        return [line for i, item in enumerate(value) for line in wrong_texts(item, f"{where}.{i}")]
    if not isinstance(value, dict):
        return []
    found = []
    for key, item in value.items():
        if key in TEXTS and isinstance(item, dict):
            found += [f"{where}.{key}.{name}" for name, text in item.items() if not isinstance(text, str)]
        elif key in ("command", "args") and not all(isinstance(text, str) for text in item):
            found.append(f"{where}.{key}")
        elif key == "env":
            found += [f"{where}.env.{v['name']}" for v in item if not isinstance(v.get("value", ""), str)]
        found += wrong_texts(item, f"{where}.{key}")
    return found


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_labels_variables_and_arguments_are_texts(item: dict[str, Any]) -> None:
    assert wrong_texts(item) == []


def test_a_number_where_a_text_belongs_is_seen() -> None:
    wrong = {"metadata": {"labels": {"a": 1}}, "spec": [{"env": [{"name": "B", "value": 2}], "args": [3]}]}
    assert wrong_texts(wrong) == [".metadata.labels.a", ".spec.0.env.B", ".spec.0.args"]


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_names_fit_where_kubernetes_puts_them(item: dict[str, Any]) -> None:
    longest_run = "x" * 30 + "-1732433700"  # an entry's name, and what a CronWorkflow adds
    name = item["metadata"]["name"].replace("{{inputs.parameters.name}}", longest_run)
    assert len(name) <= 63, "a Service's name, and a label's value, have 63 characters"


def test_namespaces_come_first_and_what_is_named_by_another_before_it() -> None:
    kinds = [item["kind"] for item in objects.of_tenant("acme")]
    order = ["Namespace", "ServiceAccount", "Role", "ConfigMap", "Job", "WorkflowTemplate", "CronWorkflow"]
    firsts = [kinds.index(kind) for kind in order]
    assert firsts == sorted(firsts)
    assert kinds.index("NetworkPolicy") < kinds.index("Job"), "no pod is there before the policies are"


def test_two_tenants_share_no_object() -> None:
    def names(tenant: str) -> set[tuple[str, str, str]]:
        found = objects.of_tenant(tenant)
        return {(i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"]) for i in found}

    assert not names("acme") & names("globex")
    assert "acme" not in repr(objects.of_tenant("globex"))
