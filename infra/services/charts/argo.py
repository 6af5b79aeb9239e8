"""The values of Argo Workflows' chart. The controller's settings are in a ConfigMap of our own, not here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.services.charts.common import Placement, Values, container, pod, size, spread
from lightwork.kube.contract import token_secret
from lightwork.manifests import argo_config, page

NAMESPACE = "argo"
CONTROLLER = "workflow-controller"
SERVER = "argo-server"
PODS = f"app.kubernetes.io/name in (argo-workflows-{CONTROLLER},argo-workflows-server)"
"""The label selector of the pods that use the archive."""
SSO_SECRET = "argo-server-sso"  # noqa: S105  (its name)
"""The Secret with the identity provider's `client-id` and `client-secret`."""
LOGIN, PEOPLE, OPERATORS = "login", "people", "operators"
"""The service accounts of people who log in: without rights, to look, or to stop and submit runs as well.

The account of the second name in a tenant's namespace is for that tenant's people.
"""
USER = 8737
"""The user of Argo's own images."""
GROUP = "argoproj.io"
KINDS = ["workflows", "workflowtemplates", "cronworkflows", "clusterworkflowtemplates"]
SERVER_SETTINGS = {
    # Requests about a tenant's namespace are made with the account of that tenant's people.
    "SSO_DELEGATE_RBAC_TO_NAMESPACE": "true",
    # The archive lists a label's values to everybody who is logged in, also those of other tenants' runs.
    "DISABLE_VALUE_LIST_RETRIEVAL_KEY_PATTERN": ".",
}
"""The environment variables of Argo's server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoValues:
    """The values that differ between clusters.

    Attributes:
        image_tag: the version of Argo, newer than the chart's default.
        archive_secret: the Secret with the archive's user and password.
        placement: the nodes that it runs on.
        people: the identity provider's group of people who may look at every tenant; None for no login, with
            tokens only. Who is in a group below it may log in, with the rights that a tenant gives to that
            group.
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
    accounts = _accounts(args.people, args.operators)
    if accounts:
        # The chart grants them by name in every namespace, so the second is that of each tenant's people as
        # well.
        readable += [SSO_SECRET, *(token_secret(account.name) for account in accounts)]
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
            # Argo says itself which namespace a metric is about.
            "metricsConfig": {"enabled": True, "port": 9090, "secure": False, "honorLabels": True},
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
            "authModes": ["sso", "client"] if accounts else ["client"],
            # The chart uses this only for the server's rights; disabled, the server could read every Secret.
            "sso": {"enabled": True, "rbac": {"enabled": True, "secretWhitelist": readable}},
            "secure": True,
            "serviceType": "ClusterIP",
            "extraEnv": [{"name": name, "value": value} for name, value in SERVER_SETTINGS.items()],
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
        "extraObjects": [item for account in accounts for item in _objects(account)],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """A service account that Argo's server acts with for people who log in.

    Attributes:
        name: its name.
        rule: the rule about a user's groups by which it applies.
        precedence: its precedence among those that apply.
        rules: its rights in the whole cluster.
    """

    name: str
    rule: str
    precedence: int
    rules: tuple[dict[str, Any], ...] = ()


def _accounts(people: str | None, operators: str | None) -> list[_Account]:
    """Return the accounts of people who log in, by their groups at the identity provider.

    Somebody in none of the groups gets no access.
    """
    if people is None:
        return []
    look = (
        {"apiGroups": [GROUP], "resources": KINDS, "verbs": page.SEE},
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": page.SEE},
    )
    act = (
        {"apiGroups": [GROUP], "resources": ["workflows"], "verbs": ["create", "patch", "update", "delete"]},
        {"apiGroups": [GROUP], "resources": ["cronworkflows"], "verbs": ["patch", "update"]},
    )
    accounts = [
        _Account(name=LOGIN, rule=page.SOMEBODY, precedence=page.LOGIN),
        _Account(name=PEOPLE, rule=page.member(people), precedence=page.LOOK, rules=look),
    ]
    if operators is not None:
        rule = page.member(operators)
        accounts.append(_Account(name=OPERATORS, rule=rule, precedence=page.OPERATE, rules=(*look, *act)))
    return accounts


def _objects(person: _Account) -> list[dict[str, Any]]:
    """Build an account, its token and its rights.

    The chart creates these objects, not Pulumi, because Pulumi would read the tokens that Kubernetes writes
    into its state.
    """
    name, labels = person.name, {"app.kubernetes.io/part-of": "lightwork"}
    account: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": page.chosen_by(person.rule, person.precedence),
        },
        "automountServiceAccountToken": False,
    }
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": token_secret(name),
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {"kubernetes.io/service-account.name": name},
        },
    }
    return [account, token, *(_rights(name, person.rules, labels) if person.rules else [])]


def _rights(name: str, rules: tuple[dict[str, Any], ...], labels: dict[str, str]) -> list[dict[str, Any]]:
    role = f"lightwork-argo-{name}"
    cluster_role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role, "labels": labels},
        "rules": list(rules),
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
    }
    return [cluster_role, binding]
