"""How a tenant's people come to its logs and its page: where they are, and the right to forward a port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube.contract import LOG_SEARCH, LOGS_NAMESPACE, RELAY, people_group
from lightwork.manifests import base
from lightwork.manifests.identity import RBAC

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.kube.log_store import Place
    from lightwork.tenants import Tenant


def objects(tenant: Tenant, place: Place) -> list[Manifest]:
    """Build the ConfigMap that `lightwork search` and `login` read, and the bindings of the tenant's people.

    Args:
        tenant: the tenant.
        place: where its logs and its page are.
    """
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [LOG_SEARCH],
        "verbs": ["get"],
    }
    return [
        base.manifest("v1", "ConfigMap", LOG_SEARCH, tenant, data=place.data()),
        base.manifest(RBAC, "Role", LOG_SEARCH, tenant, rules=[rule]),
        base.manifest(RBAC, "RoleBinding", LOG_SEARCH, tenant, **_binding(tenant, LOG_SEARCH)),
        {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": {
                "name": f"{RELAY}-{tenant.name}",
                "namespace": LOGS_NAMESPACE,
                "labels": base.labels(tenant),
            },
            **_binding(tenant, RELAY),
        },
    ]


def _binding(tenant: Tenant, role: str) -> dict[str, Any]:
    group = RBAC.partition("/")[0]
    return {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": people_group(tenant.name)}],
    }
