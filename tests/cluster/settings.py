"""Where the harness keeps things, the addresses it uses, and the versions of what it builds."""

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
"""The bridge that all pods are on. Its address is the node's too."""
BRIDGE_MAC = "02:6c:77:00:00:01"
"""The bridge's own. One without takes the lowest of its ports', another as pods come and go: then no pod
reaches the machine for up to half a minute, until it asks anew whose the gateway's IP address is."""
NODE = "lightwork-node"
NODE_IP = "10.244.0.1"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DOMAIN = "cluster.local"
API_PORT = 16443
S3_PORT = 7070
POSTGRES_PORT = 15432
ETCD_PORT = 12379
CREDENTIALS_IP = "169.254.170.23"
"""Where pods ask for the credentials of their role, as on EKS; on the bridge, beside the node's."""
WEBHOOK_PORT = 16444

LABEL = "lightwork-cluster"
"""What the comments of our firewall rules say, so that they are found again."""

IMAGE = "localhost/lightwork/platform"
ARGO_IMAGE = "localhost/lightwork/argo"
PAUSE_IMAGE = "localhost/lightwork/pause:1"
BASE_IMAGE = "localhost/lightwork/base"


def of_current_context() -> bool:
    """Whether the tests use the cluster of the current kube context (CLUSTER=current), not their own."""
    return os.environ.get("CLUSTER") == "current"


@cache
def versions() -> dict[str, Any]:
    """What versions.toml says."""
    return tomllib.loads((HERE / "versions.toml").read_text())


def cache_folder() -> Path:
    """Where built things stay, by version: LIGHTWORK_CLUSTER_CACHE, or below the user's cache folder."""
    if own := os.environ.get("LIGHTWORK_CLUSTER_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightwork" / "cluster"


def run_folder() -> Path:
    """Where a cluster keeps its state while it is up: LIGHTWORK_CLUSTER_RUN, or /run/lightwork-cluster.

    With CLUSTER=current `-current` is added, so that it does not meet a cluster of our own.
    """
    top = os.environ.get("LIGHTWORK_CLUSTER_RUN") or "/run/lightwork-cluster"
    return Path(f"{top}-current" if of_current_context() else top)


def host() -> str:
    """This machine's address as pods see it, on which the tests' own servers listen."""
    return (run_folder() / "host").read_text() if of_current_context() else NODE_IP


def logs() -> Path:
    """The folder of the servers' logs."""
    return run_folder() / "logs"


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the cluster that is up; its one context is `lightwork-dev`."""
    return run_folder() / "kubeconfig"
