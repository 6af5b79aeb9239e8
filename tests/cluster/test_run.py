"""A pipeline as a workflow in its tenant's namespace: the correct result, and nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import images, probes, tenants
from tests.cluster.kube import get, items, page
from tests.cluster.progress import run, say, wait_for
from tests.cluster.settings import ROOT
from tests.waiting import patience

HOURS = "2000"


def local_result(tmp_path, pipeline: str, *parameters: str) -> Any:
    """Run a pipeline on this machine in one process; return its result."""
    words = [*tenants.LIGHTWORK, "run", "--json", "--on", "serial", "--lake", str(tmp_path)]
    return json.loads(run([*words, pipeline, *parameters], cwd=ROOT, timeout=300).splitlines()[-1])["result"]


def check_record(record: dict[str, Any], name: str) -> None:
    """Check that a run has one name, and that its record says where its time went and who worked for it."""
    assert re.fullmatch(r"windy-city-\d{8}t\d{6}-[a-z0-9]{5}", name)
    assert (record["name"], record["workflow"], record["pipeline"]) == (name, name, "windy-city")
    (attempt,) = record["attempts"]
    assert attempt["pod"].startswith(f"{name}-driver-")
    assert len(attempt["pod"]) <= 63
    (counts,) = record["tasks"].values()
    assert counts == record["elements"]
    assert record["code_keys"].keys() == record["tasks"].keys()
    say(f"figure: windy-city: phases {record['phases']}, workers {record['worker_seconds']}")
    assert record["phases"].keys() == {"waiting", "scheduler", "workers", "computing"}
    assert record["phases"]["waiting"] > 0
    (workers,) = record["worker_seconds"]
    assert re.fullmatch(r"cpu=\S+ memory=\S+", workers["size"])
    assert workers["seconds"] > 0
    assert record["versions"]["lightwork"]
    assert record["git_commit"] == images.COMMIT, "of the image, whose build was told"


def scalings(tenant: str, name: str) -> list[str]:
    """Return the events for changes in the number of a run's workers."""
    return [
        event["message"]
        for event in items("-n", tenants.namespace(tenant), "events")
        if event["reason"] == "ScalingReplicaSet" and event["involvedObject"]["name"] == f"{name}-workers"
    ]


def succeeded(tenant: str, name: str, seconds: float = 300) -> None:
    ended = tenants.wait_for_end(tenant, name, seconds=seconds)
    assert ended["phase"] == "Succeeded", tenants.describe(tenant, name)


@pytest.mark.core
def test_windy_city_gives_the_correct_result_and_leaves_nothing(acme, tmp_path):
    expected = local_result(tmp_path, "windy-city", f"max_timestamps={HOURS}", "unit=mph")
    start = time.monotonic()
    name = tenants.submit(acme, "windy-city", max_timestamps=HOURS)
    succeeded(acme, name)
    took = time.monotonic() - start
    clear = tenants.wait_until_clear(acme, name, seconds=120)
    record = probes.ended_record(acme, name)
    computing = record["attempts"][0]["seconds"]
    say(f"figure: windy-city: {took:.1f} s from submit to end, {took - computing:.1f} s of it overhead")
    say(f"figure: windy-city: nothing left {clear:.1f} s after the end")
    assert (record["status"], record["result"]) == ("succeeded", expected)
    check_record(record, name)
    wait_for("the archive", lambda: probes.archived(name)[0] == "Succeeded", seconds=60)
    assert scalings(acme, name), "workers were started for it"

    # Again: every result is cached, so no worker is started.
    name = tenants.submit(acme, "windy-city", max_timestamps=HOURS)
    succeeded(acme, name)
    again = probes.ended_record(acme, name)
    assert again["result"] == expected
    assert again["elements"] == {**again["elements"], "cached": again["elements"]["total"], "computed": 0}
    assert scalings(acme, name) == [], "workers were started although every result is cached"
    tenants.wait_until_clear(acme, name, seconds=120)


@pytest.mark.core
def test_a_wrong_parameter_fails_the_run_with_the_command_lines_message(acme):
    words = [*tenants.LIGHTWORK, "submit", "probe", "elements=many", *tenants.WHERE, acme]
    run(words, cwd=ROOT, env=tenants.environment())  # only the image knows its pipeline
    name = tenants.names(acme, "probe")[-1]
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Failed"
    assert "'many'" in tenants.messages(ended)
    tenants.wait_until_clear(acme, name, seconds=120)


def test_battery_health_gives_the_correct_result_with_its_dask_dataframe(acme, tmp_path):
    parameters = {"fleet": "40", "days": "3", "seed": "5"}
    expected = local_result(
        tmp_path, "battery-health", *(f"{key}={value}" for key, value in parameters.items())
    )
    name = tenants.submit(acme, "battery-health", **parameters)
    succeeded(acme, name, 600)
    result = probes.ended_record(acme, name)["result"]
    assert _rounded(result) == _rounded(expected)
    tenants.wait_until_clear(acme, name, seconds=120)


def test_a_pipeline_without_a_map_gets_workers_too(acme):
    name = tenants.submit(acme, "plain", numbers="100")
    succeeded(acme, name)
    assert probes.ended_record(acme, name)["result"] == {"bag": 9900, "calls": 9900}
    tenants.wait_until_clear(acme, name, seconds=120)


def _rounded(value: Any) -> Any:
    """Round floats, because several workers add them in another order; drop artifacts."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items() if key != "artifact"}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def test_dashboard_metrics_and_logs_of_a_running_run_can_be_read(acme):
    label = probes.new_label()
    name = probes.submit(acme, label, elements=20_000)
    probes.wait_until_at_work(acme, name, label)
    for role, path, text, metric in (
        ("scheduler", "/status", "Dask", "dask_scheduler_workers{"),
        ("worker", "/health", "ok", "dask_worker_tasks{"),
    ):
        pod = tenants.pods(acme, name, role)[0]["metadata"]["name"]
        assert text in page(tenants.namespace(acme), pod, 8787, path)
        assert metric in page(tenants.namespace(acme), pod, 8787, "/metrics")
    with dashboard(acme, name) as address:
        assert "Dask" in fetched(address), "the dashboard is not reachable through the API"
    words = [*tenants.LIGHTWORK, "logs", name, "--json", *tenants.WHERE, acme]
    printed = map(json.loads, run(words, env=tenants.environment()).splitlines())
    lines = [(line["pod"], line["text"]) for line in printed]
    pods = {pod for pod, _ in lines}
    assert any("-scheduler-" in pod for pod in pods)
    assert any("-workers-" in pod for pod in pods)
    assert any("driver" in pod for pod in pods)
    for pod, text in lines:
        fields = json.loads(text)
        # Argo's own container writes to the same log, with `msg` in place of `event`.
        assert "level" in fields, (pod, text)
        assert "event" in fields or "argo" in fields, (pod, text)
    run([*tenants.LIGHTWORK, "stop", name, *tenants.WHERE, acme], env=tenants.environment())
    tenants.wait_until_clear(acme, name, seconds=120)


@contextlib.contextmanager
def dashboard(tenant: str, name: str) -> Iterator[str]:
    """Run `lightwork dashboard` during the block, then interrupt it; yields the address that it prints."""
    words = [*tenants.LIGHTWORK, "dashboard", name, *tenants.WHERE, tenant]
    environment = {**os.environ, **tenants.environment()}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(patience(20)) == 130


def fetched(address: str) -> str:
    with urllib.request.urlopen(address, timeout=patience(20)) as response:
        return str(response.read().decode())


def test_the_namespace_is_restricted_and_every_pod_was_admitted(acme):
    space = get("namespace", tenants.namespace(acme))
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    refused = [
        event["message"]
        for event in items("-n", tenants.namespace(acme), "events")
        if "violates PodSecurity" in event.get("message", "")
    ]
    assert refused == []
