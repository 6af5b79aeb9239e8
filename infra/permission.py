"""Permission to delete: the committed `destroy` entries, and the protection that they lift.

An estate's entries are in `Pulumi.<environment>.yaml` (`lightwork:destroy`), a tenant's in its own file,
beside `state: leaving`. They name resources one by one, by their logical names; there are no patterns.

The engine goes by a resource's protection in the state. So deploy an entry while the resource is still in the
program; only then remove the resource, or destroy the stack.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from lightwork.errors import near

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from infra.config.settings import Settings
    from lightwork.tenants import Tenant


KEPT_BY = {"eks:index:Cluster": "-eksCluster"}
"""The types of remote components that make a protected resource, and what its name adds to theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """The resources of one stack that may be deleted.

    Attributes:
        names: their logical names.
        source: the file and field of the entries, for messages.
    """

    names: tuple[str, ...]
    source: str


def of(settings: Settings, tenant: Tenant | None) -> Permission:
    """Return the permission for an environment's estate, or for one of its tenants.

    Args:
        settings: the environment's settings.
        tenant: the tenant; None for the estate.
    """
    if tenant is None:
        source = f"Pulumi.{settings.environment}.yaml: lightwork:destroy"
        return Permission(names=settings.destroy, source=source)
    source = f"tenants/{tenant.name}.yaml: destroy.{settings.environment}"
    return Permission(names=tenant.destroy.get(settings.environment, ()), source=source)


@contextmanager
def lifted(permission: Permission) -> Iterator[None]:
    """Lift `protect` and `retain_on_delete` of the permitted resources that are made inside the context.

    The engine lifts them, for the resources that remote components make as well. Only it sees those, and so
    late that the warnings go by the components instead.

    A name that matches no protected or retained resource causes a warning, not an error: after a resource was
    removed from the program, the entry is still needed for the deployment that deletes it.
    """
    kept: set[str] = set()

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        if args.opts.protect or args.opts.retain_on_delete:
            kept.add(args.name)
        if args.type_ in KEPT_BY:
            kept.add(f"{args.name}{KEPT_BY[args.type_]}")

    def lift(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if args.name not in permission.names or not (args.opts.protect or args.opts.retain_on_delete):
            return None
        opts = copy.copy(args.opts)
        opts.protect = opts.retain_on_delete = False
        return pulumi.ResourceTransformResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(note)
    pulumi.runtime.register_resource_transform(lift)
    yield
    for line in warnings(permission, kept=kept):
        pulumi.log.warn(line)


def warnings(permission: Permission, *, kept: Collection[str]) -> list[str]:
    """Return one line for each name that matches no protected or retained resource.

    Args:
        permission: the permission.
        kept: the names of all protected or retained resources.
    """
    return [
        f"{permission.source}: found {name!r}; no protected or retained resource has that name"
        f"{near(name, kept)} (remove the entry once the resource is deleted)"
        for name in permission.names
        if name not in kept
    ]
