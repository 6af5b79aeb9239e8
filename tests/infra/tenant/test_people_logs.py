"""The way of a tenant's people to its logs, as the tenant's stack makes it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from infra.rules import kubernetes
from lightwork.kube.contract import LOG_SEARCH, RELAY, people_group
from lightwork.kube.log_store import Place
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.engine import Run

WAYS = {"configmap-log-search", "role-log-search", "rolebinding-log-search", "rolebinding-log-relay-acme"}


def objects(run: Run) -> dict[str, Any]:
    return {item.name: item.inputs for item in run.resources if item.type.startswith("kubernetes:")}


def people_arn(run: Run) -> str:
    role = run.named("aws:iam/role:Role", "people-role").inputs
    return f"arn:aws:iam::{run.outputs['account']}:role{role['path']}{role['name']}"


def test_the_place_of_the_logs_is_that_of_the_estate(acme: Run) -> None:
    place = Place(**objects(acme)["configmap-log-search"]["data"])
    assert (place.stream, place.region) == ("logs-tenant-acme", acme.outputs["region"])
    (container,) = objects(acme)["job-search-acme"]["spec"]["template"]["spec"]["containers"]
    assert f"https://{place.endpoint}" in container["args"], "where the stream is made"


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("tenants/acme.yaml", "", "", "https://argo.dev.example.com/workflows/tenant-acme"),
        ("tenants/acme.yaml", "  group: example/customers/acme\n", "", None),
        ("Pulumi.dev.yaml", "  lightwork:dns_zone: Z0123456789ABCDEFGHIJ\n", "", None),
    ],
    ids=["with a page", "nobody of them on it", "no page at all"],
)
def test_people_are_told_the_address_of_their_tenants_runs(
    root: Path, file: str, old: str, new: str, expected: str | None
) -> None:
    path = root / file
    assert old in path.read_text()
    text = path.read_text().replace(old, new, 1) if old else path.read_text()
    path.write_text(re.sub(r"^  lightwork:page_cidrs: .*\n", "", text, flags=re.MULTILINE) if old else text)
    run = run_program(root, "dev.acme")
    assert run.error is None, run.error
    data = objects(run)["configmap-log-search"]["data"]
    assert data.get("page") == expected


def test_opensearch_knows_the_people_by_their_role(acme: Run) -> None:
    requests = json.loads(objects(acme)["configmap-search-acme"]["data"]["requests.json"])
    (mapping,) = [item for item in requests if item["path"].endswith("/rolesmapping/tenant-acme")]
    assert mapping["body"] == {"backend_roles": [people_arn(acme)]}


def test_the_group_of_the_people_gets_one_config_map_and_the_relays_port(acme: Run) -> None:
    deployed = objects(acme)
    (rule,) = deployed["role-log-search"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [LOG_SEARCH],
        "verbs": ["get"],
    }
    for name, role, namespace in (
        ("rolebinding-log-search", LOG_SEARCH, "tenant-acme"),
        ("rolebinding-log-relay-acme", RELAY, "logging"),
    ):
        binding = deployed[name]
        assert binding["metadata"]["namespace"] == namespace
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", role)
        (subject,) = binding["subjects"]
        assert (subject["kind"], subject["name"]) == ("Group", people_group("acme"))


def test_the_stack_makes_no_pod_for_it(acme: Run) -> None:
    assert not [item for name in WAYS for item in kubernetes.containers(objects(acme)[name])]


@pytest.mark.parametrize("people", ["", "people: {group: example/engineers}\n"])
def test_a_tenant_without_principals_has_no_way_and_no_mapping(root: Path, people: str) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(re.sub(r"^people:\n( .*\n)*", people, path.read_text(), flags=re.MULTILINE))
    run = run_program(root, "dev.acme")
    assert run.error is None, run.error
    deployed = objects(run)
    assert not WAYS & deployed.keys()
    requests = json.loads(deployed["configmap-search-acme"]["data"]["requests.json"])
    (mapping,) = [item for item in requests if item["path"].endswith("/rolesmapping/tenant-acme")]
    assert mapping["method"] == "DELETE", "who had it before has it no more"
