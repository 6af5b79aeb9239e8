"""The rule `unlimited`, for containers in objects of every kind."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra.rules import UNKNOWN
from tests.infra.rules.offences import reasons

SIZE = {"cpu": "100m", "memory": "128Mi"}
RIGHT = {"name": "one", "image": "a/b:1", "resources": {"requests": SIZE, "limits": SIZE}}
WRONG = {"name": "one", "image": "a/b:1"}
WORKFLOW = "kubernetes:argoproj.io/v1alpha1:WorkflowTemplate"


def deployed(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers), **more}}}}


def cron(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"jobTemplate": deployed(*containers)}}


def pod(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def templates(**template: Any) -> dict[str, Any]:
    return {"spec": {"templates": [{"name": "one", **template}]}}


def creating(*containers: dict[str, Any]) -> dict[str, Any]:
    """Return a template that creates a Deployment, as the scaler's do."""
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", **deployed(*containers)}
    manifest["metadata"] = {"name": "{{inputs.parameters.name}}-workers"}
    return templates(resource={"action": "apply", "manifest": yaml.safe_dump(manifest)})


def patched(container: str) -> dict[str, Any]:
    size = {"cpu": "{{inputs.parameters.cpu}}", "memory": "{{inputs.parameters.memory}}"}
    patch = {"containers": [{"name": container, "resources": {"requests": size, "limits": size}}]}
    own = {"image": "{{inputs.parameters.image}}", "command": ["python"]}
    return templates(container=own, podSpecPatch=yaml.safe_dump(patch))


KINDS: list[tuple[str, Any]] = [
    ("kubernetes:apps/v1:Deployment", deployed),
    ("kubernetes:apps/v1:DaemonSet", deployed),
    ("kubernetes:apps/v1:StatefulSet", deployed),
    ("kubernetes:batch/v1:Job", deployed),
    ("kubernetes:batch/v1:CronJob", cron),
    ("kubernetes:core/v1:Pod", pod),
    ("kubernetes:argoproj.io/v1alpha1:Workflow", lambda one: templates(container=one)),
    (WORKFLOW, lambda one: templates(container=one)),
    ("kubernetes:argoproj.io/v1alpha1:ClusterWorkflowTemplate", lambda one: templates(script=one)),
    (
        "kubernetes:argoproj.io/v1alpha1:CronWorkflow",
        lambda one: {"spec": {"workflowSpec": templates(container=one)["spec"]}},
    ),
    (WORKFLOW, lambda one: templates(containerSet={"containers": [one]})),
    (WORKFLOW, lambda one: templates(container=RIGHT, sidecars=[one])),
    (WORKFLOW, lambda one: templates(container=RIGHT, initContainers=[one])),
    (WORKFLOW, creating),
    ("kubernetes:apps/v1:Deployment", lambda one: deployed(RIGHT, one)),
    ("kubernetes:apps/v1:Deployment", lambda one: deployed(RIGHT, initContainers=[one])),
]


@pytest.mark.parametrize(("type_", "around"), KINDS)
def test_a_container_without_resources_is_refused_in_every_kind(type_: str, around: Any) -> None:
    (line,) = reasons("unlimited", type_, around(WRONG))
    assert line.startswith(
        "container 'one' has no requests.cpu, requests.memory, limits.cpu, limits.memory; "
    ), line


@pytest.mark.parametrize(("type_", "around"), KINDS)
def test_a_container_with_requests_and_limits_is_allowed_in_every_kind(type_: str, around: Any) -> None:
    assert reasons("unlimited", type_, around(RIGHT)) == []


@pytest.mark.parametrize(
    ("resources", "lacking"),
    [
        ({"requests": SIZE}, "limits.cpu, limits.memory"),
        ({"limits": SIZE}, "requests.cpu, requests.memory"),
        ({"requests": SIZE, "limits": {"cpu": "1"}}, "limits.memory"),
        ({"requests": {"memory": "1Gi"}, "limits": SIZE}, "requests.cpu"),
        ({"requests": SIZE, "limits": {"cpu": "0", "memory": "1Gi"}}, "limits.cpu"),
        ({"requests": SIZE, "limits": {"cpu": 0, "memory": "1Gi"}}, "limits.cpu"),
    ],
)
def test_the_missing_fields_are_named(resources: dict[str, Any], lacking: str) -> None:
    (line,) = reasons("unlimited", "kubernetes:core/v1:Pod", pod({**WRONG, "resources": resources}))
    assert f"has no {lacking};" in line, line


def test_each_container_without_limits_has_a_line() -> None:
    lines = reasons("unlimited", "kubernetes:core/v1:Pod", pod(WRONG, RIGHT, {**WRONG, "name": "two"}))
    assert [line.split("'")[1] for line in lines] == ["one", "two"]


def test_resources_from_a_pod_spec_patch_count_for_its_container() -> None:
    assert reasons("unlimited", WORKFLOW, patched("main")) == [], "Argo's name for a template's container"
    assert len(reasons("unlimited", WORKFLOW, patched("other"))) == 1, "another container's resources"


def test_a_size_that_argo_fills_in_is_accepted() -> None:
    size = {"cpu": "{{inputs.parameters.cpu}}", "memory": "{{inputs.parameters.memory}}"}
    assert (
        reasons("unlimited", WORKFLOW, creating({**WRONG, "resources": {"requests": size, "limits": size}}))
        == []
    )


def test_an_unknown_value_is_accepted() -> None:
    size = {"cpu": UNKNOWN, "memory": "1Gi"}
    container = {**WRONG, "resources": {"requests": size, "limits": size}}
    assert reasons("unlimited", "kubernetes:core/v1:Pod", pod(container)) == []


def test_an_unreadable_manifest_is_refused() -> None:
    broken = templates(resource={"action": "apply", "manifest": "a: [b"})
    (line,) = reasons("unlimited", WORKFLOW, broken)
    assert "cannot be read" in line, line
    assert reasons("unpinned", WORKFLOW, broken) == [], "it is reported once"


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("kubernetes:core/v1:ConfigMap", {"data": {"containers": "none"}}),
        ("kubernetes:helm.sh/v3:Release", {"values": {"containers": [WRONG]}}),
        ("aws:ecs/taskDefinition:TaskDefinition", {"containers": [WRONG]}),
    ],
)
def test_objects_without_containers_need_no_limits(type_: str, inputs: dict[str, Any]) -> None:
    assert reasons("unlimited", type_, inputs) == []
