"""Every object has only fields of its kind, and strings where Kubernetes requires them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lightwork.manifests import objects, shapes

STRING_MAPS = {"labels", "annotations", "matchLabels", "data", "hard", "nodeSelector"}


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_an_object_has_only_the_fields_of_its_kind(item: dict[str, Any]) -> None:
    assert shapes.unknown_fields(item) == []


def test_an_unknown_field_is_reported_at_any_depth() -> None:
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


def not_strings(value: Any, path: str = "") -> list[str]:
    if isinstance(value, list):
        return [line for i, item in enumerate(value) for line in not_strings(item, f"{path}.{i}")]
    if not isinstance(value, dict):
        return []
    paths = []
    for key, item in value.items():
        if key in STRING_MAPS and isinstance(item, dict):
            paths += [f"{path}.{key}.{name}" for name, text in item.items() if not isinstance(text, str)]
        elif key in ("command", "args") and not all(isinstance(text, str) for text in item):
            paths.append(f"{path}.{key}")
        elif key == "env":
            paths += [f"{path}.env.{v['name']}" for v in item if not isinstance(v.get("value", ""), str)]
        paths += not_strings(item, f"{path}.{key}")
    return paths


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_labels_variables_and_arguments_are_strings(item: dict[str, Any]) -> None:
    assert not_strings(item) == []


def test_a_number_in_place_of_a_string_is_reported() -> None:
    wrong = {"metadata": {"labels": {"a": 1}}, "spec": [{"env": [{"name": "B", "value": 2}], "args": [3]}]}
    assert not_strings(wrong) == [".metadata.labels.a", ".spec.0.env.B", ".spec.0.args"]


@pytest.mark.parametrize("item", objects.every(), ids=objects.title)
def test_names_fit_into_63_characters(item: dict[str, Any]) -> None:
    longest_run = "x" * 30 + "-1732433700"  # the longest entry name and a CronWorkflow's suffix
    name = item["metadata"]["name"].replace("{{inputs.parameters.name}}", longest_run)
    assert len(name) <= 63, "the limit for a Service's name and a label's value"


def test_objects_come_after_those_that_they_refer_to() -> None:
    kinds = [item["kind"] for item in objects.of_tenant("acme")]
    order = ["Namespace", "ServiceAccount", "Role", "ConfigMap", "Job", "WorkflowTemplate", "CronWorkflow"]
    firsts = [kinds.index(kind) for kind in order]
    assert firsts == sorted(firsts)
    assert kinds.index("NetworkPolicy") < kinds.index("Job"), "the policies must exist before the first pod"


def test_two_tenants_share_no_object() -> None:
    def names(tenant: str) -> set[tuple[str, str, str]]:
        items = objects.of_tenant(tenant)
        return {(i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"]) for i in items}

    assert not names("acme") & names("globex")
    assert "acme" not in repr(objects.of_tenant("globex"))
