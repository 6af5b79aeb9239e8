"""The harness's folders, its addresses, and the versions of what it builds."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
"""The repository's root."""
TEMPLATES = HERE / "templates"

BRIDGE = "lwcluster0"
"""The bridge that all pods are attached to. Its IP address is also the node's."""
BRIDGE_MAC = "02:6c:77:00:00:01"
"""The bridge's fixed MAC address. Without one, a bridge uses the lowest of its ports', which changes as pods
come and go: pods then cannot reach the machine for up to 30 s, until they resolve the gateway again."""
NODE = "lightwork-node"
NODE_IP = "10.244.0.1"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
DOMAIN = "cluster.local"
API_PORT = 6443
"""The API server's port, which the policies of a tenant on a local cluster open."""
S3_PORT = 7070
POSTGRES_PORT = 15432
ETCD_PORT = 12379
CREDENTIALS_IP = "169.254.170.23"
"""The address of the credentials endpoint, as on EKS; a second address of the bridge."""
WEBHOOK_PORT = 16444
REGISTRY_PORT = 16445
"""The port, on localhost, of the image registry that some tests start; nodes take plain HTTP there."""

LABEL = "lightwork-cluster"
"""The comment that marks our firewall rules."""

IMAGE = "localhost/lightwork/platform"
ARGO_IMAGE = "localhost/lightwork/argo"
LAKE_IMAGE = "localhost/lightwork/versitygw"
DNS_IMAGE = "localhost/lightwork/coredns"
PAUSE_IMAGE = "localhost/lightwork/pause:1"
BASE_IMAGE = "localhost/lightwork/base"


def of_current_context() -> bool:
    """Return whether the tests use the cluster of the current kube context (CLUSTER=current)."""
    return os.environ.get("CLUSTER") == "current"


@cache
def versions() -> dict[str, Any]:
    """Read versions.toml."""
    return tomllib.loads((HERE / "versions.toml").read_text())


def cache_folder() -> Path:
    """Return the folder of built components: LIGHTWORK_CLUSTER_CACHE, or one in the user's cache folder."""
    if chosen := os.environ.get("LIGHTWORK_CLUSTER_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightwork" / "cluster"


def run_folder() -> Path:
    """Return the folder of a running cluster's state: LIGHTWORK_CLUSTER_RUN, or /var/lib/lightwork-cluster.

    It is on a disk: /run is in memory on most machines, and images and volumes take gigabytes.
    With CLUSTER=current, the name ends in `-current`, to keep it apart from a cluster of our own.
    """
    top = os.environ.get("LIGHTWORK_CLUSTER_RUN") or "/var/lib/lightwork-cluster"
    return Path(f"{top}-current" if of_current_context() else top)


def host() -> str:
    """Return this machine's address for pods, on which the tests' own servers listen."""
    return (run_folder() / "host").read_text() if of_current_context() else NODE_IP


def logs() -> Path:
    """Return the folder of the servers' logs."""
    return run_folder() / "logs"


def kubeconfig() -> Path:
    """Return the running cluster's administrator kubeconfig, whose only context is `lightwork-dev`."""
    return run_folder() / "kubeconfig"
