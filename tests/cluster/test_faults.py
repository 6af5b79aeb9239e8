"""What is lost during a run is made good: the run ends well, with the answer of one that lost nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from lightwork.engine.sizing import TARGET
from tests.cluster import argo, pod_identity, probes, processes, stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import say, wait_for

AWAY = 30.0
"""Seconds that a server is away."""
BATCH = 2 * TARGET / probes.SECONDS
"""The most elements that a batch computes: its budget is twice its target."""


def disturbed(tenant: str, what: str, disturb: Callable[[str], object]) -> int:
    """Run, disturb it while it is at work, check the answer; how many elements were computed again."""
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
    again = probes.twice(counts)
    say(f"figure: {what}: {again} of {probes.ELEMENTS} elements computed again")
    return again


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


def test_a_killed_scheduler_costs_no_more_than_what_was_on_its_way(acme):
    def kill(name: str) -> None:
        probes.kill(acme, probes.running(acme, name, "scheduler"))

    assert disturbed(acme, "scheduler killed", kill) <= 3 * 2 * BATCH


def test_a_killed_driver_goes_on_where_it_was(acme):
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


def test_an_s3_server_that_is_away_for_a_while_costs_nothing(acme):
    def away(name: str) -> None:
        processes.stop("versitygw")
        try:
            time.sleep(AWAY)
        finally:
            stores.start_s3()

    assert disturbed(acme, f"S3 server away for {AWAY:.0f} s", away) == 0


def test_an_archive_that_is_away_for_a_while_costs_nothing(acme):
    def away(name: str) -> None:
        processes.stop("postgres", by=signal.SIGINT)
        try:
            time.sleep(AWAY)
        finally:
            stores.start_postgres()

    assert disturbed(acme, f"PostgreSQL away for {AWAY:.0f} s", away) == 0


def test_a_credentials_endpoint_that_is_away_for_a_while_costs_no_more_than_a_killed_worker(acme):
    """Who has credentials goes on with them; the pod in place of the killed one is made afterwards."""

    def away(name: str) -> None:
        processes.stop(pod_identity.SERVER)
        try:
            probes.kill(acme, probes.running(acme, name, "worker")[:1])
            time.sleep(AWAY)
        finally:
            pod_identity.start()

    assert disturbed(acme, f"credentials away for {AWAY:.0f} s, worker killed", away) <= BATCH
