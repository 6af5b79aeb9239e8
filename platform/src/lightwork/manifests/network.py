"""A tenant's NetworkPolicies: everything is denied except the connections listed here.

A policy names addresses and ports, not hosts, so "AWS" means port 443 of everything outside the cluster. An
S3 server of one's own has a policy of its own. A pod's credentials decide what it may do there.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lightwork.kube import contract
from lightwork.manifests.base import Target, manifest

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

POD_IDENTITY = "169.254.170.23/32"
"""The address that serves pods the credentials of their role (EKS Pod Identity)."""
ANYWHERE = "0.0.0.0/0"

SCHEDULER, WORKER, DRIVER, SCALER, CERTIFICATES = "scheduler", "worker", "driver", "scaler", "certificates"
CONTROLLER, HISTORY = "controller", "history"
STEP = "step"
"""A step that is a plain container: it reaches the lake, but not Dask."""
DASK = (SCHEDULER, WORKER, DRIVER)
"""The roles of a run. They may reach pods of the tenant's other runs, but not of other tenants."""
LAKE = (DRIVER, WORKER, CONTROLLER, HISTORY, STEP)
"""The roles that reach the lake."""
_SERVICE = re.compile(r"[^.]+\.(?P<namespace>[^.]+)\.svc(\..+)?", re.IGNORECASE)


def policies(tenant: Tenant, target: Target) -> list[Manifest]:
    """Return a tenant's NetworkPolicies: the first denies everything, each other one allows something."""
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": target.monitoring_namespace}}
    }
    outside = _block(ANYWHERE, target.inside)
    api = [_block(cidr, target.inside) for cidr in target.api_servers]
    scheduler, worker = _ports(contract.SCHEDULER_PORT), _ports(contract.WORKER_PORT, contract.NANNY_PORT)
    return [
        manifest(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "default-deny",
            tenant,
            spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        ),
        _policy(tenant, "dns", (), egress=[{"to": [dns], "ports": [_port(53, "UDP"), _port(53)]}]),
        _policy(
            tenant,
            "api",
            (DRIVER, SCALER, CERTIFICATES, CONTROLLER, STEP),
            egress=[{"to": api, "ports": _ports(*target.api_ports)}],
        ),
        _policy(
            tenant,
            "aws",
            LAKE,
            egress=[
                {"to": [{"ipBlock": {"cidr": POD_IDENTITY}}], "ports": _ports(80)},
                {"to": [outside], "ports": _ports(443)},
            ],
        ),
        *_s3(tenant, target, outside),
        _policy(
            tenant,
            "dask-scheduler",
            (SCHEDULER,),
            ingress=[{"from": [_pods(WORKER, DRIVER)], "ports": scheduler}],
        ),
        _policy(tenant, "dask-worker", (WORKER,), ingress=[{"from": [_pods(*DASK)], "ports": worker}]),
        _policy(
            tenant,
            "dask-out",
            DASK,
            egress=[
                {"to": [_pods(SCHEDULER)], "ports": scheduler},
                {"to": [_pods(WORKER)], "ports": worker},
            ],
        ),
        _policy(
            tenant,
            "metrics",
            (SCHEDULER, WORKER),
            ingress=[{"from": [monitoring], "ports": _ports(contract.DASHBOARD_PORT)}],
        ),
    ]


def server(url: str) -> tuple[str, int]:
    """Return the host and the port of a URL such as `http://s3.example:7070`.

    Raises:
        ValueError: it has no host, or a port that is not a number.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the host is missing")
    port = parts.port if parts.port is not None else 80 if parts.scheme == "http" else 443
    return parts.hostname, port


def _s3(tenant: Tenant, target: Target, outside: dict[str, Any]) -> list[Manifest]:
    """Return the policy that opens an S3 server other than AWS; none if the lake is on AWS."""
    url = target.variables.get("AWS_ENDPOINT_URL")
    if not url:
        return []
    host, port = server(url)
    return [_policy(tenant, "s3", LAKE, egress=[{"to": [_host(host, outside)], "ports": _ports(port)}])]


def _host(host: str, outside: dict[str, Any]) -> dict[str, Any]:
    """Return a host as a peer. A name outside the cluster can be at any address outside it."""
    if service := _SERVICE.fullmatch(host):
        namespace = service["namespace"].lower()
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    try:
        return {"ipBlock": {"cidr": str(ipaddress.ip_network(host))}}
    except ValueError:
        return outside


def _policy(
    tenant: Tenant,
    name: str,
    roles: tuple[str, ...],
    *,
    ingress: list[dict[str, Any]] | None = None,
    egress: list[dict[str, Any]] | None = None,
) -> Manifest:
    """Return a policy for the pods of these roles, or for all the tenant's pods if there are none."""
    spec: dict[str, Any] = {"podSelector": _roles(*roles) if roles else {}, "policyTypes": []}
    if ingress is not None:
        spec["policyTypes"].append("Ingress")
        spec["ingress"] = ingress
    if egress is not None:
        spec["policyTypes"].append("Egress")
        spec["egress"] = egress
    return manifest("networking.k8s.io/v1", "NetworkPolicy", name, tenant, spec=spec)


def _block(cidr: str, inside: tuple[str, ...]) -> dict[str, Any]:
    """Return an address range as a peer, except the parts of it that are inside the cluster."""
    network = ipaddress.ip_network(cidr)
    ranges = [item for item in map(ipaddress.ip_network, inside) if item.version == network.version]
    excepted = [
        str(item)
        for item in ranges
        if item.prefixlen > network.prefixlen and item.subnet_of(network)  # type: ignore[arg-type]
    ]
    return {"ipBlock": {"cidr": cidr, **({"except": excepted} if excepted else {})}}


def _roles(*roles: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": contract.LABEL_ROLE, "operator": "In", "values": list(roles)}]}


def _pods(*roles: str) -> dict[str, Any]:
    """Return the pods of these roles as a peer; without a namespace selector it means the policy's own."""
    return {"podSelector": _roles(*roles)}


def _ports(*numbers: int) -> list[dict[str, Any]]:
    return [_port(number) for number in numbers]


def _port(number: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"protocol": protocol, "port": number}
