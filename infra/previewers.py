"""What whoever previews may see in the cluster, besides what EKS's own view policy has: never a secret.

`AmazonEKSViewPolicy` leaves out roles, what belongs to no namespace, and what charts define; a program
compares with those too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cluster import PREVIEWERS

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

NAME = "lightwork-previewers"
RBAC = "rbac.authorization.k8s.io"
LABELS = {"app.kubernetes.io/part-of": "lightwork"}

SEEN = {
    "": ["namespaces", "serviceaccounts"],
    RBAC: ["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
    "apiextensions.k8s.io": ["customresourcedefinitions"],
    "argoproj.io": ["clusterworkflowtemplates", "cronworkflows", "workflowtemplates"],
    "external-secrets.io": ["clustersecretstores", "externalsecrets", "secretstores"],
    "monitoring.coreos.com": ["podmonitors", "prometheusrules", "servicemonitors"],
    "networking.k8s.io": ["networkpolicies"],
    "storage.k8s.io": ["storageclasses"],
}
"""By API group. No secrets, and no workflows: their parameters are a customer's."""


def manifests() -> list[Manifest]:
    """A ClusterRole that reads those, and its binding to the group of the previewing role's access entry."""
    metadata = {"name": NAME, "labels": LABELS}
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": metadata,
            "rules": [
                {"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]}
                for group, resources in SEEN.items()
            ],
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": PREVIEWERS}],
        },
    ]
