"""Local tenants with Pulumi's own provider: one that changes during a run, one that returns, ten at once.

They go on from one another and must run in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lightwork.kube import contract
from lightwork.manifests import gate, page
from tests.cluster import images, probes, stores, tenants
from tests.cluster.impersonation import Caller
from tests.cluster.kube import get, items, kubectl, kubectl_program, stranger
from tests.cluster.local_stacks import (
    QUOTA,
    Local,
    changes,
    clone,
    deployed,
    give_keys,
    without_the_tests_own_objects,
)
from tests.cluster.progress import HarnessError, run

BUSY = "umbrella"
LEAVING = "leaving"
PAUSING = "pausing"
RIGHTS = (contract.PEOPLE, page.ROLE)
"""The Roles and their bindings of a tenant's people: at the API, and on Argo's page."""
TEN = tuple(f"many-{number}" for number in range(10))
CHOSEN = " ".join(f"--tenant {name}" for name in TEN)
ELEMENTS = 6000
WINDY = {"workers": {"count": 2, **tenants.SMALL}, "scheduler": tenants.SMALL, "driver": tenants.SMALL}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """The local stacks: `local` is up, no tenant is."""
    local = clone(tmp_path_factory.mktemp("local"))
    with without_the_tests_own_objects(BUSY, LEAVING, PAUSING, *TEN), deployed(local):
        yield local


def test_a_run_goes_on_while_quota_schedule_and_image_of_its_tenant_change(local: Local) -> None:
    stack, space = f"local.{BUSY}", tenants.namespace(BUSY)
    entry = {**tenants.probe_entry(), "workers": {"count": 2, **tenants.SMALL}}
    local.tenant(BUSY, pipelines={"probe": entry})
    stores.add_tenant(BUSY, tenants.bucket(BUSY))
    local.up(stack)
    give_keys(BUSY)
    label = probes.new_label()
    name = probes.submit(BUSY, label, elements=ELEMENTS)
    probes.wait_until_at_work(BUSY, name, label)

    local.settings(image=images.probe_image())
    scheduled = {**entry, "schedule": "0 7 * * *", "timezone": "Europe/Berlin", "suspended": True}
    local.tenant(BUSY, quota={**QUOTA, "pods": 21}, pipelines={"probe": {**scheduled, "deadline": "16m"}})
    changed = changes(local.up(stack))
    expected = {
        ("update", "resourcequota-quota"),
        ("update", "workflowtemplate-probe"),
        ("create", "cronworkflow-probe"),
        ("update", "deployment-controller"),
        ("replace", "job-certificates"),
    }
    assert expected <= changed, changed
    assert tenants.status(BUSY, name)["phase"] == "Running", "the run ended before `up` did"

    assert tenants.wait_for_end(BUSY, name, seconds=400)["phase"] == "Succeeded"
    assert probes.ended_record(BUSY, name)["status"] == "succeeded"
    counts = probes.computed(BUSY, label)
    assert (len(counts), probes.repeated(counts)) == (ELEMENTS, 0), "nothing is lost or computed again"
    assert "certificates" in kubectl("-n", space, "get", "job", "certificates", "-o", "name")


def test_a_tenant_that_returns_takes_over_what_was_kept_on_demand(local: Local) -> None:
    stack, space = f"local.{BUSY}", tenants.namespace(BUSY)
    local.tenant(BUSY, state="leaving")
    local.up(stack)
    code, summary = local.typed(f"destroy --stack {stack}")
    assert code == 0, summary
    kept = get("namespace", space)["metadata"]["uid"]

    local.tenant(BUSY, pipelines={"windy-city": WINDY})
    code, summary = local.typed(f"up --stack {stack}")
    line = str(summary[stack]["error"])
    assert code == 1, summary
    assert line.startswith(f"namespace: namespaces '{space}' exists already: an earlier deployment"), line
    assert line.endswith(f"lightwork-estate up --stack {stack} --take-over"), line
    assert items("-n", space, "workflowtemplates") == [], "nothing is made of what comes after"

    assert local.up(stack, "--take-over")["create"] > 30
    assert get("namespace", space)["metadata"]["uid"] == kept
    kubectl("-n", space, "get", "secret", contract.SECRETS)
    assert changes(local.up(stack)) == set(), "it is managed as before"
    local.tenant(BUSY, quota={**QUOTA, "pods": 30}, pipelines={"windy-city": WINDY})
    code, summary = local.typed(f"up --stack {stack}")
    line = str(summary[stack]["error"])
    assert code == 1, summary
    assert line.startswith("resourcequota-quota: .spec.hard.pods was set by pulumi-kubernetes-"), line
    assert ("update", "resourcequota-quota") in changes(local.up(stack, "--take-over"))
    (quota,) = items("-n", space, "resourcequota")
    assert int(quota["spec"]["hard"]["pods"]) >= 30
    local.tenant(BUSY, quota={**QUOTA, "pods": 30}, state="leaving")
    local.up(stack)
    code, summary = local.typed(f"destroy --stack {stack}")
    assert code == 0, summary


def test_the_people_of_a_tenant_are_out_once_its_stack_is_destroyed(local: Local) -> None:
    """By Pulumi's own provider, at the API server: with a token of Argo's page, and as one of the group.

    The role on AWS and the access entry go with the same command; only their recording is tested elsewhere.
    """
    stack, space = f"local.{LEAVING}", tenants.namespace(LEAVING)
    people = {"group": "example/customers/leaving", "principals": [f"arn:aws:iam::{'1' * 12}:user/jane"]}
    local.tenant(LEAVING, pipelines={"windy-city": WINDY}, people=people)
    local.up(stack)
    own = {"serviceaccount": (contract.PEOPLE,), "role": RIGHTS, "rolebinding": RIGHTS}
    gates = [contract.gate_binding(policy, LEAVING) for policy in gate.POLICIES]
    for kind, names in own.items():
        kubectl("-n", space, "get", kind, *names)
    kubectl("get", "validatingadmissionpolicybinding", *gates)
    token = kubectl("-n", space, "create", "token", contract.PEOPLE, "--duration=1h").strip()
    runs = f"/apis/{contract.ARGO}/namespaces/{space}/workflows"
    by_token = [*stranger(token), "get", "--raw", runs]
    jane = Caller("jane", (contract.people_group(LEAVING), "system:authenticated"))
    started = {
        "apiVersion": contract.ARGO,
        "kind": "Workflow",
        "metadata": {"generateName": "windy-city-"},
        "spec": {"workflowTemplateRef": {"name": "windy-city"}},
    }
    assert "items" in run([kubectl_program(), *by_token])
    assert jane.send("POST", runs, started).status == 201

    local.tenant(LEAVING, state="leaving", people=people)
    local.up(stack)
    assert jane.send("GET", runs).status == 200, "they fetch what is theirs"
    code, summary = local.typed(f"destroy --stack {stack}")
    assert code == 0, summary

    assert get("namespace", space)["status"]["phase"] == "Active", "it is kept, and so would be their rights"
    for kind, names in own.items():
        left = {item["metadata"]["name"] for item in items("-n", space, kind)}
        assert not left & {*names}, kind
    left = {item["metadata"]["name"] for item in items("validatingadmissionpolicybinding")}
    assert not left & {*gates}
    for verb, path, body in (("GET", runs, None), ("POST", runs, started), ("PATCH", f"{runs}/any", {})):
        answer = jane.send(verb, path, body)
        assert answer.status == 403, (verb, answer.message)
        assert "cannot" in answer.message, "no right, not even one that a policy takes away"
    with pytest.raises(HarnessError, match=r"Unauthorized|provide credentials"):
        run([kubectl_program(), *by_token])


def test_a_deployment_leaves_a_schedule_as_a_person_has_left_it(local: Local) -> None:
    """`up` looks at what is there, and neither resumes it nor is in conflict, with `--take-over` too."""
    stack, space = f"local.{PAUSING}", tenants.namespace(PAUSING)
    people = {"principals": [f"arn:aws:iam::{'1' * 12}:user/jane"]}
    entry = {**WINDY, "schedule": "0 0 29 2 *", "timezone": "UTC"}
    one = f"/apis/{contract.ARGO}/namespaces/{space}/cronworkflows/windy-city"
    jane = Caller("jane", (contract.people_group(PAUSING), "system:authenticated"))

    def deploy(options: str = "", **fields: object) -> set[tuple[str, str]]:
        local.tenant(PAUSING, pipelines={"windy-city": {**entry, **fields}}, people=people)
        return changes(local.up(stack, options))

    def send(value: str | None) -> int:
        said = json.dumps({"by": "jane", "at": "2026-11-28T07:00:00+00:00", "reason": f"{value}"})
        labels = {contract.LABEL_SUSPENDED: value}
        body = {"metadata": {"labels": labels, "annotations": {contract.ANNOTATION_NOTE: said}}}
        return jane.send("PATCH", f"{one}?fieldManager=lightwork", body, really=True).status

    def suspended() -> bool:
        labels = get("cronworkflow", "windy-city", "-n", space)["metadata"]["labels"]
        return bool(labels.get(contract.LABEL_SUSPENDED) == contract.SUSPENDED)

    updated = {("update", "cronworkflow-windy-city")}
    deploy()
    assert send(contract.SUSPENDED) == 200
    assert deploy() == deploy("--take-over") == set()
    assert suspended()
    assert deploy(starting_deadline="20m") == updated
    assert suspended()
    assert deploy(suspended=True) == updated
    assert deploy() == updated
    assert suspended(), "it is still the person's word"
    assert send(None) == 200
    assert deploy() == set()
    assert not suspended()
    assert deploy(suspended=True) == updated, "no conflict with who has resumed it"

    local.tenant(PAUSING, pipelines={"windy-city": entry}, people=people, state="leaving")
    local.up(stack)
    code, summary = local.typed(f"destroy --stack {stack}")
    assert code == 0, summary


def test_ten_tenants_come_up_at_once_stay_as_they_are_and_go(local: Local) -> None:
    for number, name in enumerate(TEN):
        local.tenant(name, quota={**QUOTA, "pods": 20 + number}, pipelines={"windy-city": WINDY})
    code, summary = local.typed(f"up --env local {CHOSEN}")
    assert code == 0, summary
    created = [summary[f"local.{name}"]["create"] for name in TEN]
    assert len(set(created)) == 1, "the same objects for all"
    assert created[0] > 30, "all of a tenant's objects"
    pods = [items("-n", tenants.namespace(name), "resourcequota")[0]["spec"]["hard"]["pods"] for name in TEN]
    assert len(set(pods)) == len(TEN), "each has the quota of its own file"

    code, summary = local.typed(f"up --env local {CHOSEN}")
    assert (code, [changes(summary[f"local.{name}"]) for name in TEN]) == (0, [set()] * len(TEN))

    for name in TEN:
        local.tenant(name, state="leaving")
    code, summary = local.typed(f"up --env local {CHOSEN}")
    assert code == 0, summary
    code, summary = local.typed(f"destroy --env local {CHOSEN}")
    assert code == 0, summary
    left = [item for name in TEN for item in items("-n", tenants.namespace(name), "deployments,pods,jobs")]
    assert [item for item in left if "deletionTimestamp" not in item["metadata"]] == []
