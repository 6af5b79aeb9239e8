"""The stacks `local` and `local.<tenant>` with Pulumi's own Kubernetes provider, on the cluster of the tests.

The tests follow one tenant: brought up, run, changed, drifted and destroyed, each with the command line. They
go on from one another and must run in order.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests import cluster_objects
from tests.cluster import binaries, images, probes, stores, tenants
from tests.cluster.deployments import Deployments
from tests.cluster.kube import apply, get, items, kubectl
from tests.cluster.progress import run
from tests.cluster.settings import ROOT, kubeconfig
from tests.estate import files

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


class Local(Deployments):
    """The local stacks of a repository with one tenant."""

    def up(self, options: str = "") -> dict[str, Any]:
        """Deploy the tenant; return its entry in the summary."""
        code, summary = self.typed(f"up --stack {STACK} {options}")
        assert code == 0, summary
        return summary[STACK]

    def tenant(self, **changes: Any) -> None:
        """Write the tenant's file: as it is at first, but for these fields."""
        quota = {"cpu": 8, "memory": "16Gi", "pods": 20, "storage": "50Gi"}
        document = {"name": TENANT, "environments": ["dev"], "quota": quota}
        document["pipelines"] = {"windy-city": WINDY, "second": {**WINDY, "schedule": "0 7 * * *"}}
        (self.root / "tenants" / f"{TENANT}.yaml").write_text(yaml.safe_dump({**document, **changes}))


def pods() -> int:
    """Return the number of pods in the tenant's quota."""
    return int(get("-n", SPACE, "resourcequota", "quota")["spec"]["hard"]["pods"])


def changes(entry: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the changes of a summary's entry, as `(operation, logical name)`."""
    return {(change["op"], change["name"]) for change in entry["changes"]}


def write(root: Path) -> None:
    """Write the settings of the local stacks, for the cluster of the tests, and no tenant but ours."""
    for path in (root / "tenants").glob("*.yaml"):
        path.unlink()
    config = {
        "lightwork:kube_context": f"lightwork-{tenants.ENVIRONMENT}",
        "lightwork:argo": "exists",
        "lightwork:image": images.platform_image(),
        "lightwork:lake": f"s3://lightwork-{tenants.ENVIRONMENT}-{{tenant}}",
        "lightwork:s3_endpoint": stores.s3_url(),
        "lightwork:region": stores.REGION,
        "pulumi:disable-default-providers": ["aws", "kubernetes"],
    }
    (root / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": config}))


@contextlib.contextmanager
def without_the_tests_own_objects() -> Iterator[None]:
    """Leave to Pulumi what the cluster tests install themselves; afterwards it is as before."""
    kubectl("delete", "clusterworkflowtemplate", contract.SCALER, "--ignore-not-found")
    try:
        yield
    finally:
        kubectl("delete", "namespace", SPACE, "--ignore-not-found", timeout=180)
        kubectl("delete", "clusterworkflowtemplate", contract.SCALER, "--ignore-not-found")
        apply(cluster_objects())


@pytest.fixture(scope="module")
def local(enforced: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """The local stacks: `local` is up, the tenant is not."""
    folder = tmp_path_factory.mktemp("local")
    root = files.repository(folder / "clone")
    write(root)
    (folder / "backend").mkdir()
    local = Local(root, folder / "backend", binaries.build(binaries.ENGINE))
    local.program = lambda stack, variables: runpy.run_path(str(root / "infra"), run_name="__main__")
    local.more = {"KUBECONFIG": str(kubeconfig())}
    binaries.build(binaries.PROVIDER)
    local.plug_in(importlib.metadata.version("pulumi_kubernetes"))
    local.tenant()
    stores.add_tenant(TENANT, tenants.bucket(TENANT))
    empty_lake()
    with without_the_tests_own_objects(), local.in_use(), pytest.MonkeyPatch.context() as patch:
        where = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        patch.setattr(where, str(kubeconfig()))
        code, summary = local.typed("up --env local --estate")
        assert code == 0, summary
        assert ("create", f"clusterworkflowtemplate-{contract.SCALER}") in changes(summary["local"])
        yield local
        code, summary = local.typed("destroy --env local --estate")
        assert code == 0, summary


def empty_lake() -> None:
    """Delete what earlier tests left in the lake, so that workers have to compute."""
    s3, bucket = stores.client("root"), tenants.bucket(TENANT)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])


def test_a_tenant_that_pulumi_made_gives_the_right_answer(local: Local, tmp_path: Path) -> None:
    created = local.up()
    assert (created["update"], created["delete"], created["replace"]) == (0, 0, 0)
    assert created["create"] > 30, "all of the tenant's objects"
    kubectl("-n", SPACE, "get", "secret", contract.TLS)  # made by the Job that `up` waited for

    key = stores.credentials(TENANT)
    names = {"AWS_ACCESS_KEY_ID": key["access"], "AWS_SECRET_ACCESS_KEY": key["secret"]}
    words = (f"--from-literal={name}={value}" for name, value in names.items())
    kubectl("-n", SPACE, "create", "secret", "generic", contract.SECRETS, *words)
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


def test_a_changed_file_changes_its_objects_in_place_and_deletes_what_it_dropped(local: Local) -> None:
    before = {
        item["metadata"]["name"]: item["metadata"]["uid"] for item in items("-n", SPACE, "cronworkflows")
    }
    allowed = pods()
    local.tenant(
        quota={"cpu": 8, "memory": "16Gi", "pods": 21, "storage": "50Gi"},
        pipelines={"windy-city": {**WINDY, "schedule": "45 6 * * *", "parameters": {"unit": "kn"}}},
    )
    changed = local.up()
    assert changes(changed) == {
        ("update", "resourcequota-quota"),
        ("update", "configmap-semaphores"),
        ("update", "workflowtemplate-windy-city"),
        ("update", "cronworkflow-windy-city"),
        ("delete", "workflowtemplate-second"),
        ("delete", "cronworkflow-second"),
    }
    assert pods() == allowed + 1
    (cron,) = items("-n", SPACE, "cronworkflows")
    assert (cron["spec"]["schedules"], cron["metadata"]["uid"]) == (["45 6 * * *"], before["windy-city"])
    local.tenant()
    local.up()


def test_what_others_change_is_shown_and_mended(local: Local) -> None:
    kubectl("-n", SPACE, "delete", "workflowtemplate", "windy-city")
    code, summary = local.typed(f"preview --stack {STACK}")
    assert (code, changes(summary[STACK])) == (0, {("create", "workflowtemplate-windy-city")})
    code, summary = local.typed(f"preview --stack {STACK} --no-refresh")
    assert (code, changes(summary[STACK])) == (0, set()), "the state alone knows nothing of it"
    local.up()
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
    assert changes(local.up("--take-over")) == {("update", "resourcequota-quota")}
    assert pods() == allowed
    assert changes(local.up()) == set()


def test_a_limit_that_the_program_drops_goes_and_can_come_back(local: Local) -> None:
    settings = local.root / "Pulumi.local.yaml"
    text = settings.read_text()
    config = yaml.safe_load(text)["config"]
    del config["lightwork:s3_endpoint"]
    settings.write_text(yaml.safe_dump({"config": config}))
    assert ("delete", "networkpolicy-s3") in changes(local.up())
    assert "s3" not in [item["metadata"]["name"] for item in items("-n", SPACE, "networkpolicies")]
    settings.write_text(text)
    assert ("create", "networkpolicy-s3") in changes(local.up())
    assert "s3" in [item["metadata"]["name"] for item in items("-n", SPACE, "networkpolicies")]


def test_destroy_keeps_the_namespace_with_its_limits_and_secrets_and_the_lake(local: Local) -> None:
    kept = ("networkpolicies", "resourcequota", "limitrange", "secrets")
    before = {kind: {item["metadata"]["name"] for item in items("-n", SPACE, kind)} for kind in kept}
    records = len(probes.records(TENANT))
    local.tenant(state="leaving")
    local.up()
    code, summary = local.typed(f"destroy --stack {STACK}")
    assert code == 0, summary
    for kind, names in before.items():
        assert {item["metadata"]["name"] for item in items("-n", SPACE, kind)} == names, kind
    gone = ("workflowtemplates", "cronworkflows", "cronjobs", "rolebindings")
    assert [item["metadata"]["name"] for kind in gone for item in items("-n", SPACE, kind)] == []
    assert len(probes.records(TENANT)) == records, "the lake is not touched"
