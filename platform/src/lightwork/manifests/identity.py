"""The service accounts of a tenant's pods, and their few rights at the Kubernetes API.

The accounts in `contract.LAKE_ACCOUNTS`, `step` and `controller` are bound to identities in the cloud by
name, outside this module.

A step that is a plain container has an account of its own, `step`. The driver's account could scale any run's
workers and patch any pod. The worker's account has no token, but Argo's container in the pod needs one to
report how the step ended and its outputs.
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
"""Lets Argo's container in a pod report its result."""

MANAGE = ["create", "get", "list", "patch", "delete"]
"""Needed to apply an object and to delete it by its labels; a retried apply patches the existing object."""

_FIGURES: dict[str, Any] = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "resourceNames": [contract.FIGURES],
}

RULES: dict[str, list[dict[str, Any]]] = {
    # Creates and deletes a run's objects. Its pods run only Argo's code.
    contract.ACCOUNT_SCALER: [
        REPORT,
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": MANAGE},
        {"apiGroups": [""], "resources": ["services"], "verbs": MANAGE},
    ],
    # Runs the pipeline. It waits for the scheduler's Service, sets the number of workers, marks idle ones to
    # be removed first, reads why others were lost and what their pods log, and starts a scheduler anew that
    # trusts another authority.
    contract.ACCOUNT_DRIVER: [
        REPORT,
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    ],
    # Runs a step that is a plain container.
    contract.ACCOUNT_STEP: [REPORT],
    # Watches runs, and ends those whose pods do not start. Leaves figures of the pipelines.
    contract.ACCOUNT_CONTROLLER: [
        {"apiGroups": ["argoproj.io"], "resources": ["cronworkflows"], "verbs": ["list"]},
        {**_FIGURES, "verbs": ["get", "patch"]},
        {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["list", "patch"]},
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
    ],
    # Creates the certificates, and says when they end. `create` cannot be limited to names; `get` and `patch`
    # are.
    contract.ACCOUNT_CERTIFICATES: [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [contract.TLS_AUTHORITY, contract.TLS],
            "verbs": ["get", "patch"],
        },
        {**_FIGURES, "verbs": ["patch"]},
    ],
}


def accounts(tenant: Tenant) -> list[Manifest]:
    """Return the service accounts; only those that use the API have a token mounted.

    They include `default`, so that a pod without an account has no token either.
    """
    return [
        manifest("v1", "ServiceAccount", name, tenant, automountServiceAccountToken=name in RULES)
        for name in ("default", contract.ACCOUNT_SCHEDULER, contract.ACCOUNT_WORKER, *RULES)
    ]


def roles(tenant: Tenant) -> list[Manifest]:
    """Return a Role and a RoleBinding for each account that uses the API."""
    objects = []
    for name, rules in RULES.items():
        objects.append(manifest(RBAC, "Role", name, tenant, rules=rules))
        objects.append(
            manifest(
                RBAC,
                "RoleBinding",
                name,
                tenant,
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                subjects=[{"kind": "ServiceAccount", "name": name, "namespace": tenant.namespace}],
            )
        )
    return objects
