"""The process that exports metrics of all tenants' pipelines and tells CloudWatch that alerts work.

It runs `lightwork.pods.watch` on a public Python image. It may list the cluster's namespaces; each tenant's
stack lets it read one ConfigMap in the tenant's namespace. docs/decisions/alerts.md has the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightwork
from infra.config.accounts import WATCH
from infra.services.charts.common import Placement, container, pod, size
from infra.services.program import ENVIRONMENT, FOLDER, USER, digest, mount, texts, volume
from lightwork import errors, kube, lake, logs, pods, settings, version
from lightwork.kube import api, contract
from lightwork.lake import base, opening, patience
from lightwork.manifests.identity import RBAC
from lightwork.manifests.network import POD_IDENTITY
from lightwork.pods import signing, watch
from lightwork.pods.watch import __main__ as main
from lightwork.pods.watch import gathering, metrics, switch

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

NAME = WATCH.name
PORT, PORT_NAME = 8080, "metrics"
LABELS = {"app.kubernetes.io/part-of": "lightwork", "app.kubernetes.io/name": NAME}
TENANTS = "lightwork-watch"
"""The ClusterRole that lists namespaces."""
ADDRESS = f"http://{NAME}.{WATCH.namespace}.svc:{PORT}{main.ALARM_PATH}"
"""Where Alertmanager sends the alert that always fires."""
PROGRAM = (
    *(lightwork, version, errors, logs, settings, lake, base, opening, patience),
    *(kube, api, contract, pods, signing, watch, main, gathering, metrics, switch),
)
"""The modules that it runs; with Python's own, they are all that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchArgs:
    """What differs between clusters.

    Attributes:
        image: an image with `python3`, 3.11 or newer.
        cluster: the cluster's name.
        region: the region of AWS.
        metric_namespace: the namespace of its metric in CloudWatch.
        placement: the nodes that it runs on.
    """

    image: str
    cluster: str
    region: str
    metric_namespace: str
    placement: Placement


def objects(args: WatchArgs) -> list[Manifest]:
    """Build the account with its rights, the program, its pod, its address, and who reaches it."""
    data = texts(PROGRAM)
    return [
        _object("v1", "ServiceAccount", automountServiceAccountToken=False),
        *_rights(),
        _object("v1", "ConfigMap", data=data),
        _object("networking.k8s.io/v1", "NetworkPolicy", spec=_reach()),
        _object("v1", "Service", spec=_service()),
        _object("apps/v1", "Deployment", spec=_deployment(args, data)),
    ]


def _rights() -> list[Manifest]:
    """Return the right to list the names of tenants; a Role in each namespace gives the rest."""
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}
    metadata = {"name": TENANTS, "labels": LABELS}
    return [
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": TENANTS},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": WATCH.namespace}],
        },
    ]


def _reach() -> dict[str, Any]:
    """Return a policy: Prometheus and Alertmanager connect to it; it reaches the API and AWS."""
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    scrapers = {
        "matchExpressions": [
            {
                "key": "app.kubernetes.io/name",
                "operator": "In",
                "values": ["prometheus", "alertmanager"],
            }
        ]
    }
    return {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": scrapers}], "ports": _ports(PORT)}],
        "egress": [
            {
                "to": [dns],
                "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
            },
            {"to": [{"ipBlock": {"cidr": POD_IDENTITY}}], "ports": _ports(80)},
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": _ports(443, 6443)},
        ],
    }


def _ports(*numbers: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _service() -> dict[str, Any]:
    port = {"name": PORT_NAME, "protocol": "TCP", "port": PORT, "targetPort": PORT}
    return {"selector": LABELS, "ports": [port]}


def _deployment(args: WatchArgs, data: dict[str, str]) -> dict[str, Any]:
    return {
        "replicas": 1,
        "revisionHistoryLimit": 1,
        # Two at once would export everything twice.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": {"lightwork/program": digest(data)}},
            "spec": _pod(args, data),
        },
    }


def _pod(args: WatchArgs, data: dict[str, str]) -> dict[str, Any]:
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": pod(USER),
        **args.placement.values(),
        "containers": [
            {
                "name": NAME,
                "image": args.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-m", "lightwork.pods.watch"],
                "args": [
                    *("--port", str(PORT), "--metric-namespace", args.metric_namespace),
                    *("--cluster", args.cluster, "--region", args.region),
                ],
                "env": [dict(variable) for variable in ENVIRONMENT],
                "ports": [{"name": PORT_NAME, "containerPort": PORT}],
                "livenessProbe": {
                    "httpGet": {"path": main.HEALTH_PATH, "port": PORT},
                    "periodSeconds": 20,
                    "timeoutSeconds": 10,
                },
                "resources": size("20m", "128Mi", cpu_limit="500m"),
                "securityContext": container(),
                "volumeMounts": [mount("program", FOLDER)],
            }
        ],
        "volumes": [volume(NAME, data)],
    }


def _object(api_version: str, kind: str, **fields: Any) -> Manifest:
    metadata = {"name": NAME, "namespace": WATCH.namespace, "labels": LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
