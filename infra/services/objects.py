"""The Kubernetes objects of the shared services. Pure: `<<...>>` stands for outputs of other resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.config import accounts
from infra.config.accounts import PREVIEWERS
from infra.services import alerts, archive_login, dashboards, monitors
from infra.services.charts import argo, monitoring
from lightwork import manifests
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest


LEVELS = {
    argo.NAMESPACE: "restricted",
    accounts.SECRETS.namespace: "restricted",
    # The node exporter needs the node's network and processes.
    monitoring.NAME: "privileged",
    # The log shipper reads the log files of all pods on its node.
    accounts.SHIPPER.namespace: "privileged",
}
"""The namespaces, with the Pod Security level of each."""

STORAGE_CLASS = "lightwork-encrypted"
STORE = "estate"
STORE_API = "external-secrets.io/v1"
LABELS = {"app.kubernetes.io/part-of": "lightwork"}


def namespaces(names: tuple[str, ...] = tuple(LEVELS)) -> list[Manifest]:
    """Build the namespaces of the shared services."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {
                    **LABELS,
                    **{
                        f"pod-security.kubernetes.io/{mode}": LEVELS[name]
                        for mode in ("enforce", "audit", "warn")
                    },
                },
            },
        }
        for name in names
    ]


def storage_class() -> Manifest:
    """Build the storage class of the shared services: encrypted disks, in the zone of their pod."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "labels": LABELS},
        "provisioner": "ebs.csi.aws.com",
        "parameters": {"type": "gp3", "encrypted": "true"},
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    }


def search_account() -> Manifest:
    """Build the service account of the Jobs that configure OpenSearch, whose role is the master user."""
    account = accounts.SEARCH_ADMIN
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": account.name, "namespace": account.namespace, "labels": LABELS},
        "automountServiceAccountToken": False,
    }


def argo_settings(cluster: str, *, host: str | None, sso: argo_config.SSO | None = None) -> Manifest:
    """Build the ConfigMap of Argo's controller and server.

    Args:
        cluster: this cluster's name in the archive.
        host: the archive's host name; None for no archive.
        sso: the identity provider; None for no login.
    """
    # `require` encrypts without verifying: no public list has RDS's CA, and Argo cannot be given another.
    database = (
        argo_config.Database(host=host, secret=archive_login.SECRET, ssl_mode="require") if host else None
    )
    config_map: Manifest = argo_config.config_map(
        argo_config.Argo(database=database, cluster=cluster, namespace=argo.NAMESPACE, sso=sso)
    )
    return config_map


def argo_secrets(*, sso_name: str, region: str) -> list[Manifest]:
    """Build the objects that copy the identity provider's client into Argo's namespace.

    Args:
        sso_name: the name of the secret with `client-id` and `client-secret`.
        region: its region.
    """
    return _client(STORE, argo.NAMESPACE, argo.SSO_SECRET, sso_name, region)


def grafana_secrets(*, sso_name: str, region: str) -> list[Manifest]:
    """Build the objects that copy the identity provider's client into Grafana's namespace.

    Args:
        sso_name: the name of the secret with `client-id` and `client-secret`.
        region: its region.
    """
    return _client(f"{STORE}-grafana", monitoring.NAME, monitoring.LOGIN_SECRET, sso_name, region)


def _client(store_name: str, namespace: str, name: str, key: str, region: str) -> list[Manifest]:
    """Build a SecretStore and an ExternalSecret with the identity provider's client."""
    store: Manifest = {
        "apiVersion": STORE_API,
        "kind": "SecretStore",
        "metadata": {"name": store_name, "namespace": namespace, "labels": LABELS},
        "spec": {"provider": {"aws": {"service": "SecretsManager", "region": region}}},
    }
    secret: Manifest = {
        "apiVersion": STORE_API,
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace, "labels": LABELS},
        "spec": {
            "refreshInterval": "1m",
            "secretStoreRef": {"kind": "SecretStore", "name": store_name},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [
                {"secretKey": item, "remoteRef": {"key": key, "property": item}}
                for item in ("client-id", "client-secret")
            ],
        },
    }
    return [store, secret]


def watching() -> list[Manifest]:
    """Build Prometheus' monitors and alerts, and Grafana's dashboards."""
    return [
        monitors.dask(monitoring.NAME),
        monitors.pipelines(monitoring.NAME),
        alerts.rules(monitoring.NAME),
        *dashboards.config_maps(monitoring.NAME),
    ]


def shared() -> list[Manifest]:
    """Build what all tenants share: the scaler's template, and the policies about what their people write."""
    cluster_objects: list[dict[str, Any]] = manifests.cluster_objects()
    return cluster_objects


PREVIEWERS_NAME = "lightwork-previewers"
RBAC = "rbac.authorization.k8s.io"

SEEN = {
    "": ["namespaces", "serviceaccounts"],
    "admissionregistration.k8s.io": [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ],
    RBAC: ["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
    "apiextensions.k8s.io": ["customresourcedefinitions"],
    "argoproj.io": ["clusterworkflowtemplates", "cronworkflows", "workflowtemplates"],
    "external-secrets.io": ["clustersecretstores", "externalsecrets", "secretstores"],
    "monitoring.coreos.com": ["podmonitors", "prometheusrules", "servicemonitors"],
    "networking.k8s.io": ["networkpolicies"],
    "storage.k8s.io": ["storageclasses"],
}
"""The kinds that previews read, by API group. No Secrets; no workflows, as parameters are tenants' data."""


def previewers() -> list[Manifest]:
    """Build a ClusterRole that reads those kinds, and its binding to the previewing role's group."""
    metadata = {"name": PREVIEWERS_NAME, "labels": LABELS}
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
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": PREVIEWERS_NAME},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": PREVIEWERS}],
        },
    ]
