"""The values of the cluster-autoscaler's chart."""

from __future__ import annotations

from dataclasses import dataclass

from infra.services.charts.common import Place, Values, container, pod, size

PORT = 8085
"""Its metrics and its health."""
NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerValues:
    """What differs between clusters.

    Attributes:
        cluster: the EKS cluster, whose tagged scaling groups are the only ones that are sized.
        region: where it is.
        account: the service account that EKS gives the autoscaler's role to.
        image_tag: the autoscaler's version: that of the cluster's Kubernetes.
        place: the nodes that it runs on; not those that it takes away.
    """

    cluster: str
    region: str
    account: str
    image_tag: str
    place: Place


def values(args: AutoscalerValues) -> Values:
    """Two of them, one of which works. A node that is not needed for ten minutes goes."""
    return {
        "fullnameOverride": "cluster-autoscaler",
        "cloudProvider": "aws",
        "awsRegion": args.region,
        "autoDiscovery": {"clusterName": args.cluster},
        "image": {"tag": args.image_tag},
        "replicaCount": 2,
        "rbac": {"serviceAccount": {"create": True, "name": args.account}},
        "extraArgs": {
            "v": 2,
            "expander": "least-waste",
            "balance-similar-node-groups": True,
            "scale-down-unneeded-time": "10m",
            # Every worker has room on its node's disk: that must not keep the node for ever.
            "skip-nodes-with-local-storage": False,
            "skip-nodes-with-system-pods": True,
            "max-node-provision-time": "15m",
        },
        "resources": size("100m", "600Mi", cpu_limit="500m"),
        "securityContext": pod(NOBODY),
        "containerSecurityContext": container(),
        "podDisruptionBudget": {"maxUnavailable": 1},
        "priorityClassName": "system-cluster-critical",
        "serviceMonitor": {"enabled": True, "namespace": "kube-system", "interval": "30s", "selector": {}},
        **args.place.values(),
    }
