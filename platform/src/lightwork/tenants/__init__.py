"""A tenant: one customer, described by one file, `tenants/<name>.yaml`."""

from __future__ import annotations

from lightwork.tenants.fields import Environment, TenantName
from lightwork.tenants.model import Entry, Pod, Quota, Tenant, Workers
from lightwork.tenants.people import People
from lightwork.tenants.reading import Loaded, find, load, read

__all__ = [
    "Entry",
    "Environment",
    "Loaded",
    "People",
    "Pod",
    "Quota",
    "Tenant",
    "TenantName",
    "Workers",
    "find",
    "load",
    "read",
]
