"""The values that `--diff` shows, from events as the engine writes them."""

from __future__ import annotations

import pytest
from pulumi.automation.events import EngineEvent

from infra.driver.events import step_of
from infra.driver.precious import Step

URN = "urn:pulumi:local.acme::lightwork::kubernetes:core/v1:ConfigMap::settings"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def step(op: str, type_: str = "kubernetes:core/v1:ConfigMap", **metadata: object) -> Step:
    content = {"op": op, "urn": URN, "type": type_, **metadata}
    event = EngineEvent.from_json({"sequence": 1, "timestamp": 1, "resourcePreEvent": {"metadata": content}})
    assert event.resource_pre_event is not None
    return step_of(event.resource_pre_event.metadata)


def differences(op: str = "update", **metadata: object) -> tuple[str, ...]:
    return step(op, **metadata).values  # type: ignore[arg-type]


def test_an_update_has_the_old_and_the_new_value_of_each_field_that_changes() -> None:
    old = {"inputs": {"spec": {"hard": {"requests.cpu": "8"}}}, "outputs": {"data": {"a": "x" * 200}}}
    new = {"inputs": {"spec": {"hard": {"requests.cpu": "9"}, "args": ["b"]}, "data": {"a": "\ny"}}}
    detailed = {
        'spec.hard["requests.cpu"]': {"diffKind": "update", "inputDiff": True},
        "spec.args[0]": {"diffKind": "add", "inputDiff": True},
        "data.a": {"diffKind": "update"},
    }
    assert differences(old=old, new=new, detailedDiff=detailed) == (
        f'data.a: "{"x" * 78}… -> "\\ny"',
        'spec.args[0]: nothing -> "b"',
        'spec.hard["requests.cpu"]: "8" -> "9"',
    )


def test_a_created_object_has_all_its_values() -> None:
    inputs = {
        "metadata": {"name": "a", "labels": {"app.kubernetes.io/part-of": "lightwork"}},
        "spec": {"containers": [{"image": "b", "args": []}], "replicas": 2, "paused": False},
        "host": UNKNOWN,
        "__defaults": ["name"],
    }
    assert differences("create", new={"inputs": inputs}) == (
        'host: "known after the deployment"',
        'metadata.labels["app.kubernetes.io/part-of"]: "lightwork"',
        'metadata.name: "a"',
        "spec.containers[0].args: []",
        'spec.containers[0].image: "b"',
        "spec.paused: false",
        "spec.replicas: 2",
    )


def test_secrets_are_masked_wherever_they_are() -> None:
    inputs = {"a": SECRET, "b": [{"c": SECRET}], "d": {"e": "f", "g": SECRET}}
    shown = differences("create", new={"inputs": inputs})
    assert shown == ('a: "[secret]"', 'b[0].c: "[secret]"', 'd.e: "f"', 'd.g: "[secret]"')
    detailed = {key: {"diffKind": "update", "inputDiff": True} for key in ("a.inner", "b", "d")}
    old = {"inputs": {"a": SECRET, "b": [], "d": {}}}
    assert differences(old=old, new={"inputs": inputs}, detailedDiff=detailed) == (
        'a.inner: "[secret]" -> "[secret]"',
        'b: [] -> [{"c": "[secret]"}]',
        'd: {} -> {"e": "f", "g": "[secret]"}',
    )


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_a_kubernetes_secret_is_masked_although_the_engine_knows_of_no_secret(field: str) -> None:
    inputs = {"metadata": {"name": "a"}, field: {"password": "open sesame"}}
    shown = step("create", "kubernetes:core/v1:Secret", new={"inputs": inputs}).values
    assert sorted(shown) == sorted((f"{field}.password: [secret]", 'metadata.name: "a"'))


def test_a_resource_without_inputs_has_no_values() -> None:
    assert differences("create", new={"inputs": {}}) == ()


def test_an_update_without_the_engines_own_difference_is_compared_here() -> None:
    old = {"inputs": {"a": 1, "b": {"c": [1, 2]}, "d": SECRET, "gone": True}}
    new = {"inputs": {"a": 1, "b": {"c": [1, 3]}, "d": SECRET, "new": {}}}
    assert differences(old=old, new=new) == (
        "b.c[1]: 2 -> 3",
        "gone: true -> nothing",
        "new: nothing -> {}",
    )


@pytest.mark.parametrize("op", ["delete", "same"])
def test_what_goes_or_stays_has_no_values(op: str) -> None:
    state = {"inputs": {"a": 1}, "outputs": {"a": 1}}
    assert differences(op, old=state, new=state if op == "same" else None) == ()


@pytest.mark.parametrize(
    ("type_", "inputs", "expected"),
    [
        ("kubernetes:batch/v1:Job", {"metadata": {"name": "a", "namespace": "b"}}, "b"),
        ("kubernetes:helm.sh/v3:Release", {"name": "a", "namespace": "c"}, "c"),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "a"}}, ""),
        ("aws:eks/podIdentityAssociation:PodIdentityAssociation", {"namespace": "d"}, ""),
    ],
)
def test_a_step_knows_the_namespace_that_it_changes(type_: str, inputs: dict, expected: str) -> None:
    assert step("create", type_, new={"inputs": inputs}).namespace == expected
