"""Who reaches the servers of the pages, by real connections through the port of the nodes and past it.

Pods with the servers' labels stand for them, and pods with addresses of their own for the balancer and the
API's interfaces: the policies name addresses, not what has them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.config.pages import DOORS
from infra.services import page
from tests.cluster import dialing
from tests.cluster.kube import apply, kubectl
from tests.cluster.settings import NODE_IP

NAMESPACE = "lightwork-pages"
CALLERS = {
    "balancer": {"app": "balancer"},
    "api": {"app": "api"},
    "stranger": {"app": "stranger"},
    "prometheus": dict(page.SERVERS["grafana"].scrapers or {}),
}


def here(manifests: list[dict]) -> list[dict]:
    """Return objects in the namespace of this test."""
    return [{**item, "metadata": {**item["metadata"], "namespace": NAMESPACE}} for item in manifests]


@pytest.fixture(scope="module")
def heard(enforced) -> Iterator[dict[str, dict[str, bool]]]:
    """Who hears which server, past the port of the nodes (`argo`) and through it (`argo by node`)."""
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    servers = [dialing.pod(NAMESPACE, name, dict(item.pods)) for name, item in page.SERVERS.items()]
    callers = [dialing.pod(NAMESPACE, name, labels) for name, labels in CALLERS.items()]
    dialing.start(callers)
    balancer, api = (f"{dialing.address(NAMESPACE, name)}/32" for name in ("balancer", "api"))
    apply(here([*page.policies([balancer], [api]), *page.services()]))
    dialing.start(servers)  # after the policies, which take a moment to be in force
    ends = {name: (dialing.address(NAMESPACE, name), item.port) for name, item in page.SERVERS.items()}
    ends |= {f"{name} by node": (NODE_IP, door.port) for name, door in DOORS.items()}

    def dialed() -> dict[str, dict[str, bool]]:
        answers = dialing.heard_by_all([(NAMESPACE, name, "main") for name in CALLERS], ends.values())
        return {
            name: {title: of_end[end] for title, end in ends.items()} for (_, name), of_end in answers.items()
        }

    try:
        # Policies and ports take a moment to be in force, and the node answers a port that it does not know.
        for _ in range(5):
            if not reached(found := dialed(), "stranger"):
                break
        yield found
    finally:
        kubectl("delete", "namespace", NAMESPACE, timeout=120)


def reached(heard: dict[str, dict[str, bool]], caller: str) -> set[str]:
    return {title for title, answered in heard[caller].items() if answered}


def test_the_balancer_reaches_the_servers_through_the_ports_of_the_nodes(heard):
    """It would not if the Service hid its address behind the node's."""
    assert reached(heard, "balancer") == {"argo", "argo by node", "grafana", "grafana by node"}


def test_the_api_reaches_the_servers_and_prometheus_grafana(heard):
    assert {"argo", "grafana"} <= reached(heard, "api")
    assert "grafana" in reached(heard, "prometheus")
    assert not {"argo", "argo by node"} & reached(heard, "prometheus")


def test_nobody_else_in_the_cluster_reaches_them_neither_way(heard):
    assert reached(heard, "stranger") == set()
