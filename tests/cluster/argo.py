"""Argo Workflows: its own manifests, with locally built images and the platform's configuration."""

from __future__ import annotations

from typing import Any

import yaml

from lightwork.manifests import argo_config, cluster_objects
from tests.cluster import stores
from tests.cluster.binaries import argo_manifests
from tests.cluster.images import argo_image
from tests.cluster.kube import apply, kubectl
from tests.cluster.settings import POSTGRES_PORT, host, versions

NAMESPACE = "argo"
_USER = 10002
_CLUSTER_WIDE = (
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
    "Namespace",
)


def install() -> None:
    """Install Argo, and wait until the controller and the server are ready."""
    documents = yaml.safe_load_all(kubectl("kustomize", str(argo_manifests() / "cluster-install")))
    objects = [item for item in documents if item]
    definitions = [item for item in objects if item["kind"] == "CustomResourceDefinition"]
    others = [item for item in objects if item not in definitions and item["kind"] != "ConfigMap"]
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *definitions])
    for item in definitions:
        name = item["metadata"]["name"]
        kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s", timeout=70)
    apply([_archive_secret(), *(_adapted(item) for item in others)])
    configure()
    wait_until_ready()


def configure() -> None:
    """Apply what the platform's own code makes: the controller's configuration, and the scaler's template."""
    apply([configuration(), *cluster_objects()])


def wait_until_ready() -> None:
    """Wait until the controller and the server are ready."""
    for name in ("workflow-controller", "argo-server"):
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=180s", timeout=190)


def configuration() -> dict[str, Any]:
    """Build the controller's ConfigMap with the platform's own code."""
    database = argo_config.Database(host=host(), port=POSTGRES_PORT, ssl_mode="disable")
    config_map: dict[str, Any] = argo_config.config_map(
        argo_config.Argo(database=database, cluster="tests", namespace=NAMESPACE)
    )
    return config_map


def _archive_secret() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "argo-archive", "namespace": NAMESPACE},
        "stringData": {"username": stores.ARCHIVE_USER, "password": stores.password("archive")},
    }


def _adapted(item: dict[str, Any]) -> dict[str, Any]:
    """Adapt one of Argo's objects: our images, and a user, because our images do not set one."""
    if item["kind"] not in _CLUSTER_WIDE:
        item["metadata"].setdefault("namespace", NAMESPACE)
    for subject in item.get("subjects", []):
        subject.setdefault("namespace", NAMESPACE)
    if item["kind"] != "Deployment":
        return item
    # As Argo's chart does.
    item["metadata"].setdefault("labels", {})["app.kubernetes.io/version"] = versions()["modules"]["argo"]
    pod = item["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER}
    container = pod["containers"][0]
    container["image"] = argo_image()
    container["imagePullPolicy"] = "IfNotPresent"
    container.setdefault("env", [])
    if item["metadata"]["name"] == "workflow-controller":
        container["args"] = ["--executor-image", argo_image(), "--log-format", "json"]
        container["env"].append({"name": "DEFAULT_REQUEUE_TIME", "value": "1s"})
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": 6060}, "periodSeconds": 1}
    else:
        container["command"] = ["argo"]
        container["args"] = ["server", "--auth-mode", "client", "--log-format", "json"]
        container["readinessProbe"].update({"initialDelaySeconds": 1, "periodSeconds": 1})
    return item
