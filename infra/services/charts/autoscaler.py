"""The values of the cluster-autoscaler's chart."""

from __future__ import annotations

from dataclasses import dataclass

from infra.services.charts.common import Placement, Values, container, pod, size, spread

PORT = 8085
"""The port of its metrics and health check."""
NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerValues:
    """The values that differ between clusters.

    Attributes:
        cluster: the name of the EKS cluster; only scaling groups tagged with it are resized.
        region: the cluster's region.
        account: the service account that has the autoscaler's role.
        image_tag: the autoscaler's version, that of the cluster's Kubernetes.
        placement: the nodes that it runs on; it must not remove its own node.
        preferred: the node groups that it adds nodes to first, where a pod may be on others too.
    """

    cluster: str
    region: str
    account: str
    image_tag: str
    placement: Placement
    preferred: tuple[str, ...]


def values(args: AutoscalerValues) -> Values:
    """Return the values: two replicas, one of them active; nodes unneeded for ten minutes are removed."""
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
            # Least waste alone would put a small run's workers on an on-demand node.
            "expander": "priority,least-waste",
            "balance-similar-node-groups": True,
            "scale-down-unneeded-time": "10m",
            # Every worker uses its node's disk, which must not keep the node alive for ever.
            "skip-nodes-with-local-storage": False,
            "skip-nodes-with-system-pods": True,
            "max-node-provision-time": "15m",
        },
        # By the names of scaling groups, which EKS makes of the node groups' own; the highest number wins.
        "expanderPriorities": {"10": [".*"], "50": [f"^eks-{pool}-" for pool in args.preferred]},
        "resources": size("100m", "600Mi", cpu_limit="500m"),
        "securityContext": pod(NOBODY),
        "containerSecurityContext": container(),
        "podDisruptionBudget": {"maxUnavailable": 1},
        "topologySpreadConstraints": spread("aws-cluster-autoscaler"),
        "priorityClassName": "system-cluster-critical",
        "serviceMonitor": {"enabled": True, "namespace": "kube-system", "interval": "30s", "selector": {}},
        **args.placement.values(),
    }
