"""Physical names on AWS, all from here. A name that is too long is refused, never cut: a cut name collides.

Kubernetes names follow from the tenant alone: `lightwork.tenants`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lightwork.errors import InputError

PREFIX = "lightwork"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one environment's resources."""

    environment: str
    account: str
    region: str

    def lake_bucket(self, tenant: str) -> str:
        """A tenant's bucket. Bucket names are one space for the whole world: account and region make it ours.

        Raises:
            InputError: S3 takes no such name.
        """
        name = f"lw-{self.environment}-{tenant}-{self.account}-{self.region}"
        return _checked("bucket", name, limit=63, pattern=r"[a-z0-9][a-z0-9-]*[a-z0-9]")

    def lake_key(self, tenant: str) -> str:
        """The alias of the key of a tenant's lake.

        Raises:
            InputError: KMS takes no such name.
        """
        name = f"alias/{PREFIX}/{self.environment}/{tenant}/lake"
        return _checked("key alias", name, limit=256, pattern=r"alias/[a-zA-Z0-9/_-]+")

    def tags(self, tenant: str | None = None) -> dict[str, str]:
        """The tags that every resource carries; with a tenant, also what its cost is booked to."""
        tags = {"project": PREFIX, "environment": self.environment}
        return tags if tenant is None else {**tags, "tenant": tenant}


def _checked(kind: str, name: str, *, limit: int, pattern: str) -> str:
    if len(name) > limit:
        over = f"{len(name) - limit} character(s) too long ({limit} are allowed)"
        raise InputError(f"{kind} {name!r} is {over}: shorten the tenant's name")
    if not re.fullmatch(pattern, name):
        raise InputError(f"{kind} {name!r} is not a name that AWS takes (it must match {pattern})")
    return name
