"""Workers that are lost again and again, and objects of a run that somebody deletes: the run says why."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import time
from collections.abc import Iterator

import pytest

from lightwork.kube import contract
from lightwork.pods import certificates
from tests.cluster import pod_identity, probes, tenants
from tests.cluster.kube import items, kubectl
from tests.cluster.probe.faults import BAD
from tests.cluster.progress import say, wait_for

REASONS = {
    "exit": "ended with exit code 3",
    "segfault": "SIGSEGV",
    "memory": "memory",
    "leak": "memory",
    "disk": "evicted: Usage of EmptyDir volume",
}


def run_faults(tenant: str, kind: str, *, call: bool, seconds: float) -> tuple[str, dict]:
    name = tenants.submit(tenant, "faults", kind=kind, call=str(call).lower())
    start = time.monotonic()
    ended = tenants.wait_for_end(tenant, name, seconds=seconds)
    record = probes.ended_record(tenant, name)
    say(f"figure: {kind}: {time.monotonic() - start:.0f} s, {record['error'] or record['result']}")
    return f"{ended['phase']}: {tenants.messages(ended)}", record


@pytest.mark.parametrize("kind", REASONS)
def test_an_element_that_ends_its_workers_is_told_with_the_reason_that_was_seen(acme, kind):
    told, record = run_faults(acme, kind, call=False, seconds=600)
    assert record["status"] == "succeeded", told
    assert record["result"]["numbers"] == [str(number) for number in range(8) if number != BAD]
    (error,) = record["result"]["errors"]
    assert f"element {BAD}" in error
    assert REASONS[kind] in error
    (failed,) = probes.failures(acme, record["name"])
    assert failed["index"] == BAD
    assert REASONS[kind] in failed["error"]


def test_a_call_that_fills_the_disk_fails_its_run_by_that(acme):
    told, record = run_faults(acme, "disk", call=True, seconds=400)
    assert told.startswith("Failed")
    assert REASONS["disk"] in told
    assert REASONS["disk"] in record["error"]


def _delete(kind: str, part: str):
    def delete(tenant: str, name: str) -> None:
        kubectl("-n", tenants.namespace(tenant), "delete", kind, f"{name}-{part}", "--wait=false")

    return delete


@pytest.mark.parametrize(
    ("delete", "told"),
    [
        pytest.param(_delete("deployment", "workers"), "the workers' Deployment was deleted", id="workers"),
        pytest.param(
            _delete("deployment", "scheduler"),
            "the scheduler's Deployment or Service was deleted",
            id="scheduler",
        ),
        pytest.param(
            _delete("service", "scheduler"), "the scheduler's Deployment or Service was deleted", id="service"
        ),
    ],
)
def test_a_run_without_one_of_its_objects_says_so_and_fails(acme, delete, told):
    label = probes.new_label()
    name = probes.submit(acme, label, elements=20_000)
    probes.wait_until_at_work(acme, name, label)
    delete(acme, name)
    start = time.monotonic()
    ended = tenants.wait_for_end(acme, name, seconds=180)
    say(f"figure: it fails after {time.monotonic() - start:.0f} s")
    assert ended["phase"] == "Failed"
    assert told in tenants.messages(ended)
    assert told in probes.record(acme, label)["error"]


def test_a_run_goes_on_that_somebody_else_scales(acme):
    label = probes.new_label()
    name = probes.submit(acme, label)
    probes.wait_until_at_work(acme, name, label)
    where = ["-n", tenants.namespace(acme), "scale", "--replicas=0", "deployment"]
    kubectl(*where, f"{name}-workers", f"{name}-scheduler")
    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    log = probes.log_in_bucket(acme, name)
    assert "somebody else has set the number of workers" in log
    assert "somebody else has stopped the scheduler" in log


@contextlib.contextmanager
def node_labelled(spot: str) -> Iterator[None]:
    """Label the node as a spot node (`true`) or an on-demand node (`false`), as those of an estate are."""
    (node,) = items("nodes")
    name = node["metadata"]["name"]
    kubectl("label", "node", name, f"{contract.LABEL_SPOT}={spot}", "--overwrite")
    try:
        yield
    finally:
        kubectl("label", "node", name, f"{contract.LABEL_SPOT}-")


def test_workers_are_on_spot_nodes_only_unless_the_file_allows_others(acme):
    label, of_fallback = probes.new_label(), probes.new_label()
    with node_labelled("false"):
        name = probes.submit(acme, label, elements=60)
        other = probes.submit(acme, of_fallback, entry="probe-fallback", elements=60)
        ended = tenants.wait_for_end(acme, other, seconds=400)
        assert ended["phase"] == "Succeeded", tenants.describe(acme, other)
        assert probes.running(acme, name, "driver"), "schedulers and drivers need no spot node"
        waiting = tenants.pods(acme, name, "worker")
        assert {pod["status"]["phase"] for pod in waiting} == {"Pending"}
        assert "didn't match Pod's node affinity" in str(waiting)
        assert not probes.computed(acme, label)
    with node_labelled("true"):
        wait_for("workers on a spot node", lambda: probes.computed(acme, label), seconds=120)
    # The exit handler's pod must not be on one, and there is only this node.
    ended = tenants.wait_for_end(acme, name, seconds=400)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)


def replace_authority(tenant: str) -> None:
    """Replace a tenant's authority and the certificate that it has signed."""
    now = dt.datetime.now(dt.UTC)
    authority = certificates.authority(tenant, now)
    new = {
        contract.TLS_AUTHORITY: authority,
        contract.TLS: certificates.certificate(tenant, authority, now),
    }
    for name, data in new.items():
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        patch = json.dumps({"data": encoded})
        kubectl("-n", tenants.namespace(tenant), "patch", "secret", name, "--patch", patch)


@pytest.mark.parametrize("lost", ["worker", "driver"])
def test_a_run_goes_on_with_a_new_authority(acme, lost):
    """What is started later does not trust what was started before."""
    label = probes.new_label()
    name = probes.submit(acme, label, elements=5000)
    probes.wait_until_at_work(acme, name, label)
    probes.kill(acme, probes.running(acme, name, lost))
    replace_authority(acme)
    start = time.monotonic()
    ended = tenants.wait_for_end(acme, name, seconds=600)
    say(f"figure: {time.monotonic() - start:.0f} s after a new authority, {lost} killed")
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    assert "certificate authority was replaced" in probes.log_in_bucket(acme, name)


def test_a_run_waits_for_an_endpoint_for_credentials_that_fails(acme):
    label = probes.new_label()
    with pod_identity.failing(500):
        name = probes.submit(acme, label, elements=300)
        time.sleep(30)
        assert not probes.computed(acme, label)
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    log = probes.log_in_bucket(acme, name)
    assert "for the lake" in log
    assert "responds again" in log
