"""The cluster's DNS server: CoreDNS in a pod, with the labels by which network policies select it."""

from __future__ import annotations

from typing import Any

from tests.cluster.images import dns_image
from tests.cluster.kube import apply, kubectl_wait
from tests.cluster.settings import DNS_SERVICE_IP, DOMAIN

_NAMESPACE = "kube-system"
_NAME = "coredns"
_LABELS = {"k8s-app": "kube-dns"}
_RBAC = "rbac.authorization.k8s.io"

COREFILE = f""".:53 {{
    kubernetes {DOMAIN} {{
        ttl 1
    }}
    errors
}}
"""
"""It resolves only the Services of this cluster, so that pods' queries never leave the machine."""


def start() -> None:
    """Start CoreDNS behind the Service `kube-dns`, and wait until it answers."""
    apply([*_rights(), _settings(), _deployment(), _service()])
    kubectl_wait("-n", _NAMESPACE, "rollout", "status", f"deployment/{_NAME}", seconds=120)


def _in_namespace(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": _NAMESPACE, "labels": _LABELS}


def _rights() -> list[dict[str, Any]]:
    role = {"name": "lightwork:dns"}
    listed = {"verbs": ["list", "watch"]}
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], **listed},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], **listed},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _in_namespace(_NAME)},
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": role, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": role,
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", **role},
            "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": _NAMESPACE}],
        },
    ]


def _settings() -> dict[str, Any]:
    data = {"Corefile": COREFILE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _in_namespace(_NAME), "data": data}


def _deployment() -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": dns_image(),
        "imagePullPolicy": "IfNotPresent",
        "command": ["coredns", "-conf", "/etc/coredns/Corefile"],
        "ports": _ports("containerPort"),
        "readinessProbe": {"tcpSocket": {"port": 53}, "periodSeconds": 1},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": _NAME,
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": _NAME}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _in_namespace(_NAME),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _in_namespace("kube-dns"),
        "spec": {"clusterIP": DNS_SERVICE_IP, "selector": _LABELS, "ports": _ports("port")},
    }


def _ports(field: str) -> list[dict[str, Any]]:
    return [{"name": name, field: 53, "protocol": name.upper()} for name in ("udp", "tcp")]
