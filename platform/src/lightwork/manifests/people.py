"""What a tenant's people may do at the Kubernetes API: start, watch and stop runs, in their namespace alone.

They may start only what the tenant's file names, and only suspend and resume its schedules: RBAC cannot say
that, but `manifests.gate` does. They read no Secret and change no object but a run and a schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests.base import manifest
from lightwork.manifests.identity import RBAC

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

RULES: list[dict[str, Any]] = [
    {"apiGroups": ["argoproj.io"], "resources": ["workflowtemplates"], "verbs": ["get", "list"]},
    {"apiGroups": ["argoproj.io"], "resources": ["cronworkflows"], "verbs": ["list"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get", "list", "create", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    # Why pods do not start, how a run ended that is gone, and whether a run fits.
    {"apiGroups": [""], "resources": ["events", "resourcequotas"], "verbs": ["list"]},
    # The dashboard: `get` opens it by a websocket, for which Kubernetes 1.35 and newer also ask for `create`.
    {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
    # `submit` keeps long values in one.
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
]
"""What `lightwork submit`, `logs`, `stop`, `dashboard`, `schedule`, `queue`, `backfill` and `doctor` need.

`rules` adds what a tenant's schedules need.
"""


def rules(tenant: Tenant) -> list[dict[str, Any]]:
    """Return the rules of the Role: to suspend and resume as well, by name, the schedules of the file."""
    names = [name for name, entry in tenant.pipelines.items() if entry.schedule is not None]
    if not names:
        return RULES  # a rule without names is about all of them
    change = {
        "apiGroups": ["argoproj.io"],
        "resources": ["cronworkflows"],
        "resourceNames": names,
        "verbs": ["patch"],
    }
    return [*RULES, change]


def role(tenant: Tenant) -> list[Manifest]:
    """Return the Role and its binding to the group of the tenant's people; nothing if it names nobody."""
    if tenant.people is None:
        return []
    name = contract.PEOPLE
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group"}
    return [
        manifest(RBAC, "Role", name, tenant, rules=rules(tenant)),
        manifest(
            RBAC,
            "RoleBinding",
            name,
            tenant,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            subjects=[{**group, "name": contract.people_group(tenant.name)}],
        ),
    ]
