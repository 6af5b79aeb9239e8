"""Real connections between real pods: network policies let through what a run needs, and nothing else.

The evaluator of the fast tests (`lightwork.manifests.reach`) must say the same of each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lightwork.kube import contract
from lightwork.manifests.reach import Address, Pod, Service, allowed, readings
from tests.cluster import dialing, enforcement, probes, tenants
from tests.cluster.dialing import End
from tests.cluster.kube import get, items
from tests.cluster.settings import (
    API_PORT,
    API_SERVICE_IP,
    CREDENTIALS_IP,
    DNS_SERVICE_IP,
    NODE_IP,
    POSTGRES_PORT,
    S3_PORT,
    of_current_context,
)

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(of_current_context(), reason="the cluster may enforce no policies"),
]

ROLES = {"driver": "main", "scheduler": "scheduler", "worker": "worker"}
"""The roles in a run, and the container of each."""
PORTS = (contract.SCHEDULER_PORT, contract.DASHBOARD_PORT, contract.WORKER_PORT, contract.NANNY_PORT)
KUBELET_PORT = 10250
API = (API_SERVICE_IP, 443)
DNS = (DNS_SERVICE_IP, 53)
LAKE = (NODE_IP, S3_PORT)
IDENTITY = (CREDENTIALS_IP, 80)
OTHERS = ((NODE_IP, POSTGRES_PORT), (NODE_IP, KUBELET_PORT))
SERVERS: tuple[End, ...] = (API, DNS, LAKE, IDENTITY, *OTHERS)
"""What pods could dial besides pods; all but DNS run on the node."""


@dataclass(frozen=True)
class Seen:
    """A run at work and others beside it, and who got an answer from whom.

    Attributes:
        run: the run's name.
        pods: each pod by a title such as `acme driver`.
        heard: for each pod's title, the ends that it dialed, and whether there was an answer.
    """

    run: str
    pods: dict[str, Pod]
    heard: dict[str, dict[End, bool]]

    def at(self, title: str, port: int) -> End:
        """Return a port of a pod."""
        return str(self.pods[title].address), port

    def of_run(self) -> list[End]:
        """Return every port of the run's pods."""
        return [self.at(f"acme {role}", port) for role in ROLES for port in PORTS]


def beside() -> dict[str, dict[str, Any]]:
    """Return pods that are not of the run: of its tenant, of another, and of nobody."""
    acme, globex = map(tenants.namespace, tenants.TENANTS)
    labels = {role: {contract.LABEL_ROLE: role} for role in (*ROLES, "step")}
    nobody = {"app": "beside"}
    return {
        "acme step": dialing.pod(acme, "beside-step", labels["step"]),
        "acme nobody": dialing.pod(acme, "beside", nobody),
        **{f"globex {role}": dialing.pod(globex, f"beside-{role}", labels[role]) for role in ROLES},
        "globex nobody": dialing.pod(globex, "beside", nobody),
        "stranger": enforcement.stranger(),
    }


@pytest.fixture(scope="module")
def seen(both_tenants: tuple[str, ...]) -> Iterator[Seen]:
    """Start a run of the first tenant, and let all pods dial all others while it works."""
    tenant, label, others = both_tenants[0], probes.new_label(), beside()
    try:
        dialing.start(others.values())
        run = probes.submit(tenant, label, elements=4000)
        probes.wait_until_at_work(tenant, run, label, 50)
        yield look(tenant, run, others)
    finally:
        dialing.end(others.values())


def look(tenant: str, run: str, others: Mapping[str, dict[str, Any]]) -> Seen:
    """Let the pods of a run and others dial each other, all at once."""
    where = {
        f"{tenant} {role}": (tenants.namespace(tenant), probes.running(tenant, run, role)[0], container)
        for role, container in ROLES.items()
    }
    for title, item in others.items():
        where[title] = (item["metadata"]["namespace"], item["metadata"]["name"], "main")
    pods = {title: described(*place[:2]) for title, place in where.items()}
    ends = [(str(pod.address), port) for pod in pods.values() for port in PORTS]
    heard = dialing.heard_by_all(where.values(), [*ends, *SERVERS])
    return Seen(run, pods, {title: heard[place[:2]] for title, place in where.items()})


def described(namespace: str, name: str) -> Pod:
    """Return a pod as the evaluator takes it."""
    pod = get("-n", namespace, "pod", name)
    return Pod(namespace, pod["metadata"].get("labels", {}), pod["status"]["podIP"])


def test_scheduler_dashboard_driver_and_worker_do_not_hear_another_tenant(seen: Seen) -> None:
    assert all(dialing.heard_by_the_node(end) for end in seen.of_run()), "the pods are there"
    for title in (f"globex {role}" for role in (*ROLES, "nobody")):
        assert {end for end in seen.of_run() if seen.heard[title][end]} == set(), title


def test_they_do_not_hear_a_pod_whose_own_namespace_has_no_policy(seen: Seen) -> None:
    assert {end for end in seen.of_run() if seen.heard["stranger"][end]} == set()
    assert all(seen.heard["stranger"][end] for end in SERVERS), "nothing keeps it from dialing"


def test_a_tenants_pod_does_not_reach_others_even_if_they_let_it_in(seen: Seen) -> None:
    for title in ("acme driver", "acme worker", "globex driver", "globex nobody"):
        assert not any(seen.heard[title][seen.at("stranger", port)] for port in PORTS), title


@pytest.mark.parametrize(
    ("role", "needed"),
    [
        ("driver", {API, DNS, LAKE, IDENTITY}),
        ("worker", {DNS, LAKE, IDENTITY}),
        ("scheduler", {DNS}),
        ("step", {API, DNS, LAKE, IDENTITY}),
        ("nobody", {DNS}),
    ],
)
def test_a_role_reaches_the_servers_that_it_needs_and_no_others(
    seen: Seen, role: str, needed: set[End]
) -> None:
    assert {end for end in SERVERS if seen.heard[f"acme {role}"][end]} == needed


def test_the_run_reaches_its_own_pods(seen: Seen) -> None:
    for source, to, port in (
        ("driver", "scheduler", contract.SCHEDULER_PORT),
        ("worker", "scheduler", contract.SCHEDULER_PORT),
        ("driver", "worker", contract.WORKER_PORT),
        ("scheduler", "worker", contract.NANNY_PORT),
    ):
        assert seen.heard[f"acme {source}"][seen.at(f"acme {to}", port)], (source, to)


def test_every_connection_passes_exactly_if_the_evaluator_says_so(seen: Seen) -> None:
    policies = items("networkpolicies", "--all-namespaces")
    dns = Pod("kube-system", {"k8s-app": "kube-dns"})
    services = {
        API: Service("default", *API, Address(NODE_IP), API_PORT),
        DNS: Service("kube-system", *DNS, dns, 53, dns.labels),
    }
    ends: dict[End, Pod | Address] = {
        **{end: Address(end[0]) for end in SERVERS},
        **{(str(pod.address), port): pod for pod in seen.pods.values() for port in PORTS},
    }

    def passes(source: Pod, end: End) -> bool:
        if end in services:
            return all(readings(policies, source, services[end]))
        return allowed(policies, source, ends[end], end[1])

    different = [
        (title, end, heard)
        for title, answers in seen.heard.items()
        for end, heard in answers.items()
        if end[0] != seen.pods[title].address  # what a pod dials of its own does not leave it
        and heard is not passes(seen.pods[title], end)
    ]
    assert different == []


def test_the_run_ends_well_under_its_tenants_policies(seen: Seen) -> None:
    ended = tenants.wait_for_end(tenants.TENANTS[0], seen.run, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(tenants.TENANTS[0], seen.run)
