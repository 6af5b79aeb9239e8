"""Access to Argo's page: the accounts that Argo's server acts with for people who log in.

The server chooses an account by a rule about the user's groups. It looks among the accounts of its own
namespace first. For a request about a tenant's namespace it looks there as well, and takes that account if
its precedence is higher. docs/decisions/pages.md has the reasons.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lightwork.kube import contract
from lightwork.manifests.base import manifest
from lightwork.manifests.identity import RBAC

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

LOGIN, LOOK, TENANT, OPERATE = range(4)
"""The precedence of the accounts: to log in, to look at all tenants, a tenant's own, and to act for all.

Above the first two, or people would not get the rights that their tenant's account has. Below the last, or
operators would lose theirs in the namespace of a tenant whose group they are in.
"""

ARGO: Final = "argoproj.io"
SEE: Final = ["get", "list", "watch"]
RULES: Final[list[dict[str, Any]]] = [
    {"apiGroups": [ARGO], "resources": ["workflows"], "verbs": [*SEE, "patch"]},
    {"apiGroups": [ARGO], "resources": ["workflowtemplates", "cronworkflows"], "verbs": SEE},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": SEE},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
]
"""Lets the tenant's people see its runs and their logs, and stop a run, which is a patch of its Workflow."""
ROLE: Final = "argo-page"


def member(group: str) -> str:
    """Return the rule that applies to the members of a group of the identity provider."""
    return f"{json.dumps(group)} in groups"


SOMEBODY: Final = "len(groups) > 0"
"""The rule that applies to whoever is in any of the groups that Argo keeps."""


def chosen_by(rule: str, precedence: int) -> dict[str, str]:
    """Return the annotations by which Argo's server chooses an account for a user.

    Args:
        rule: the rule, an expression about the user's claims.
        precedence: the account's precedence among those whose rules apply.
    """
    return {
        "workflows.argoproj.io/rbac-rule": rule,
        "workflows.argoproj.io/rbac-rule-precedence": str(precedence),
    }


def group(tenant: Tenant) -> str | None:
    """Return the group whose members use Argo's page for a tenant; None for nobody."""
    return tenant.people.group if tenant.people is not None else None


def objects(tenant: Tenant) -> list[Manifest]:
    """Return the account of a tenant's people on Argo's page, its Role and the binding; none without a group.

    The Secret with its token is made by `pods.certificates` in the cluster: a deployment that made it would
    read the token, which Kubernetes writes into it.
    """
    if (members := group(tenant)) is None:
        return []
    account = manifest("v1", "ServiceAccount", contract.PEOPLE, tenant, automountServiceAccountToken=False)
    account["metadata"]["annotations"] = chosen_by(member(members), TENANT)
    return [
        account,
        manifest(RBAC, "Role", ROLE, tenant, rules=RULES),
        manifest(
            RBAC,
            "RoleBinding",
            ROLE,
            tenant,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
            subjects=[{"kind": "ServiceAccount", "name": contract.PEOPLE, "namespace": tenant.namespace}],
        ),
    ]
