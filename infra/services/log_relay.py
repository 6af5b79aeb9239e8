"""The relay to OpenSearch: the only way to the logs for people, who are outside the VPC.

It runs `lightwork.pods.relay` on a public Python image, as the estate is deployed before the platform's own
image is in the registry. docs/decisions/people-search-logs.md has the reasons.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.services.charts.common import Placement, container, pod, size
from lightwork.kube.contract import LOGS_NAMESPACE, RELAY, RELAY_POD, RELAY_PORT
from lightwork.manifests.identity import RBAC
from lightwork.pods import relay

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

HTTPS = 443
USER = 10_001
FOLDER = "/program"
FILE = "relay.py"
LABELS = {"app.kubernetes.io/part-of": "lightwork", "app.kubernetes.io/name": RELAY}


def objects(*, image: str, endpoint: str, inside: str, placement: Placement) -> list[Manifest]:
    """Build the program, its account, its pod, what the pod may reach, and the Role that opens its port.

    Each tenant's stack binds that Role to the tenant's people.

    Args:
        image: an image with `python3`, 3.11 or newer.
        endpoint: the domain's host name.
        inside: the address range of the VPC, in which the domain's interfaces are.
        placement: the nodes that it runs on.
    """
    program = Path(str(relay.__file__)).read_text(encoding="utf-8")
    return [
        _object("v1", "ServiceAccount", automountServiceAccountToken=False),
        _object("v1", "ConfigMap", data={FILE: program}),
        _object("networking.k8s.io/v1", "NetworkPolicy", spec=_reach(inside)),
        _object(RBAC, "Role", rules=[_forward()]),
        _object("apps/v1", "StatefulSet", spec=_set(image, endpoint, program, placement)),
    ]


def _forward() -> dict[str, Any]:
    """Return the right to forward ports of the one pod; its name is fixed, as that of a StatefulSet's pod."""
    return {
        "apiGroups": [""],
        "resources": ["pods/portforward"],
        "resourceNames": [RELAY_POD],
        "verbs": ["create", "get"],
    }


def _reach(inside: str) -> dict[str, Any]:
    """Return a policy: nobody connects to it, and it connects to name servers and to port 443 in the VPC."""
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [
            {"to": [dns], "ports": names},
            {"to": [{"ipBlock": {"cidr": inside}}], "ports": [{"protocol": "TCP", "port": HTTPS}]},
        ],
    }


def _set(image: str, endpoint: str, program: str, placement: Placement) -> dict[str, Any]:
    # A changed program must replace the pod: changing the ConfigMap alone does not.
    digest = hashlib.sha256(program.encode()).hexdigest()[:16]
    return {
        "serviceName": RELAY,
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": {"lightwork/program": digest}},
            "spec": _pod(image, endpoint, placement),
        },
    }


def _pod(image: str, endpoint: str, placement: Placement) -> dict[str, Any]:
    return {
        "serviceAccountName": RELAY,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": pod(USER),
        **placement.values(),
        "containers": [
            {
                "name": "relay",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", f"{FOLDER}/{FILE}"],
                "args": ["--to", f"{endpoint}:{HTTPS}", "--port", str(RELAY_PORT)],
                "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
                "resources": size("10m", "64Mi", cpu_limit="500m"),
                "securityContext": container(),
                "volumeMounts": [{"name": "program", "mountPath": FOLDER, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "program", "configMap": {"name": RELAY}}],
    }


def _object(api_version: str, kind: str, **fields: Any) -> Manifest:
    metadata = {"name": RELAY, "namespace": LOGS_NAMESPACE, "labels": LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
