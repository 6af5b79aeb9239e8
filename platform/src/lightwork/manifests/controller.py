"""The process that watches a tenant's runs: one Deployment in the tenant's namespace.

docs/decisions/runs-are-watched.md has the reasons. The Deployment runs `lightwork.pods.controller` in the
platform's image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.kube import contract
from lightwork.manifests import base
from lightwork.manifests.base import Target, labels, manifest, resources_for
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

NAME = "controller"


def deployment(tenant: Tenant, target: Target) -> Manifest:
    """Return the Deployment. Two processes never run at once: both would write the same records."""
    container = {
        "name": NAME,
        "image": target.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lightwork.pods.controller"],
        "envFrom": [{"configMapRef": {"name": contract.SETTINGS}}],
        "env": [{"name": contract.ENV_ROLE, "value": NAME}, *base.lake_keys(target).get("env", [])],
        "resources": resources_for(fit.CONTROLLER, cpu_limit="500m"),
        "securityContext": base.container_security(),
    }
    pod = {
        "serviceAccountName": contract.ACCOUNT_CONTROLLER,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
    }
    selector = {contract.LABEL_TENANT: tenant.name, contract.LABEL_ROLE: NAME}
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": labels(tenant, role=NAME)}, "spec": pod},
    }
    item = manifest("apps/v1", "Deployment", NAME, tenant, spec=spec)
    if target.lake_keys:
        # The Secret with the keys is made in the namespace, so after it: the pod starts once it is there.
        item["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    return item
