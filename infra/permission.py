"""What may end all the same: the `destroy` entries that somebody has committed, and what they lift.

An estate's are in `Pulumi.<environment>.yaml` (`lightwork:destroy`), a tenant's in its own file, beside
`state: leaving`. They name resources by their logical names, one by one; there is no pattern for many.

The engine goes by what the state says of a resource, so that an entry is deployed while the resource is still
in the program, and the resource is taken out, or the stack destroyed, after that.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What of one stack may end.

    Attributes:
        names: the logical names of the resources.
        source: where that is written, for messages.
    """

    names: tuple[str, ...]
    source: str


def of(settings: Settings, tenant: Tenant | None) -> Permission:
    """The permission for an environment's estate, or for one of its tenants.

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
    """Make the resources of a stack, without `protect` and `retain_on_delete` where a permission names one.

    A name that nothing has, of what is made within, gets one line of warning and not an error: who has taken
    a resource out of the program still needs the entry, for the deployment that ends it.
    """
    kept: set[str] = set()
    used: set[str] = set()

    def lift(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not (args.opts.protect or args.opts.retain_on_delete):
            return None
        kept.add(args.name)
        if args.name not in permission.names:
            return None
        used.add(args.name)
        opts = copy.copy(args.opts)
        opts.protect = opts.retain_on_delete = False
        return pulumi.ResourceTransformationResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(lift)
    yield
    for line in warnings(permission, used=used, kept=kept):
        pulumi.log.warn(line)


def warnings(permission: Permission, *, used: Collection[str], kept: Collection[str]) -> list[str]:
    """One line for each name that permits nothing.

    Args:
        permission: what may end.
        used: the names that a protected or retained resource has.
        kept: the names of everything that is protected or retained.
    """
    return [
        f"{permission.source}: found {name!r}; nothing that this program keeps has that name"
        f"{near(name, kept)} (once it has gone for good, take the entry out)"
        for name in permission.names
        if name not in used
    ]
