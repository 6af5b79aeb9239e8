"""A run survives faults: it succeeds with the same result as without them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from lightwork.engine.sizing import TARGET
from tests.cluster import argo, pod_identity, probes, processes, stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import say, wait_for

AWAY = 30.0
"""Seconds for which a server is unavailable."""
BATCH = 2 * TARGET / probes.SECONDS
"""The most elements that a batch computes: its budget is twice its target."""


def disturbed(tenant: str, what: str, disturb: Callable[[str], object]) -> int:
    """Disturb a run while it is at work and check its result; return how many elements were recomputed."""
    label = probes.new_label()
    name = probes.submit(tenant, label)
    probes.wait_until_at_work(tenant, name, label)
    disturb(name)
    ended = tenants.wait_for_end(tenant, name, seconds=420)
    assert ended["phase"] == "Succeeded", tenants.describe(tenant, name)
    counts = probes.computed(tenant, label)
    assert set(counts) == set(range(probes.ELEMENTS)), "every element was computed"
    record = probes.record(tenant, label)
    assert record["status"] == "succeeded"
    assert record["result"]["sum"] == sum(number * number for number in range(probes.ELEMENTS))
    tenants.wait_until_clear(tenant, name, seconds=120)
    repeated = probes.repeated(counts)
    say(f"figure: {what}: {repeated} of {probes.ELEMENTS} elements recomputed")
    return repeated


@pytest.mark.core
def test_a_killed_worker_costs_no_more_than_its_batch(acme):
    def kill(name: str) -> None:
        probes.kill(acme, probes.running(acme, name, "worker")[:1])

    assert disturbed(acme, "worker killed", kill) <= BATCH


def test_a_drained_worker_costs_nothing(acme):
    def drain(name: str) -> None:
        wait_for("two workers", lambda: len(probes.running(acme, name, "worker")) > 1, seconds=60)
        victim = probes.running(acme, name, "worker")[0]
        kubectl("-n", tenants.namespace(acme), "delete", "pod", victim, "--wait=false")

    assert disturbed(acme, "worker drained", drain) == 0


def test_all_workers_killed_cost_no_more_than_their_batches(acme):
    def kill(name: str) -> None:
        probes.kill(acme, probes.running(acme, name, "worker"))

    assert disturbed(acme, "all workers killed", kill) <= 3 * BATCH


def test_a_killed_scheduler_costs_no_more_than_the_batches_in_flight(acme):
    def kill(name: str) -> None:
        probes.kill(acme, probes.running(acme, name, "scheduler"))

    assert disturbed(acme, "scheduler killed", kill) <= 3 * 2 * BATCH


def test_a_killed_driver_resumes_where_it_was(acme):
    def kill(name: str) -> None:
        probes.kill(acme, probes.running(acme, name, "driver"))

    assert disturbed(acme, "driver killed", kill) <= 3 * 2 * BATCH


def test_a_restarted_controller_costs_nothing(acme):
    def restart(name: str) -> None:
        kubectl("-n", argo.NAMESPACE, "delete", "pod", "-l", "app=workflow-controller", "--wait=false")

    try:
        assert disturbed(acme, "controller restarted", restart) == 0
    finally:
        argo.wait_until_ready()


def test_an_outage_of_the_s3_server_costs_nothing(acme):
    def away(name: str) -> None:
        processes.stop("versitygw")
        try:
            time.sleep(AWAY)
        finally:
            stores.start_s3()

    assert disturbed(acme, f"S3 server away for {AWAY:.0f} s", away) == 0


def test_an_outage_of_the_archive_costs_nothing(acme):
    def away(name: str) -> None:
        processes.stop("postgres", by=signal.SIGINT)
        try:
            time.sleep(AWAY)
        finally:
            stores.start_postgres()

    assert disturbed(acme, f"PostgreSQL away for {AWAY:.0f} s", away) == 0


def test_an_outage_of_the_credentials_endpoint_costs_no_more_than_a_killed_worker(acme):
    """Pods keep using the credentials that they have; the killed pod is replaced after the outage."""

    def away(name: str) -> None:
        processes.stop(pod_identity.SERVER)
        try:
            probes.kill(acme, probes.running(acme, name, "worker")[:1])
            time.sleep(AWAY)
        finally:
            pod_identity.start()

    assert disturbed(acme, f"credentials away for {AWAY:.0f} s, worker killed", away) <= BATCH


@contextlib.contextmanager
def no_logs_kept(tenant: str) -> Iterator[None]:
    """Let the tenant's lake refuse Argo's logs during the block."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    accounts = [stores.credentials(name)["access"] for name in (tenant, stores.steps_of(tenant))]
    refusal = {
        "Sid": "NoLogs",
        "Effect": "Deny",
        "Principal": {"AWS": accounts},
        "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{tenant}/argo/*"],
    }
    policy = json.loads(before)
    policy["Statement"].append(refusal)
    s3.put_bucket_policy(Bucket=bucket, Policy=stores.as_text(policy))
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=before)


def attempts(tenant: str, name: str, step: str) -> list[str]:
    """Return the phases of a step's attempts."""
    nodes = tenants.status(tenant, name).get("nodes", {}).values()
    own = [node for node in nodes if node["type"] == "Pod" and node["displayName"].startswith(f"{step}(")]
    return [node["phase"] for node in sorted(own, key=lambda node: str(node["displayName"]))]


def test_a_pipeline_whose_log_cannot_be_kept_is_not_run_again(acme):
    label = probes.new_label()
    with no_logs_kept(acme):
        name = tenants.submit(acme, "words", label=label, a="x")
        wait_for("the log is refused", lambda: attempts(acme, name, "driver")[:1] == ["Error"], seconds=180)
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    assert "failed to put file" in tenants.messages(ended)
    assert probes.computed(acme, label) == {0: 1}, "the pipeline was run again"
    assert "it is not run again" in probes.log_in_bucket(acme, name)
    tenants.wait_until_clear(acme, name, seconds=120)


def test_a_container_whose_log_cannot_be_kept_is_not_run_again(acme):
    with no_logs_kept(acme):
        name = tenants.submit(acme, "words-once")
        ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] in ("Failed", "Error")
    assert "failed to put file" in tenants.messages(ended)
    assert attempts(acme, name, "echo") == ["Error"], "the container was run again"
    tenants.wait_until_clear(acme, name, seconds=120)
