"""The values of the chart of the External Secrets Operator, which brings secrets into the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from infra.services.charts.common import Place, Values, size


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsValues:
    """What differs between clusters.

    Attributes:
        account: the service account that EKS gives the operator's role to.
        place: the nodes that it runs on.
    """

    account: str
    place: Place


def values(args: SecretsValues) -> Values:
    """The operator, its webhook and the webhook's certificate; stores are of one namespace each.

    A store of the whole cluster would lend one identity to every namespace, so there can be none.
    """
    place = args.place.values()
    beside = {"resources": size("25m", "128Mi", cpu_limit="100m"), **place}
    return {
        "fullnameOverride": "external-secrets",
        "installCRDs": True,
        "crds": {
            # A definition that goes takes every secret in the cluster with it.
            "annotations": {"helm.sh/resource-policy": "keep"},
            "createClusterExternalSecret": False,
            "createClusterSecretStore": False,
            "createClusterGenerator": False,
            "createClusterPushSecret": False,
            "createPushSecret": False,
        },
        "processClusterExternalSecret": False,
        "processClusterStore": False,
        "processClusterGenerator": False,
        "processClusterPushSecret": False,
        "processPushSecret": False,
        # Its identity is the pod's own; it never asks for the token of somebody else's account.
        "rbac": {
            "serviceAccountTokenCreate": False,
            # The tenants' accounts get what their roles say, and nothing by the back door.
            "aggregateToView": False,
            "aggregateToEdit": False,
            "aggregateToAdmin": False,
            "servicebindings": {"create": False},
        },
        "serviceAccount": {"create": True, "name": args.account},
        "replicaCount": 2,
        "leaderElect": True,
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "resources": size("50m", "256Mi", cpu_limit="500m"),
        "serviceMonitor": {"enabled": True},
        "webhook": {**beside, "replicaCount": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
        "certController": beside,
        **place,
    }
