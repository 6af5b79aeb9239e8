"""Who a tenant's pods are to the Kubernetes API, and the little that they may do there.

The cloud's identity is bound to the accounts of `contract.LAKE_ACCOUNTS` by their names, outside this module.

A step that is a plain container has the account `step`: the driver's would let it change the number of any
run's workers and mark any pod, and the worker's has no token, without which Argo's own container beside it
could not say how the step ended and what it wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests.base import manifest

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

RBAC = "rbac.authorization.k8s.io/v1"

REPORT = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
"""How Argo's containers in a pod say what came out."""

MANAGE = ["create", "get", "list", "patch", "delete"]
"""To apply an object and to delete it by its labels; an apply that is tried again finds it there already."""

RULES: dict[str, list[dict[str, Any]]] = {
    # Makes a run's objects and deletes them. Its pods run nobody's code but Argo's.
    contract.ACCOUNT_SCALER: [
        REPORT,
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": MANAGE},
        {"apiGroups": [""], "resources": ["services"], "verbs": MANAGE},
    ],
    # Runs the pipeline. It waits for the scheduler's Service, sets the number of workers, and marks the idle
    # ones as the first to go.
    contract.ACCOUNT_DRIVER: [
        REPORT,
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    ],
    # Runs a step that is a plain container.
    contract.ACCOUNT_STEP: [REPORT],
    # Makes the certificates. `create` cannot be bound to a name; what exists it can only touch under its own.
    contract.ACCOUNT_CERTIFICATES: [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [contract.TLS_AUTHORITY, contract.TLS],
            "verbs": ["get", "patch"],
        },
    ],
}


def accounts(tenant: Tenant) -> list[Manifest]:
    """The service accounts; only those with something to do at the API have a token mounted.

    The account `default` is among them, so that a pod that names none has no token either.
    """
    return [
        manifest("v1", "ServiceAccount", name, tenant, automountServiceAccountToken=name in RULES)
        for name in ("default", contract.ACCOUNT_SCHEDULER, contract.ACCOUNT_WORKER, *RULES)
    ]


def roles(tenant: Tenant) -> list[Manifest]:
    """A Role and a RoleBinding for each account that has anything to do at the API."""
    made = []
    for name, rules in RULES.items():
        made.append(manifest(RBAC, "Role", name, tenant, rules=rules))
        made.append(
            manifest(
                RBAC,
                "RoleBinding",
                name,
                tenant,
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                subjects=[{"kind": "ServiceAccount", "name": name, "namespace": tenant.namespace}],
            )
        )
    return made
