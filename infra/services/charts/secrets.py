"""The values of the External Secrets Operator's chart, which copies secrets into the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from infra.services.charts.common import Placement, Values, size, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsValues:
    """The values that differ between clusters.

    Attributes:
        account: the service account that has the operator's role.
        placement: the nodes that it runs on.
    """

    account: str
    placement: Placement


def values(args: SecretsValues) -> Values:
    """Return the values: the operator, its webhook and the webhook's certificate.

    Only stores within a namespace are allowed: a cluster-wide store would lend one identity to all of them.
    """
    placement = args.placement.values()
    helper = {"resources": size("25m", "128Mi", cpu_limit="100m"), **placement}
    return {
        "fullnameOverride": "external-secrets",
        "installCRDs": True,
        "crds": {
            # Deleting a CRD would delete every secret that the operator created.
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
        # It uses its own pod's identity and never requests tokens of other accounts.
        "rbac": {
            "serviceAccountTokenCreate": False,
            # Do not add rights to Kubernetes' own roles `view`, `edit` and `admin`.
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
        "topologySpreadConstraints": spread("external-secrets"),
        "webhook": {
            **helper,
            "replicaCount": 2,
            "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
            "topologySpreadConstraints": spread("external-secrets-webhook"),
        },
        "certController": helper,
        **placement,
    }
