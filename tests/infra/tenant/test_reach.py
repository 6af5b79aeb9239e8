"""The Services that a tenant's pods reach on AWS.

Each connection is judged twice: by the address that the pod dials, and by what that is translated to.
"""

from __future__ import annotations

import copy
from ipaddress import ip_network
from typing import Any

import pytest

from infra.config import subnets
from infra.offline.answers import estate as pretended
from lightwork.kube import contract
from lightwork.manifests import dask
from lightwork.manifests.reach import Address, Pod, Service, allowed, readings
from tests.infra.conftest import Deployed

API = "172.20.0.1"
BOTH, NEITHER = (True, True), (False, False)
ROLES = ("scheduler", "worker", "driver", "step", "scaler", "certificates", "controller", "history")
NEED_THE_API = ("driver", "step", "scaler", "certificates", "controller")


def policies(deployed: Deployed) -> list[dict[str, Any]]:
    return [item for item in deployed.objects().values() if item["kind"] == "NetworkPolicy"]


def pod(deployed: Deployed, role: str) -> Pod:
    return Pod(deployed.tenant.namespace, {contract.LABEL_ROLE: role})


def api(deployed: Deployed) -> list[Service]:
    """The API's Service, translated to an interface in each zone."""
    interfaces = [str(ip_network(cidr)[5]) for cidr in pretended(deployed.environment)["api_cidrs"]]
    return [Service("default", API, 443, Address(interface), 443) for interface in interfaces]


def address(deployed: Deployed) -> str:
    """Return the address of some pod in the environment's VPC."""
    return str(ip_network(pretended(deployed.environment)["vpc_cidr"])[500])


def scheduler(namespace: str, address: str) -> Service:
    """The Service of a run's scheduler, with the selector and the ports that the scaler gives it."""
    spec = dask.service()["spec"]
    port = next(item["port"] for item in spec["ports"] if item["name"] == "dask")
    end = Pod(namespace, spec["selector"], address)
    return Service(namespace, "172.20.3.3", port, end, contract.SCHEDULER_PORT, spec["selector"])


DNS = Service(
    "kube-system", "172.20.0.10", 53, Pod("kube-system", {"k8s-app": "kube-dns"}), 53, {"k8s-app": "kube-dns"}
)


def test_the_apis_address_is_the_first_of_the_services() -> None:
    assert subnets.api_address(subnets.SERVICES) == f"{API}/32"
    assert subnets.api_address("10.100.0.0/16") == "10.100.0.1/32"


@pytest.mark.parametrize("role", ROLES)
def test_pods_that_need_the_api_reach_it_and_others_do_not(deployed: Deployed, role: str) -> None:
    expected = BOTH if role in NEED_THE_API else NEITHER
    for service in api(deployed):
        assert readings(policies(deployed), pod(deployed, role), service) == expected


def test_a_policy_without_the_apis_first_address_is_found_out(deployed: Deployed) -> None:
    """Only the reading before the translation sees it, so with one reading the tests would pass."""
    faulty = copy.deepcopy(policies(deployed))
    (policy,) = [item for item in faulty if item["metadata"]["name"] == "api"]
    (rule,) = policy["spec"]["egress"]
    rule["to"].remove({"ipBlock": {"cidr": f"{API}/32"}})
    for role in NEED_THE_API:
        for service in api(deployed):
            assert readings(faulty, pod(deployed, role), service) == (False, True), role


@pytest.mark.parametrize("role", ROLES)
def test_every_pod_resolves_names(deployed: Deployed, role: str) -> None:
    assert readings(policies(deployed), pod(deployed, role), DNS, "UDP") == BOTH


def test_workers_and_drivers_reach_their_scheduler_and_strangers_do_not(deployed: Deployed) -> None:
    own = scheduler(deployed.tenant.namespace, address(deployed))
    for role in ("worker", "driver"):
        assert readings(policies(deployed), pod(deployed, role), own) == BOTH, role
    for role in ("step", "scaler", "certificates", "controller", "history"):
        assert readings(policies(deployed), pod(deployed, role), own) == NEITHER, role
    for role in ROLES:
        stranger = Pod("tenant-somebody-else", {contract.LABEL_ROLE: role})
        assert readings(policies(deployed), stranger, own) == NEITHER, f"another tenant's {role}"


def test_a_run_reaches_its_own_pods_and_the_lake_and_strangers_do_not(deployed: Deployed) -> None:
    """None of these has a Service, so that both readings are one."""
    space, at = deployed.tenant.namespace, address(deployed)
    worker = Pod(space, {contract.LABEL_ROLE: "worker"}, at)
    for port in (contract.WORKER_PORT, contract.NANNY_PORT):
        for role in ROLES:
            expected = role in ("scheduler", "worker", "driver")
            assert allowed(policies(deployed), pod(deployed, role), worker, port) is expected, role
            stranger = Pod("tenant-somebody-else", {contract.LABEL_ROLE: role}, at)
            assert not allowed(policies(deployed), stranger, worker, port), f"another tenant's {role}"
    for end, port in ((Address("52.95.1.1"), 443), (Address("169.254.170.23"), 80)):
        for role in ROLES:
            expected = role in ("driver", "worker", "step", "controller", "history")
            assert allowed(policies(deployed), pod(deployed, role), end, port) is expected, (role, end)


@pytest.mark.parametrize("role", ROLES)
def test_no_pod_reaches_what_others_serve_in_the_cluster(deployed: Deployed, role: str) -> None:
    """All of them answer on 443, as does the cloud."""
    argo = {"app": "argo-server"}
    server = Pod("argo", argo, address(deployed))
    for service in (
        Service("argo", "172.20.7.7", 443, server, 2746, argo),
        Service("argo", "172.20.7.7", 443, server, 443, argo),
        scheduler("tenant-somebody-else", address(deployed)),
    ):
        assert readings(policies(deployed), pod(deployed, role), service) == NEITHER
