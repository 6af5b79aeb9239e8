"""A tenant: one customer, described by one file, `tenants/<name>.yaml`, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from lightwork import documents
from lightwork.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

Environment = Literal["dev", "staging", "prod"]

TenantName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=2, max_length=20)
]
"""A DNS label, and short enough for every name that is made from it."""


class Tenant(documents.Document):
    """What `tenants/<name>.yaml` says."""

    name: TenantName = Field(description="The tenant's name, which is also the file's.")
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = Field(
        description="Where the tenant exists."
    )
    data_retention_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = Field(
        default=90,
        description="Days for which data deleted or overwritten in the tenant's lake can be brought back.",
    )

    @property
    def namespace(self) -> str:
        """The tenant's Kubernetes namespace; the prefix keeps it apart from the cluster's own."""
        return f"tenant-{self.name}"


def load(path: Path) -> Tenant:
    """Read one tenant's file.

    Raises:
        InputError: one line for each mistake: `file:line: field: what was found; what is allowed`.
    """
    content, node = documents.read(path)
    tenant = documents.parse(Tenant, content, path=path, node=node)
    if tenant.name != path.stem:
        raise InputError(f"{path}: name: found {tenant.name!r}; the file's name says {path.stem!r}")
    return tenant


def namespace(tenant: Tenant) -> dict[str, Any]:
    """The manifest of a tenant's namespace: every pod in it must meet the Pod Security level `restricted`."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": tenant.namespace,
            "labels": {
                "app.kubernetes.io/part-of": "lightwork",
                "lightwork/tenant": tenant.name,
                **level,
            },
        },
    }
