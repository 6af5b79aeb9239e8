"""What all manifests share: names, labels, ports, security contexts, and the target they are made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.kube.contract import LABEL_SPOT, LABEL_TENANT, USER, Manifest
from lightwork.tenants import fit, quantities

if TYPE_CHECKING:
    from lightwork.tenants.fields import Environment
    from lightwork.tenants.model import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known of the environment that manifests are made for, and not in the tenant's file.

    Attributes:
        environment: `dev`, `staging` or `prod`.
        image: the platform's image, with its tag or digest.
        lake: the address of the tenant's lake: `s3://bucket` or `s3://bucket/prefix`.
        variables: more of the environment of the tenant's pods, such as AWS_REGION.
        argo_namespace: where Argo's controller and server run.
        monitoring_namespace: where Prometheus runs.
        api_servers: the addresses (CIDR) of the Kubernetes API, after any translation.
        api_ports: its ports there.
        inside: the addresses of the cluster's pods and services, which "443 to AWS" must not mean.
    """

    environment: Environment
    image: str
    lake: str
    variables: Mapping[str, str] = field(default_factory=dict)
    argo_namespace: str = "argo"
    monitoring_namespace: str = "monitoring"
    api_servers: tuple[str, ...] = ("0.0.0.0/0",)
    api_ports: tuple[int, ...] = (443, 6443)
    inside: tuple[str, ...] = ("169.254.0.0/16",)


def labels(tenant: Tenant, **more: str) -> dict[str, str]:
    """The labels of a tenant's objects; `role="driver"` becomes `lightwork/role`."""
    return {
        "app.kubernetes.io/part-of": "lightwork",
        LABEL_TENANT: tenant.name,
        **{f"lightwork/{name}": value for name, value in more.items()},
    }


def manifest(api: str, kind: str, name: str, tenant: Tenant, **content: Any) -> Manifest:
    """An object in a tenant's namespace."""
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": labels(tenant)},
        **content,
    }


def resources(cpu: str, memory: str, storage: str, *, cpu_limit: str | None = None) -> dict[str, Any]:
    """Requests and limits of a container; what it is promised is what it gets, but for idle processors.

    Args:
        cpu: processor cores promised.
        memory: bytes of memory, promised and allowed.
        storage: bytes of the node's disk, promised and allowed.
        cpu_limit: processor cores allowed, where that is more than promised.
    """
    same = {"memory": memory, "ephemeral-storage": storage}
    return {"requests": {"cpu": cpu, **same}, "limits": {"cpu": cpu_limit or cpu, **same}}


def of_need(need: fit.Need, *, cpu_limit: str | None = None) -> dict[str, Any]:
    """As `resources`, of what the fit check reckons with."""
    return resources(
        quantities.cores(need.cpu),
        quantities.size(need.memory),
        quantities.size(need.storage),
        cpu_limit=cpu_limit,
    )


def container_security() -> dict[str, Any]:
    """What Pod Security `restricted` asks of a container."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security() -> dict[str, Any]:
    """What Pod Security `restricted` asks of a pod; the group is the one that may read mounted secrets."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def never_spot() -> dict[str, Any]:
    """The affinity of what must not be taken away: no node that is on spot, however it says so."""
    away = [
        {"key": LABEL_SPOT, "operator": "NotIn", "values": ["true"]},
        {"key": "eks.amazonaws.com/capacityType", "operator": "NotIn", "values": ["SPOT"]},
    ]
    required = {"nodeSelectorTerms": [{"matchExpressions": away}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
