"""Shared parts of all manifests: labels, sizes, security contexts, and the target environment."""

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
    """The environment that manifests are built for: everything that is not in the tenant's file.

    Attributes:
        environment: `dev`, `staging` or `prod`.
        image: the platform's image, with its tag or digest.
        lake: the URL of the tenant's lake: `s3://bucket` or `s3://bucket/prefix`.
        variables: further environment variables of the tenant's pods, such as AWS_REGION. AWS_ENDPOINT_URL is
            the S3 server, if it is not AWS.
        lake_keys: the Secret in the tenant's namespace with the lake's keys, under their names as environment
            variables; None where the pods' identity opens the lake.
        prices: the prices of workers as JSON, for the history of runs; empty if there are none.
        argo_namespace: the namespace of Argo's controller and server.
        monitoring_namespace: the namespace of Prometheus.
        api_servers: the address ranges (CIDR) of the Kubernetes API: its Service's and its servers' own, as
            policies are enforced before or after the translation of a Service's address.
        api_ports: the ports of the Kubernetes API at these addresses.
        inside: the address ranges (CIDR) of the cluster's pods and services, which "to AWS" excludes.
    """

    environment: Environment
    image: str
    lake: str
    variables: Mapping[str, str] = field(default_factory=dict)
    lake_keys: str | None = None
    prices: str = ""
    argo_namespace: str = "argo"
    monitoring_namespace: str = "monitoring"
    api_servers: tuple[str, ...] = ("0.0.0.0/0",)
    api_ports: tuple[int, ...] = (443, 6443)
    inside: tuple[str, ...] = ("169.254.0.0/16",)


KEYS = {"accessKeySecret": "AWS_ACCESS_KEY_ID", "secretKeySecret": "AWS_SECRET_ACCESS_KEY"}
"""The keys of a lake in a Secret, by the fields of Argo's artifact repositories."""


def labels(tenant: Tenant, **more: str) -> dict[str, str]:
    """Return the labels of a tenant's objects; `role="driver"` becomes `lightwork/role: driver`."""
    return {
        "app.kubernetes.io/part-of": "lightwork",
        LABEL_TENANT: tenant.name,
        **{f"lightwork/{name}": value for name, value in more.items()},
    }


def manifest(api: str, kind: str, name: str, tenant: Tenant, **content: Any) -> Manifest:
    """Return an object in a tenant's namespace."""
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": labels(tenant)},
        **content,
    }


def resources(cpu: str, memory: str, storage: str, *, cpu_limit: str | None = None) -> dict[str, Any]:
    """Return requests and limits of a container. They are equal, except that more cores may be allowed.

    Args:
        cpu: the request for processor cores.
        memory: request and limit of memory.
        storage: request and limit of ephemeral storage.
        cpu_limit: the limit of processor cores, if it is higher than the request.
    """
    equal = {"memory": memory, "ephemeral-storage": storage}
    return {"requests": {"cpu": cpu, **equal}, "limits": {"cpu": cpu_limit or cpu, **equal}}


def resources_for(need: fit.Need, *, cpu_limit: str | None = None) -> dict[str, Any]:
    """Return requests and limits, as `resources` does, for a need that the fit check counts."""
    return resources(
        quantities.cores(need.cpu),
        quantities.size(need.memory),
        quantities.size(need.storage),
        cpu_limit=cpu_limit,
    )


def container_security() -> dict[str, Any]:
    """Return the container settings that Pod Security `restricted` requires."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security() -> dict[str, Any]:
    """Return the pod settings that Pod Security `restricted` requires; the group may read mounted secrets."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def lake_keys(target: Target) -> dict[str, Any]:
    """Return a container's variables with the lake's keys, where the pods' identity does not open it."""
    if target.lake_keys is None:
        return {}
    return {
        "env": [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": target.lake_keys, "key": variable}}}
            for variable in KEYS.values()
        ]
    }


def never_spot() -> dict[str, Any]:
    """Return the affinity of pods that must not be reclaimed: no spot nodes, whichever label marks them."""
    not_spot = [
        {"key": LABEL_SPOT, "operator": "NotIn", "values": ["true"]},
        {"key": "eks.amazonaws.com/capacityType", "operator": "NotIn", "values": ["SPOT"]},
    ]
    required = {"nodeSelectorTerms": [{"matchExpressions": not_spot}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
