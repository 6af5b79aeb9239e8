"""The Kubernetes service accounts that have an AWS role, named here for charts and roles alike."""

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
"""Configures OpenSearch: roles, index templates, retention."""
ALARMS = ServiceAccount("monitoring", "alertmanager")
"""Publishes alerts."""
WATCH = ServiceAccount("monitoring", "watch")
"""Exports metrics of pipelines, and tells CloudWatch that alerts work."""
SECRETS = ServiceAccount("external-secrets", "external-secrets")
"""Copies secrets from Secrets Manager into the cluster."""

ARCHIVE = ServiceAccount("argo", "archive-login")
"""Makes and rotates Argo's login to the archive, with the master's password."""

PREVIEWERS = "lightwork:previewers"
"""The Kubernetes group of the previewing role; a ClusterRole lets it read more than EKS's view policy."""

SSO = "argo-sso"
