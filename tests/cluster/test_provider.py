"""The stacks `local` and `local.<tenant>` with Pulumi's own Kubernetes provider, on the cluster of the tests.

The tests follow one tenant: brought up, run, changed, drifted and destroyed, each with the command line. They
go on from one another and must run in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightwork.kube import contract
from tests.cluster import probes, stores, tenants
from tests.cluster.kube import get, items, kubectl
from tests.cluster.local_stacks import (
    QUOTA,
    Local,
    changes,
    clone,
    deployed,
    empty_lake,
    give_keys,
    without_the_tests_own_objects,
)
from tests.cluster.progress import run
from tests.cluster.settings import ROOT

pytestmark = pytest.mark.core

TENANT = "umbrella"
STACK = f"local.{TENANT}"
SPACE = tenants.namespace(TENANT)
HOURS = "300"
WINDY: dict[str, Any] = {
    "pipeline": "windy-city",
    "schedule": "30 6 * * *",
    "timezone": "Europe/Berlin",
    "suspended": True,
    "parameters": {"unit": "mph"},
    "workers": {"count": 2, **tenants.SMALL},
    "scheduler": tenants.SMALL,
    "driver": tenants.SMALL,
    "deadline": "15m",
}


def umbrella(local: Local, **changes: Any) -> None:
    """Write the tenant's file: as it is at first, but for these fields."""
    pipelines = {"windy-city": WINDY, "second": {**WINDY, "schedule": "0 7 * * *"}}
    local.tenant(TENANT, **{"pipelines": pipelines, **changes})


def pods() -> int:
    """Return the number of pods in the tenant's quota."""
    return int(get("-n", SPACE, "resourcequota", "quota")["spec"]["hard"]["pods"])


@pytest.fixture(scope="module")
def local(enforced: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """The local stacks: `local` is up, the tenant is not."""
    local = clone(tmp_path_factory.mktemp("local"))
    umbrella(local)
    stores.add_tenant(TENANT, tenants.bucket(TENANT))
    empty_lake(TENANT)
    with without_the_tests_own_objects(TENANT), deployed(local):
        kubectl("get", "clusterworkflowtemplate", contract.SCALER)  # of the stack `local`
        yield local


def shown(local: Local, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a preview with values."""
    capsys.readouterr()
    code, summary = local.typed(f"preview --stack {STACK} --diff")
    assert code == 0, summary
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_a_preview_shows_the_values_of_a_tenant_that_is_not_there(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(local, capsys)
    assert "+  kubernetes:argoproj.io/v1alpha1:CronWorkflow  cronworkflow-second" in lines
    assert 'spec.schedules[0]: "0 7 * * *"' in lines
    assert kubectl("get", "namespace", SPACE, "--ignore-not-found") == ""


def test_a_tenant_that_pulumi_made_gives_the_right_answer(local: Local, tmp_path: Path) -> None:
    created = local.up(STACK)
    assert (created["update"], created["delete"], created["replace"]) == (0, 0, 0)
    assert created["create"] > 30, "all of the tenant's objects"
    kubectl("-n", SPACE, "get", "secret", contract.TLS)  # made by the Job that `up` waited for

    give_keys(TENANT)
    name = tenants.submit(TENANT, "windy-city", max_timestamps=HOURS)
    ended = tenants.wait_for_end(TENANT, name, seconds=400)
    assert ended["phase"] == "Succeeded", tenants.describe(TENANT, name)
    record = probes.ended_record(TENANT, name)
    words = ("run", "--json", "--on", "serial", "--lake", str(tmp_path), "windy-city")
    parameters = (f"max_timestamps={HOURS}", "unit=mph")
    here = json.loads(run([*tenants.LIGHTWORK, *words, *parameters], cwd=ROOT, timeout=300).splitlines()[-1])
    assert (record["status"], record["result"]) == ("succeeded", here["result"]), "they must not disagree"
    assert probes.log_in_bucket(TENANT, name), "Argo saved no log: it has no keys of the lake"


def test_a_second_up_and_a_refresh_change_nothing(local: Local) -> None:
    for line in (f"preview --stack {STACK}", f"up --stack {STACK}", f"up --stack {STACK} --no-refresh"):
        code, summary = local.typed(line)
        assert (code, changes(summary[STACK])) == (0, set()), line
    code, summary = local.typed("up --env local --estate")
    assert (code, changes(summary["local"])) == (0, set())


def test_a_changed_file_changes_its_objects_in_place_and_deletes_what_it_dropped(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {
        item["metadata"]["name"]: item["metadata"]["uid"] for item in items("-n", SPACE, "cronworkflows")
    }
    allowed = pods()
    umbrella(
        local,
        quota={**QUOTA, "pods": 21},
        pipelines={"windy-city": {**WINDY, "schedule": "45 6 * * *", "parameters": {"unit": "kn"}}},
    )
    assert 'spec.schedules[0]: "30 6 * * *" -> "45 6 * * *"' in shown(local, capsys)
    changed = local.up(STACK)
    assert changes(changed) == {
        ("update", "resourcequota-quota"),
        ("update", "configmap-semaphores"),
        ("update", "configmap-run-figures"),
        ("update", "workflowtemplate-windy-city"),
        ("update", "cronworkflow-windy-city"),
        ("delete", "workflowtemplate-second"),
        ("delete", "cronworkflow-second"),
    }
    assert pods() == allowed + 1
    (cron,) = items("-n", SPACE, "cronworkflows")
    assert (cron["spec"]["schedules"], cron["metadata"]["uid"]) == (["45 6 * * *"], before["windy-city"])
    umbrella(local)
    local.up(STACK)


def test_what_others_change_is_shown_and_mended(local: Local) -> None:
    kubectl("-n", SPACE, "delete", "workflowtemplate", "windy-city")
    code, summary = local.typed(f"preview --stack {STACK}")
    assert (code, changes(summary[STACK])) == (0, {("create", "workflowtemplate-windy-city")})
    code, summary = local.typed(f"preview --stack {STACK} --no-refresh")
    assert (code, changes(summary[STACK])) == (0, set()), "the state alone knows nothing of it"
    local.up(STACK)
    kubectl("-n", SPACE, "get", "workflowtemplate", "windy-city")


def test_a_field_that_somebody_has_set_is_named_and_taken_over_on_demand(local: Local) -> None:
    allowed = pods()
    patch = json.dumps({"spec": {"hard": {"pods": "7"}}})
    kubectl("-n", SPACE, "patch", "resourcequota", "quota", "--type=merge", f"--patch={patch}")
    code, summary = local.typed(f"up --stack {STACK}")
    line = str(summary[STACK]["error"])
    assert code == 1, summary
    assert line.startswith("resourcequota-quota: .spec.hard.pods was set by kubectl-patch"), line
    assert line.endswith(f"lightwork-estate up --stack {STACK} --take-over"), line
    assert changes(local.up(STACK, "--take-over")) == {("update", "resourcequota-quota")}
    assert pods() == allowed
    assert changes(local.up(STACK)) == set()


def test_a_limit_that_the_program_drops_goes_and_can_come_back(local: Local) -> None:
    local.settings(s3_endpoint=None)
    assert ("delete", "networkpolicy-s3") in changes(local.up(STACK))
    assert "s3" not in [item["metadata"]["name"] for item in items("-n", SPACE, "networkpolicies")]
    local.settings()
    assert ("create", "networkpolicy-s3") in changes(local.up(STACK))
    assert "s3" in [item["metadata"]["name"] for item in items("-n", SPACE, "networkpolicies")]


def test_destroy_keeps_the_namespace_with_its_limits_and_secrets_and_the_lake(local: Local) -> None:
    kept = ("networkpolicies", "resourcequota", "limitrange", "secrets")
    before = {kind: {item["metadata"]["name"] for item in items("-n", SPACE, kind)} for kind in kept}
    records = len(probes.records(TENANT))
    umbrella(local, state="leaving")
    local.up(STACK)
    code, summary = local.typed(f"destroy --stack {STACK}")
    assert code == 0, summary
    for kind, names in before.items():
        assert {item["metadata"]["name"] for item in items("-n", SPACE, kind)} == names, kind
    gone = ("workflowtemplates", "cronworkflows", "cronjobs", "rolebindings")
    assert [item["metadata"]["name"] for kind in gone for item in items("-n", SPACE, kind)] == []
    assert len(probes.records(TENANT)) == records, "the lake is not touched"
