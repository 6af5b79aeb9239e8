"""Argo Workflows: its own manifests, with locally built images and the platform's configuration."""

from __future__ import annotations

from typing import Any

import yaml

from infra.services import archive_login
from infra.services.charts.common import Placement
from lightwork.manifests import argo_config, cluster_objects
from tests.cluster import stores
from tests.cluster.binaries import argo_manifests
from tests.cluster.images import argo_image, platform_image
from tests.cluster.kube import apply, kubectl, kubectl_wait
from tests.cluster.settings import POSTGRES_PORT, host, versions

NAMESPACE = "argo"
MASTER_SECRET = "archive-master"
"""The Secret with the login of the archive's master, in place of AWS's Secrets Manager."""
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
    workloads = [item for item in others if item["kind"] == "Deployment"]
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *definitions])
    for item in definitions:
        name = item["metadata"]["name"]
        kubectl_wait("wait", "--for=condition=Established", f"crd/{name}", seconds=60)
    apply(_adapted(item) for item in others if item not in workloads)
    configure()
    apply(map(_adapted, workloads))
    wait_until_ready()


def configure() -> None:
    """Apply what the platform makes: Argo's configuration and login to the archive, the scaler's template."""
    kubectl("-n", NAMESPACE, "delete", "job", archive_login.NAME, "--ignore-not-found")  # it is immutable
    apply([configuration(), _master_secret(), *archive_login.objects(login()), *cluster_objects()])
    job = f"job/{archive_login.NAME}"
    kubectl_wait("-n", NAMESPACE, "wait", "--for=condition=Complete", job, seconds=180)


def wait_until_ready() -> None:
    """Wait until the controller and the server are ready."""
    for name in ("workflow-controller", "argo-server"):
        kubectl_wait("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", seconds=180)


def configuration() -> dict[str, Any]:
    """Build the controller's ConfigMap with the platform's own code."""
    database = argo_config.Database(
        host=host(), port=POSTGRES_PORT, secret=archive_login.SECRET, ssl_mode="require"
    )
    config_map: dict[str, Any] = argo_config.config_map(
        argo_config.Argo(database=database, cluster="tests", namespace=NAMESPACE)
    )
    return config_map


def login() -> archive_login.Login:
    """Return what differs here in the Job that makes Argo's login: no AWS, and Argo's own labels of pods."""
    return archive_login.Login(
        image=platform_image(),
        host=host(),
        port=POSTGRES_PORT,
        database=argo_config.DATABASE,
        pods="app in (workflow-controller,argo-server)",
        placement=Placement(),
        master_secret=MASTER_SECRET,
    )


def _master_secret() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": MASTER_SECRET, "namespace": NAMESPACE},
        "stringData": {"username": stores.ARCHIVE_MASTER, "password": stores.password("archive")},
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
