"""The figures of pipelines and their exporter at the real API: what a failed run leaves, and who reads it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.config import accounts, versions
from infra.services import watch
from infra.services.charts.common import Placement
from lightwork.kube import contract
from lightwork.kube.api import InCluster, RefusedError
from lightwork.pods.watch.__main__ import Watch
from tests.cluster import tenants
from tests.cluster.kube import apply, cluster, get, items, kubectl, kubectl_wait
from tests.cluster.progress import wait_for

if TYPE_CHECKING:
    from pathlib import Path

ARGS = watch.WatchArgs(
    image=versions.PYTHON_IMAGE,
    cluster="lightwork-dev",
    region="eu-central-1",
    metric_namespace="lightwork/dev",
    placement=Placement(),
)


@pytest.fixture
def monitoring() -> str:
    """The exporter's namespace with its account and rights; its image is in no registry of this machine."""
    namespace = accounts.WATCH.namespace
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    rights = [item for item in watch.objects(ARGS) if item["kind"] in kinds]
    stranger = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "stranger", "namespace": namespace},
    }
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, stranger, *rights])
    return namespace


def as_account(folder: Path, namespace: str, name: str) -> InCluster:
    """Return the API as a pod of an account has it."""
    (own := folder / name).mkdir()
    (own / "token").write_text(kubectl("-n", namespace, "create", "token", name).strip())
    (own / "ca.crt").write_bytes(base64.b64decode(cluster()["certificate-authority-data"]))
    (own / "namespace").write_text(namespace)
    return InCluster(own, cluster()["server"])


def figures(tenant: str, pipeline: str) -> dict[str, Any]:
    config_map = get("-n", tenants.namespace(tenant), "configmap", contract.FIGURES)
    text = (config_map.get("data") or {}).get(contract.FIGURES_OF + pipeline)
    return dict(json.loads(text)) if text else {}


def sample(text: str, name: str, **labels: str) -> float | None:
    found = [
        one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == f"lightwork_{name}" and labels.items() <= one.labels.items()
    ]
    return found[0] if found else None


def test_a_failed_run_is_in_the_metrics_and_the_next_success_ends_it(
    acme: str, globex: str, monitoring: str, tmp_path: Path
) -> None:
    where = {"tenant": acme, "pipeline": "probe"}
    exporter = Watch(as_account(tmp_path, monitoring, watch.NAME))
    wait_for("figures", lambda: figures(acme, "probe"), seconds=120, every=2)
    before = figures(acme, "probe")["ended"]
    failed = tenants.submit(acme, "probe", elements="10", fail="no data today", label="watched")
    wait_for(
        "the run at work", lambda: (figures(acme, "probe")["running"] or {}).get("run") == failed, seconds=120
    )
    tenants.wait_for_end(acme, failed, seconds=300)
    wait_for("its end", lambda: (figures(acme, "probe")["last"] or {}).get("run") == failed, seconds=60)
    text = exporter.text()
    assert sample(text, "pipeline_failing", **where) == 1.0
    outcome = sample(text, "pipeline_outcome", **where, run=failed)
    assert outcome == 1.0
    assert "no data today" in figures(acme, "probe")["last"]["error"]
    assert sample(text, "pipeline_ended_total", **where, status="failed") == before["failed"] + 1
    assert sample(text, "pipeline_failing", tenant=globex, pipeline="probe") in (None, 0.0)
    schedules = items("-n", tenants.namespace(acme), "cronworkflows")
    suspended = {item["metadata"]["name"]: float(item["spec"].get("suspend", False)) for item in schedules}
    told = {name: sample(text, "schedule_suspended", tenant=acme, pipeline=name) for name in suspended}
    assert told == suspended
    assert 1.0 in suspended.values()

    rollout = ("-n", tenants.namespace(acme), "rollout")
    kubectl(*rollout, "restart", "deployment", "controller")
    kubectl_wait(*rollout, "status", "deployment", "controller", seconds=120)
    mended = tenants.submit(acme, "probe", elements="10", label="watched")
    tenants.wait_for_end(acme, mended, seconds=300)
    wait_for("its end", lambda: figures(acme, "probe")["last"]["run"] == mended, seconds=60)
    after = figures(acme, "probe")["ended"]
    assert after["failed"] == before["failed"] + 1, "the restart has counted nothing twice"
    assert after["succeeded"] == before["succeeded"] + 1
    wait_for(
        "the metric", lambda: sample(exporter.text(), "pipeline_failing", **where) == 0.0, seconds=60, every=5
    )


def test_the_exporter_reads_figures_and_nothing_else_and_a_stranger_nothing(
    acme: str, monitoring: str, tmp_path: Path
) -> None:
    namespace = tenants.namespace(acme)
    own = as_account(tmp_path, monitoring, watch.NAME)
    assert f"tenant-{acme}" in {item["metadata"]["name"] for item in own.get("/api/v1/namespaces")["items"]}
    stranger = as_account(tmp_path, monitoring, "stranger")
    core, argo = f"/api/v1/namespaces/{namespace}", f"/apis/{contract.ARGO}/namespaces/{namespace}"
    path = f"{core}/configmaps/{contract.FIGURES}"
    assert own.get(path)["metadata"]["name"] == contract.FIGURES
    closed = (
        f"{core}/configmaps/{contract.SETTINGS}",
        f"{core}/configmaps",
        f"{core}/secrets",
        f"{core}/pods",
        f"{argo}/workflows",
        f"{argo}/cronworkflows",
        "/api/v1/namespaces/kube-system/configmaps",
        "/api/v1/nodes",
    )
    for api, paths in ((own, closed), (stranger, (path, "/api/v1/namespaces", *closed))):
        for one in paths:
            with pytest.raises(RefusedError) as refused:
                api.get(one)
            assert refused.value.status == 403, one
    with pytest.raises(RefusedError) as refused:
        own.patch(path, {"data": {"x": "y"}})
    assert refused.value.status == 403


def test_a_tenants_processes_write_their_own_figures_and_no_others(
    acme: str, globex: str, tmp_path: Path
) -> None:
    controller = as_account(tmp_path, tenants.namespace(acme), contract.ACCOUNT_CONTROLLER)
    certificates = as_account(tmp_path, tenants.namespace(acme), contract.ACCOUNT_CERTIFICATES)
    driver = as_account(tmp_path, tenants.namespace(acme), contract.ACCOUNT_DRIVER)

    def path(tenant: str, name: str = contract.FIGURES) -> str:
        return f"/api/v1/namespaces/{tenants.namespace(tenant)}/configmaps/{name}"

    controller.patch(path(acme), {"data": {"x": "y"}})
    certificates.patch(path(acme), {"data": {"x": None}})
    for api, one in (
        (controller, path(globex)),
        (controller, path(acme, contract.SETTINGS)),
        (certificates, path(globex)),
        (certificates, path(acme, contract.SEMAPHORES)),
        (driver, path(acme)),
    ):
        with pytest.raises(RefusedError) as refused:
            api.patch(one, {"data": {"x": "y"}})
        assert refused.value.status == 403, one
    where = ["-n", tenants.namespace(acme)]
    kubectl(*where, "delete", "job", "certificates-now", "--ignore-not-found", "--wait")
    kubectl(*where, "create", "job", "certificates-now", "--from=cronjob/certificates")
    kubectl_wait(*where, "wait", "--for=condition=complete", "job/certificates-now", seconds=120)
    end = get("-n", tenants.namespace(acme), "configmap", contract.FIGURES)["data"].get(
        contract.FIGURES_CERTIFICATE
    )
    assert float(end) > 1_700_000_000, "the job of the certificates has told when they end"
