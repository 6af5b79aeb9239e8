"""A tenant: one customer, described by one file, `tenants/<name>.yaml`.

What describes the file is imported at its first use: some commands need only the size of a worker.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_MODULES = {
    "fields": ("Environment", "TenantName"),
    "model": ("Entry", "Pod", "Quota", "Tenant", "Workers"),
    "people": ("People",),
    "reading": ("Loaded", "find", "load", "read"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
