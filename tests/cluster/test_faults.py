"""What is lost during a run is made good: the run ends well, with the answer of one that lost nothing."""

from __future__ import annotations

import time

import pytest

from tests.cluster import tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import say, wait_for

FLEET = {"fleet": "400", "days": "7", "seed": "7"}


def running_workers(tenant: str, name: str) -> list[str]:
    """The workers of a run that are at work."""
    pods = tenants.pods(tenant, name, "worker")
    return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]


@pytest.mark.core
def test_a_killed_worker_costs_a_run_nothing_but_time(acme):
    name = tenants.submit(acme, "battery-health", **FLEET)
    wait_for(f"a worker of {name}", lambda: running_workers(acme, name), seconds=180, every=0.5)
    time.sleep(3)  # so that it has work in hand
    victim = running_workers(acme, name)[0]
    kubectl("-n", tenants.namespace(acme), "delete", "pod", victim, "--grace-period=0", "--force")
    say(f"killed {victim}")
    ended = tenants.wait_for_end(acme, name, seconds=600)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    tenants.wait_until_clear(acme, name, seconds=120)
