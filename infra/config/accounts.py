"""The Kubernetes service accounts that are somebody on AWS; charts and roles take the names from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account: its namespace and its name."""

    namespace: str
    name: str


NETWORK = ServiceAccount("kube-system", "aws-node")
VOLUMES = ServiceAccount("kube-system", "ebs-csi-controller-sa")
AUTOSCALER = ServiceAccount("kube-system", "cluster-autoscaler")
SHIPPER = ServiceAccount("logging", "fluent-bit")
"""Sends the logs to OpenSearch."""
SEARCH_ADMIN = ServiceAccount("logging", "search-admin")
"""Sets OpenSearch up: its roles, index templates, retention."""
ALARMS = ServiceAccount("monitoring", "alertmanager")
"""Publishes alerts."""
SECRETS = ServiceAccount("external-secrets", "external-secrets")
"""Brings the archive's password into the cluster."""

PREVIEWERS = "lightwork:previewers"
"""The Kubernetes group of whoever previews: a ClusterRole may let it see what VIEW leaves out."""

SSO = "argo-sso"
