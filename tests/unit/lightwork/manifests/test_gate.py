"""The policies about what people write. What they refuse is shown by the API server (`tests/cluster`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.kube import contract, runs
from lightwork.kube import values as values_of_runs
from lightwork.manifests import cluster_objects, gate, tenant_objects
from tests.estate import files
from tests.unit.lightwork.manifests.objects import TARGET

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest


def policy(name: str) -> Manifest:
    (found,) = [item for item in cluster_objects() if item["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("name", gate.POLICIES)
def test_a_policy_refuses_what_it_cannot_check(name: str) -> None:
    spec = policy(name)["spec"]
    assert spec["failurePolicy"] == "Fail"
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert rule["apiVersions"] == ["*"], "a later version of the kind as well"
    assert {"CREATE", "UPDATE"} <= set(rule["operations"])
    for validation in spec["validations"]:
        assert validation["reason"] == "Forbidden"
        assert "\n" not in validation["message"]
        assert validation["expression"] not in ("true", "")


def test_each_validation_is_about_one_operation() -> None:
    """A rule about new runs must not pass because a run is there, and the other way round."""
    expressions = [item["expression"] for item in policy(contract.GATE_RUNS)["spec"]["validations"]]
    starts = [text for text in expressions if text.startswith("!variables.starts || (")]
    changes = [text for text in expressions if text.startswith("variables.starts || (")]
    assert len(starts) + len(changes) == len(expressions)
    assert len(starts) == 8
    assert len(changes) == 7


def test_a_tenant_with_people_has_a_binding_of_each_in_its_namespace_alone() -> None:
    tenant = files.load("acme")
    bindings = [item for item in tenant_objects(tenant, TARGET, {}) if item["kind"] == gate.BINDING]
    assert [item["spec"]["policyName"] for item in bindings] == list(gate.POLICIES)
    assert all(item["metadata"]["name"].endswith("-acme") for item in bindings)
    for item in bindings:
        assert item["spec"]["validationActions"] == ["Deny"]
        selector = item["spec"]["matchResources"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "tenant-acme"}}


def test_a_tenant_without_people_has_none() -> None:
    tenant = files.load("acme").model_copy(update={"people": None})
    assert gate.bindings(tenant) == []


class Recorded:
    """An API that answers as one with a pipeline, and records what is created."""

    def __init__(self) -> None:
        self.created: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str, **query: str) -> dict[str, Any]:
        parameters = [{"name": "text", "value": ""}]
        metadata = {"name": "one", "annotations": {contract.ANNOTATION_LONG: "text"}}
        template = {"metadata": metadata, "spec": {"arguments": {"parameters": parameters}}}
        return {"items": [template] if path.endswith("workflowtemplates") else []}

    def create(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        self.created.append((path.rpartition("/")[2], body))
        return {"metadata": {"name": "one-abcde", "uid": "u"}}


def sent(monkeypatch: pytest.MonkeyPatch, text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what `submit` creates for a value of the only parameter."""
    api = Recorded()
    monkeypatch.setattr("lightwork.kube.access._connection", lambda *_: api)
    monkeypatch.setattr(runs.described, "check", lambda *_: None)
    monkeypatch.setattr(runs.status, "shortfall", lambda *_: None)
    runs.Remote("dev", "acme").submit("one", {"text": text})
    return api.created


@pytest.mark.parametrize(
    "text", ["a", "", "{{workflow.name}} {{=1}}", "lightwork:json:x", "é\x01", "x" * 40_000]
)
def test_submit_sends_only_what_people_may_send(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Whoever lets `submit` send more must let the policy take it: people's runs would be refused."""
    created = sent(monkeypatch, text)
    (body,) = [body for kind, body in created if kind == "workflows"]
    assert set(body) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(body["spec"]) == set(gate.SPEC)
    assert set(body["spec"]["workflowTemplateRef"]) == {"name"}
    assert set(body["spec"]["arguments"]) == {"parameters"}
    for item in body["spec"]["arguments"]["parameters"]:
        assert set(item) == {"name", "value"}
        assert isinstance(item["value"], str)
        assert "{{" not in item["value"]
    metadata = body["metadata"]
    assert set(metadata) <= {"name", "generateName", "labels", "annotations"}
    assert set(metadata.get("labels", {})) <= set(contract.SUBMITTED_LABELS)
    assert metadata["labels"][contract.LABEL_PIPELINE] == "one"
    assert set(metadata.get("annotations", {})) <= set(contract.SUBMITTED_ANNOTATIONS)
    assert not re.search(r"-[0-9]{9,}$", metadata.get("name", ""))


def test_the_config_maps_of_submit_are_those_that_people_may_create(monkeypatch: pytest.MonkeyPatch) -> None:
    tried, kept = [body for kind, body in sent(monkeypatch, "x" * 40_000) if kind == "configmaps"]
    for body in (tried, kept):
        assert body["immutable"] is True
        assert set(body["metadata"].get("labels", {})) <= {contract.LABEL_RUN}
        assert not {"annotations", "finalizers"} & set(body["metadata"])
    (owner,) = kept["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["apiVersion"]) == ("Workflow", contract.ARGO)
    assert kept["metadata"]["name"] == f"{owner['name']}-parameters"
    assert values_of_runs.config_map(None, {})["metadata"].keys() == {"generateName"}
