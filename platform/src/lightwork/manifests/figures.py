"""The ConfigMap with figures of a tenant's pipelines, and the right of the platform's metrics to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.kube import contract
from lightwork.manifests.base import Target, manifest
from lightwork.manifests.identity import RBAC

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant


def objects(tenant: Tenant, target: Target) -> list[Manifest]:
    """Return the ConfigMap, without content, and the Role by which the platform reads it and nothing else."""
    figures = manifest("v1", "ConfigMap", contract.FIGURES, tenant)
    figures["metadata"]["annotations"] = {
        contract.ANNOTATION_PIPELINES: ",".join(sorted(tenant.pipelines)),
        contract.ANNOTATION_BUDGET: str(tenant.budget),
    }
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [contract.FIGURES],
        "verbs": ["get"],
    }
    subject = {"kind": "ServiceAccount", "name": contract.WATCH, "namespace": target.monitoring_namespace}
    return [
        figures,
        manifest(RBAC, "Role", contract.FIGURES, tenant, rules=[rule]),
        manifest(
            RBAC,
            "RoleBinding",
            contract.FIGURES,
            tenant,
            roleRef={"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": contract.FIGURES},
            subjects=[subject],
        ),
    ]
