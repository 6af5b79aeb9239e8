"""Options of tasks in a cluster: devices that workers' pods request, and limits that outlive a worker."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightwork.kube import reasons
from tests.cluster import probes, stores, tenants
from tests.cluster.kube import get, items, kubectl
from tests.cluster.progress import say, wait_for
from tests.cluster.settings import ROOT

HANGS, FAILS_ONCE, HOLDS = 1, 2, 3
"""Elements of the pipeline `careful`, as `probe/careful.py` has them."""
DEVICE = tenants.DEVICE
"""A resource that only these tests' node has: it advertises what it does not have."""


@contextlib.contextmanager
def offered(count: int) -> Iterator[None]:
    """Let the node offer some devices, as a device's plugin does."""
    (node,) = items("nodes")
    name, path = node["metadata"]["name"], f"/status/capacity/{DEVICE.replace('/', '~1')}"

    def patch(operation: dict[str, Any]) -> None:
        words = ["patch", "node", name, "--subresource=status", "--type=json"]
        kubectl(*words, "--patch", json.dumps([{**operation, "path": path}]))

    patch({"op": "add", "value": str(count)})
    try:
        yield
    finally:
        patch({"op": "remove"})


def most_at_once(spans: list[tuple[float, float]]) -> int:
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(itertools.accumulate(change for _, change in changes))


def test_workers_request_the_devices_of_the_file_and_wait_for_a_node_that_has_them(acme, tmp_path):
    shown = tmp_path / "shown"
    words = [*tenants.LIGHTWORK, "submit", "--wait", "devices", "elements=10", *tenants.WHERE, acme]
    with shown.open("w") as file:
        submitting = subprocess.Popen(words, cwd=ROOT, env=tenants.environment(), stdout=file, stderr=file)
    try:
        told = f"no node has {DEVICE}, or all of it is in use"
        wait_for("the reason, in plain words", lambda: told in shown.read_text(), seconds=240, every=1)
        name = tenants.names(acme, "devices")[-1]
        waiting = tenants.pods(acme, name, "worker")
        assert 1 <= len(waiting) <= tenants.DEVICES, "no more than the file allows"
        for pod in waiting:
            assert pod["status"]["phase"] == "Pending"
            assert reasons.not_started(pod).startswith(f"no node fits: {told}: 0/1 nodes")
            (container,) = pod["spec"]["containers"]
            assert container["resources"]["requests"][DEVICE] == "1"
            assert container["resources"]["limits"][DEVICE] == "1"
        quota = get("-n", tenants.namespace(acme), "resourcequota", "quota")["status"]
        assert quota["hard"][f"requests.{DEVICE}"] == str(tenants.DEVICES)
        assert int(quota["used"][f"requests.{DEVICE}"]) >= len(waiting)
        start = time.monotonic()
        with offered(tenants.DEVICES):
            assert submitting.wait(300) == 0, shown.read_text()
        say(f"figure: a run on {tenants.DEVICES} devices ended after {time.monotonic() - start:.0f} s")
    finally:
        submitting.kill()
        for left in tenants.names(acme, "devices"):
            if not tenants.status(acme, left).get("finishedAt"):
                kubectl("-n", tenants.namespace(acme), "delete", "workflow", left, "--wait=false")
    found = probes.ended_record(acme, name)["result"]
    assert sorted(item["number"] for item in found) == list(range(10))
    by_pod: dict[str, list[tuple[float, float]]] = {}
    for item in found:
        by_pod.setdefault(item["pod"], []).append((item["begin"], item["end"]))
    assert len(by_pod) <= tenants.DEVICES
    assert {most_at_once(spans) for spans in by_pod.values()} == {1}, "each has two threads and one device"
    say(f"figure: {len(by_pod)} workers had a device")


def test_the_quota_holds_for_devices(acme):
    """The API server refuses a pod that requests more."""
    (worker,) = [
        item
        for item in tenants.render(acme)
        if item["kind"] == "WorkflowTemplate" and item["metadata"]["name"] == "devices"
    ]
    security = worker["spec"]["securityContext"]
    sizes = {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "1Mi", DEVICE: "3"}
    container = {
        "name": "main",
        "image": "none",
        "resources": {"requests": sizes, "limits": sizes},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": tenants.namespace(acme)},
        "spec": {"containers": [container], "securityContext": security},
    }
    with pytest.raises(Exception, match=rf"exceeded quota: quota, requested: requests.{DEVICE}=3"):
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_a_task_that_wants_more_than_a_worker_offers_is_refused_before_any_worker_starts(acme):
    name = tenants.submit(acme, "devices", each="2")
    ended = tenants.wait_for_end(acme, name, seconds=240)
    assert ended["phase"] == "Failed", tenants.describe(acme, name)
    record = probes.ended_record(acme, name)
    assert "on_device: resources={'GPU': 2}: each worker of this run offers GPU=1" in record["error"]
    assert "\n" not in record["error"]
    assert not tenants.pods(acme, name, "worker")


def attempts(tenant: str, label: str, number: int) -> list[str]:
    """Return the pods in which an element was at work, once for each attempt."""
    listed = stores.client("root").list_objects_v2(
        Bucket=tenants.bucket(tenant), Prefix=f"probe/{label}/{number}/"
    )
    return [Path(item["Key"]).parts[3] for item in listed.get("Contents", [])]


def test_a_worker_that_is_killed_with_a_slot_holds_up_nobody_for_long(acme):
    label = probes.new_label()
    name = tenants.submit(acme, "careful", label=label)
    wait_for("the element that holds its slot", lambda: attempts(acme, label, HOLDS), seconds=300, every=0.5)
    (pod,) = attempts(acme, label, HOLDS)
    probes.kill(acme, [pod])
    killed = time.time()
    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    record = probes.ended_record(acme, name)
    spans, errors = record["result"]["spans"], record["result"]["errors"]
    assert len(spans) == 5
    (error,) = errors
    assert f"element {HANGS}" in error
    assert "took longer than timeout=30 s" in error
    assert most_at_once(spans) == 1
    after = min((begin for begin, _ in spans if begin > killed), default=killed)
    say(f"figure: a killed worker's slot was free after {after - killed:.0f} s")
    assert len(attempts(acme, label, HOLDS)) == 2, "a lost worker is charged nothing"
    assert len(attempts(acme, label, FAILS_ONCE)) == 2
    assert len(attempts(acme, label, HANGS)) == 1, "it is not an error that is tried again"
    assert record["elements"] == {
        "total": 6,
        "cached": 0,
        "computed": 5,
        "failed": 1,
        "retried": 1,
        "timed_out": 1,
    }
