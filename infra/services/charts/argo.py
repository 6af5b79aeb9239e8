"""The values of Argo Workflows' chart. The controller's settings are in a ConfigMap of our own, not here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra.services.charts.common import Placement, Values, container, pod, size, spread
from lightwork.manifests import argo_config

NAMESPACE = "argo"
CONTROLLER = "workflow-controller"
SERVER = "argo-server"
PODS = f"app.kubernetes.io/name in (argo-workflows-{CONTROLLER},argo-workflows-server)"
"""The label selector of the pods that use the archive."""
SSO_SECRET = "argo-server-sso"  # noqa: S105  (its name)
"""The Secret with the identity provider's `client-id` and `client-secret`."""
PEOPLE, OPERATORS = "people", "operators"
"""The service accounts of people who log in: to look, or to stop and submit runs as well."""
USER = 8737
"""The user of Argo's own images."""
GROUP = "argoproj.io"
KINDS = ["workflows", "workflowtemplates", "cronworkflows", "clusterworkflowtemplates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoValues:
    """The values that differ between clusters.

    Attributes:
        image_tag: the version of Argo, newer than the chart's default.
        archive_secret: the Secret with the archive's user and password.
        placement: the nodes that it runs on.
        people: the identity provider's group of people who may look; None for no login, with tokens only.
        operators: the group of people who may also stop and submit runs of every tenant.
    """

    image_tag: str
    archive_secret: str
    placement: Placement
    people: str | None = None
    operators: str | None = None


def values(args: ArgoValues) -> Values:
    """Return the values: two controllers, one of them active, and a server that acts with its users' rights.

    There are two controllers because the chart turns leader election off for a single one, and an update
    starts the new one before it stops the old one.
    """
    readable = [args.archive_secret]
    groups = {name: group for name, group in ((PEOPLE, args.people), (OPERATORS, args.operators)) if group}
    if groups:
        readable += [SSO_SECRET, *map(token_name, groups)]
    return {
        "fullnameOverride": "argo",
        "images": {"tag": args.image_tag, "pullPolicy": "IfNotPresent"},
        # Deleting a CRD would delete every workflow.
        "crds": {"install": True, "keep": True},
        # Each tenant's namespace has its own accounts and roles.
        "workflow": {"serviceAccount": {"create": False}, "rbac": {"create": False}},
        "controller": {
            "name": CONTROLLER,
            "configMap": {"create": False, "name": argo_config.NAME},
            "replicas": 2,
            "pdb": {"enabled": True, "maxUnavailable": 1},
            "rbac": {"create": True, "secretWhitelist": [args.archive_secret], "accessAllSecrets": False},
            "extraEnv": [{"name": "DEFAULT_REQUEUE_TIME", "value": "1s"}],
            "logging": {"level": "info", "format": "json"},
            "metricsConfig": {"enabled": True, "port": 9090, "secure": False},
            "serviceMonitor": {"enabled": True},
            "resources": size("250m", "1Gi", cpu_limit="2"),
            "podSecurityContext": pod(USER),
            "securityContext": container(),
            "priorityClassName": "system-cluster-critical",
            "topologySpreadConstraints": spread(f"argo-workflows-{CONTROLLER}"),
            **args.placement.values(),
        },
        "server": {
            "enabled": True,
            "name": "server",
            # `server` would give its own rights to everybody who can reach it.
            "authModes": ["sso", "client"] if groups else ["client"],
            # The chart uses this only for the server's rights; disabled, the server could read every Secret.
            "sso": {"enabled": True, "rbac": {"enabled": True, "secretWhitelist": readable}},
            "secure": True,
            "serviceType": "ClusterIP",
            "replicas": 2,
            "pdb": {"enabled": True, "maxUnavailable": 1},
            "logging": {"level": "info", "format": "json"},
            # Templates come only from the repository.
            "clusterWorkflowTemplates": {"enabled": True, "enableEditing": False},
            "resources": size("100m", "256Mi", cpu_limit="1"),
            "podSecurityContext": pod(USER),
            "securityContext": container(),
            "topologySpreadConstraints": spread("argo-workflows-server"),
            **args.placement.values(),
        },
        "extraObjects": people(groups),
    }


def token_name(account: str) -> str:
    """Return the name of the Secret in which Argo's server finds the token of a service account."""
    return f"{account}.service-account-token"


def people(groups: dict[str, str]) -> list[dict[str, Any]]:
    """Build the accounts, tokens and rights of people who log in, by their groups at the identity provider.

    Somebody in none of the groups gets no access. The chart creates these objects, not Pulumi, because
    Pulumi would read the tokens that Kubernetes writes into its state.

    Args:
        groups: the group of each service account.
    """
    look = [
        {"apiGroups": [GROUP], "resources": KINDS, "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list", "watch"]},
    ]
    act = [
        {"apiGroups": [GROUP], "resources": ["workflows"], "verbs": ["create", "patch", "update", "delete"]},
        {"apiGroups": [GROUP], "resources": ["cronworkflows"], "verbs": ["patch", "update"]},
    ]
    rules = {PEOPLE: look, OPERATORS: [*look, *act]}
    objects = []
    for precedence, (name, group) in enumerate(groups.items()):
        objects += _person(name, f"{json.dumps(group)} in groups", str(precedence), rules[name])
    return objects


def _person(name: str, rule: str, precedence: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    labels = {"app.kubernetes.io/part-of": "lightwork"}
    role = f"lightwork-argo-{name}"
    account: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {
                "workflows.argoproj.io/rbac-rule": rule,
                "workflows.argoproj.io/rbac-rule-precedence": precedence,
            },
        },
        "automountServiceAccountToken": False,
    }
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": token_name(name),
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {"kubernetes.io/service-account.name": name},
        },
    }
    cluster_role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role, "labels": labels},
        "rules": rules,
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
    }
    return [account, token, cluster_role, binding]
