"""The kubeconfig of an estate's cluster."""

from __future__ import annotations

from typing import Any


def kubeconfig(*, cluster: str, endpoint: str, ca: str, region: str) -> dict[str, Any]:
    """Build a kubeconfig without credentials: each call gets a short-lived token from AWS."""
    token = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "aws",
        "args": ["eks", "get-token", "--cluster-name", cluster, "--region", region, "--output", "json"],
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": endpoint, "certificate-authority-data": ca}}],
        "users": [{"name": cluster, "user": {"exec": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "current-context": cluster,
    }
