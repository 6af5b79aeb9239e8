"""A tenant: one customer, described by one file, `tenants/<name>.yaml`, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.tenants.model import Entry, Pod, Quota, Tenant, Workers
from lightwork.tenants.reading import Loaded, find, load, read
from lightwork.tenants.types import Environment, TenantName

if TYPE_CHECKING:
    from lightwork.manifests.common import Manifest

__all__ = [
    "Entry",
    "Environment",
    "Loaded",
    "Pod",
    "Quota",
    "Tenant",
    "TenantName",
    "Workers",
    "find",
    "load",
    "namespace",
    "read",
]


def namespace(tenant: Tenant) -> Manifest:
    """The manifest of a tenant's namespace: every pod in it must meet the Pod Security level `restricted`."""
    from lightwork.manifests import namespace as build

    return build.namespace(tenant)
