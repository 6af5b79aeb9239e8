"""A tenant's namespace, and what bounds the pods in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.manifests.common import Manifest, labels, manifest, of_need
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.tenants.model import Tenant


def namespace(tenant: Tenant) -> Manifest:
    """The namespace: every pod in it must meet the Pod Security level `restricted`."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": tenant.namespace, "labels": {**labels(tenant), **level}},
    }


def quota(tenant: Tenant) -> Manifest:
    """The ResourceQuota: what the tenant's file says, and nothing that reaches out of the namespace."""
    size = tenant.quota
    hard = {
        "requests.cpu": size.cpu,
        "requests.memory": size.memory,
        "limits.memory": size.memory,
        "requests.ephemeral-storage": size.storage,
        "limits.ephemeral-storage": size.storage,
        "pods": str(size.pods),
        "persistentvolumeclaims": "0",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return manifest("v1", "ResourceQuota", "quota", tenant, spec={"hard": hard})


def limits(tenant: Tenant) -> Manifest:
    """The LimitRange: what a container gets that asks for nothing, and that none asks for more than all."""
    size = tenant.quota
    default = of_need(fit.ARGO)["limits"]
    container = {
        "type": "Container",
        "default": default,
        "defaultRequest": default,
        "max": {"cpu": size.cpu, "memory": size.memory, "ephemeral-storage": size.storage},
    }
    return manifest("v1", "LimitRange", "limits", tenant, spec={"limits": [container]})
