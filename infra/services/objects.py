"""Kubernetes objects of what runs for everybody. Pure: text that is known only later is in `<<...>>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.config import accounts
from infra.config.accounts import PREVIEWERS
from infra.services import alerts, dashboards
from infra.services.charts import argo, monitoring
from lightwork import manifests
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest


LEVELS = {
    argo.NAMESPACE: "restricted",
    accounts.SECRETS.namespace: "restricted",
    # The node exporter sees the node's own network and processes.
    monitoring.NAME: "privileged",
    # The shipper reads the files of all pods' logs on its node.
    accounts.SHIPPER.namespace: "privileged",
}
"""The namespaces, and the least that Pod Security asks of their pods."""

STORAGE_CLASS = "lightwork-encrypted"
ARCHIVE_SECRET = "argo-archive"  # noqa: S105  (its name)
STORE = "estate"
STORE_API = "external-secrets.io/v1"
LABELS = {"app.kubernetes.io/part-of": "lightwork"}


def namespaces(names: tuple[str, ...] = tuple(LEVELS)) -> list[Manifest]:
    """The namespaces of the platform."""
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
    """The disks of what runs for everybody: encrypted, and in the zone of the pod that asks."""
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
    """The account of the Jobs that set OpenSearch up, which EKS makes the domain's master."""
    account = accounts.SEARCH_ADMIN
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": account.name, "namespace": account.namespace, "labels": LABELS},
        "automountServiceAccountToken": False,
    }


def argo_settings(cluster: str, *, host: str | None, sso: argo_config.SSO | None = None) -> Manifest:
    """The ConfigMap of Argo's controller and server.

    Args:
        cluster: this cluster's name in the archive.
        host: the archive's host name; None if there is none.
        sso: who knows the people; None if nobody.
    """
    # RDS's authority is on no public list, and Argo takes no other: so encrypted, and not verified.
    database = argo_config.Database(host=host, secret=ARCHIVE_SECRET, ssl_mode="require") if host else None
    found: Manifest = argo_config.config_map(
        argo_config.Argo(database=database, cluster=cluster, namespace=argo.NAMESPACE, sso=sso)
    )
    return found


def argo_secrets(*, archive_arn: str, sso_name: str, region: str) -> list[Manifest]:
    """What brings Argo's two secrets into its namespace: the archive's password, and the identity provider's.

    Args:
        archive_arn: the secret in which RDS keeps the password, and changes it.
        sso_name: the name of the secret with `client-id` and `client-secret`.
        region: where they are.
    """
    store: Manifest = {
        "apiVersion": STORE_API,
        "kind": "SecretStore",
        "metadata": {"name": STORE, "namespace": argo.NAMESPACE, "labels": LABELS},
        "spec": {"provider": {"aws": {"service": "SecretsManager", "region": region}}},
    }
    return [
        store,
        _brought(ARCHIVE_SECRET, archive_arn, ("username", "password")),
        _brought(argo.SSO_SECRET, sso_name, ("client-id", "client-secret")),
    ]


def _brought(name: str, key: str, properties: tuple[str, ...]) -> Manifest:
    return {
        "apiVersion": STORE_API,
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": argo.NAMESPACE, "labels": LABELS},
        "spec": {
            # RDS changes its password every week; for this long the old one is tried.
            "refreshInterval": "1m",
            "secretStoreRef": {"kind": "SecretStore", "name": STORE},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [{"secretKey": item, "remoteRef": {"key": key, "property": item}} for item in properties],
        },
    }


def watching() -> list[Manifest]:
    """What Prometheus asks and alerts of, and what Grafana shows."""
    return [
        alerts.dask_monitor(monitoring.NAME),
        alerts.rules(monitoring.NAME),
        *dashboards.config_maps(monitoring.NAME),
    ]


def shared() -> list[Manifest]:
    """What all tenants' runs are made by: the scaler's template."""
    found: list[dict[str, Any]] = manifests.cluster_objects()
    return found


PREVIEWERS_NAME = "lightwork-previewers"
RBAC = "rbac.authorization.k8s.io"

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


def previewers() -> list[Manifest]:
    """A ClusterRole that reads those, and its binding to the group of the previewing role's access entry."""
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
