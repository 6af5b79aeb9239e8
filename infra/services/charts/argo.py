"""The values of Argo Workflows' chart. What the controller does is in our own ConfigMap, not here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra.services.charts.common import Place, Values, container, pod, size
from lightwork.manifests import argo_config

NAMESPACE = "argo"
CONTROLLER = "workflow-controller"
SERVER = "argo-server"
SSO_SECRET = "argo-server-sso"  # noqa: S105  (its name)
"""The Secret with `client-id` and `client-secret` of the identity provider."""
PEOPLE, OPERATORS = "people", "operators"
"""The service accounts that somebody who logs in becomes: to look, or to stop and submit as well."""
USER = 8737
"""The user of Argo's own images."""
GROUP = "argoproj.io"
KINDS = ["workflows", "workflowtemplates", "cronworkflows", "clusterworkflowtemplates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoValues:
    """What differs between clusters.

    Attributes:
        image_tag: the version of Argo, newer than the chart's own.
        archive_secret: the Secret with the archive's user and password.
        people: the group, at the identity provider, of those who may look; None if nobody logs in there, and
            then everybody brings a token.
        operators: the group of those who may also stop and submit runs, of every tenant.
        place: the nodes that it runs on.
    """

    image_tag: str
    archive_secret: str
    place: Place
    people: str | None = None
    operators: str | None = None


def values(args: ArgoValues) -> Values:
    """Two controllers, one of which works; a server that people and CI reach as themselves and never as it.

    The chart turns leader election off for a single controller, and starts the new one before it ends the
    old: hence two.
    """
    readable = [args.archive_secret]
    groups = {name: group for name, group in ((PEOPLE, args.people), (OPERATORS, args.operators)) if group}
    if groups:
        readable += [SSO_SECRET, *map(token_name, groups)]
    return {
        "fullnameOverride": "argo",
        "images": {"tag": args.image_tag, "pullPolicy": "IfNotPresent"},
        # A definition that goes takes every workflow with it.
        "crds": {"install": True, "keep": True},
        # Each tenant's namespace has accounts and roles of its own.
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
            **args.place.values(),
        },
        "server": {
            "enabled": True,
            "name": "server",
            # `server` would make everybody who reaches it as mighty as it is.
            "authModes": ["sso", "client"] if groups else ["client"],
            # Of this the chart makes the server's rights alone; switched off, it lets it read every Secret.
            "sso": {"enabled": True, "rbac": {"enabled": True, "secretWhitelist": readable}},
            "secure": True,
            "serviceType": "ClusterIP",
            "replicas": 2,
            "pdb": {"enabled": True, "maxUnavailable": 1},
            "logging": {"level": "info", "format": "json"},
            # Templates come from the repository alone.
            "clusterWorkflowTemplates": {"enabled": True, "enableEditing": False},
            "resources": size("100m", "256Mi", cpu_limit="1"),
            "podSecurityContext": pod(USER),
            "securityContext": container(),
            **args.place.values(),
        },
        "extraObjects": people(groups),
    }


def token_name(account: str) -> str:
    """The Secret in which Argo's server finds the token of a service account that people become."""
    return f"{account}.service-account-token"


def people(groups: dict[str, str]) -> list[dict[str, Any]]:
    """Who somebody is who has logged in, by the groups that the identity provider says; in none, nobody.

    They are the chart's objects, not Pulumi's: Kubernetes writes the tokens, and what Pulumi makes it reads
    back into its state.
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
    made = []
    for precedence, (name, group) in enumerate(groups.items()):
        made += _person(name, f"{json.dumps(group)} in groups", str(precedence), rules[name])
    return made


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
    rights = {
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
    return [account, token, rights, binding]
