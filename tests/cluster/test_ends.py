"""However a run ends, two minutes later nothing of it is left."""

from __future__ import annotations

import json

import pytest

from tests.cluster import tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import say, wait_for


@pytest.fixture
def running(acme) -> str:
    """A run of many minutes whose first worker is at work."""
    name = tenants.submit(acme, "battery-health", fleet="2000", days="7")

    def working() -> bool:
        return any(pod["status"]["phase"] == "Running" for pod in tenants.pods(acme, name, "worker"))

    try:
        wait_for(f"a worker of {name}", working, seconds=180, every=1)
    except Exception:
        say(tenants.describe(acme, name))
        raise
    return name


def ask(tenant: str, name: str, how: str) -> None:
    """What `argo stop` and `argo terminate` do."""
    patch = json.dumps({"spec": {"shutdown": how}})
    kubectl("-n", tenants.namespace(tenant), "patch", "workflow", name, "--type=merge", "-p", patch)


@pytest.mark.core
def test_terminate_leaves_nothing(acme, running):
    ask(acme, running, "Terminate")
    took = tenants.wait_until_clear(acme, running, seconds=120)
    say(f"figure: terminate, nothing left after {took:.0f} s")


def test_stop_leaves_nothing(acme, running):
    ask(acme, running, "Stop")
    took = tenants.wait_until_clear(acme, running, seconds=120)
    say(f"figure: stop, nothing left after {took:.0f} s")


def test_a_deleted_workflow_leaves_nothing(acme, running):
    kubectl("-n", tenants.namespace(acme), "delete", "workflow", running, "--wait=false")
    took = tenants.wait_until_clear(acme, running, seconds=120)
    say(f"figure: delete, nothing left after {took:.0f} s")
