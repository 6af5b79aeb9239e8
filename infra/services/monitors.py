"""What Prometheus scrapes besides what charts bring: Dask's pods, and the metrics of pipelines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.services.alerts import API
from infra.services.watch import LABELS, PORT_NAME
from lightwork.kube import contract

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

SAMPLES = 50_000
"""The most series of a tenant's pod; with more it is not scraped, so that it cannot fill Prometheus up.

Other targets have no limit: those of kube-state-metrics grow with the number of tenants.
"""
_OF_TARGET = "pod|instance|container|endpoint|service|namespace"
"""The labels that Prometheus gives to what it scrapes. With them, each new pod would begin new series."""


def dask(namespace: str) -> Manifest:
    """Build the monitor that lets Prometheus scrape schedulers and workers at their dashboard's port.

    Args:
        namespace: Prometheus' namespace.
    """
    labels = {
        "__meta_kubernetes_pod_label_lightwork_tenant": "tenant",
        "__meta_kubernetes_pod_label_lightwork_pipeline": "pipeline",
        "__meta_kubernetes_pod_label_lightwork_run": "run",
        "__meta_kubernetes_pod_label_lightwork_role": "role",
    }
    role = {"key": contract.LABEL_ROLE, "operator": "In", "values": ["scheduler", "worker"]}
    return {
        "apiVersion": API,
        "kind": "PodMonitor",
        "metadata": {
            "name": "dask",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
        },
        "spec": {
            "namespaceSelector": {"any": True},
            "selector": {"matchExpressions": [role]},
            "sampleLimit": SAMPLES,
            "podMetricsEndpoints": [
                {
                    "port": "dashboard",
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": [
                        {"sourceLabels": [source], "targetLabel": label} for source, label in labels.items()
                    ],
                }
            ],
        },
    }


def pipelines(namespace: str) -> Manifest:
    """Build the monitor of the metrics of pipelines, which keep their series whatever pod they come from.

    Args:
        namespace: Prometheus' namespace.
    """
    return {
        "apiVersion": API,
        "kind": "ServiceMonitor",
        "metadata": {"name": contract.WATCH, "namespace": namespace, "labels": LABELS},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "endpoints": [
                {
                    "port": PORT_NAME,
                    "path": "/metrics",
                    "interval": "30s",
                    "honorLabels": True,
                    "metricRelabelings": [{"action": "labeldrop", "regex": _OF_TARGET}],
                }
            ],
        },
    }
