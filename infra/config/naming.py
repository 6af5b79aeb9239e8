"""Physical names on AWS, all from here. A name that is too long is refused, never cut: a cut name collides.

Kubernetes names follow from the tenant alone: `lightwork.tenants`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.errors import InputError

if TYPE_CHECKING:
    from infra.config.settings import Settings

PREFIX = "lightwork"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one environment's resources."""

    environment: str
    account: str
    region: str

    @classmethod
    def of(cls, declared: Settings) -> Names:
        """The names that follow from an environment's settings."""
        return cls(environment=declared.environment, account=declared.account, region=declared.region)

    def lake_bucket(self, tenant: str) -> str:
        """A tenant's bucket. Bucket names are one space for the whole world: account and region make it ours.

        Raises:
            InputError: S3 takes no such name.
        """
        return _bucket(f"lw-{self.environment}-{tenant}-{self.account}-{self.region}")

    def lake_key(self, tenant: str) -> str:
        """The alias of the key of a tenant's lake.

        Raises:
            InputError: KMS takes no such name.
        """
        return self.key(f"{tenant}/lake")

    def bucket(self, part: str) -> str:
        """A bucket of the estate itself. It ends in its part, so it is no tenant's: those end in the region.

        Raises:
            InputError: S3 takes no such name.
        """
        return _bucket(f"lw-{self.environment}-{self.account}-{self.region}-{part}")

    def key(self, part: str) -> str:
        """The alias of a key.

        Raises:
            InputError: KMS takes no such name.
        """
        name = f"alias/{PREFIX}/{self.environment}/{part}"
        return _checked("key alias", name, limit=256, pattern=r"alias/[a-zA-Z0-9/_-]+")

    def named(self, part: str, *, limit: int = 63) -> str:
        """The name of anything of the estate that AWS lets be named freely: `lightwork-dev-archive`.

        Raises:
            InputError: it is longer than AWS allows for this kind of thing.
        """
        name = f"{PREFIX}-{self.environment}-{part}"
        return _checked("name", name, limit=limit, pattern=r"[a-z][a-z0-9-]*[a-z0-9]")

    @property
    def cluster(self) -> str:
        """The EKS cluster."""
        return f"{PREFIX}-{self.environment}"

    @property
    def cluster_arn(self) -> str:
        """The cluster's ARN, known before there is a cluster."""
        return f"arn:aws:eks:{self.region}:{self.account}:cluster/{self.cluster}"

    @property
    def search_domain(self) -> str:
        """The OpenSearch domain; AWS allows 28 characters."""
        return self.named("logs", limit=28)

    @property
    def image_repository(self) -> str:
        """The ECR repository of the platform's image. Dev and prod may share an account, not a repository."""
        return f"{PREFIX}/{self.environment}/platform"

    @property
    def role_path(self) -> str:
        """The IAM path of the estate's roles; policies that speak of them name it."""
        return f"/{PREFIX}/{self.environment}/"

    @property
    def tenant_role_path(self) -> str:
        """The IAM path of the tenants' roles."""
        return f"/{PREFIX}/{self.environment}/tenants/"

    @property
    def ci_path(self) -> str:
        """The IAM path of CI's roles and of the boundaries. What CI may change begins otherwise."""
        return f"/{PREFIX}-ci/{self.environment}/"

    def ci_role_arn(self, kind: str) -> str:
        """The ARN of a role of CI, `preview` or `apply`, known before it is made."""
        return f"arn:aws:iam::{self.account}:role{self.ci_path}{self.named(kind, limit=64)}"

    def boundary_arn(self, kind: str) -> str:
        """The ARN of a permissions boundary, `estate` or `tenant`, known before it is made."""
        return f"arn:aws:iam::{self.account}:policy{self.ci_path}{self.named(f'{kind}-boundary', limit=128)}"

    def role_arn(self, name: str, *, tenant: bool = False) -> str:
        """The ARN of a role, known before it is made."""
        path = self.tenant_role_path if tenant else self.role_path
        return f"arn:aws:iam::{self.account}:role{path}{name}"

    def secret_prefix(self, tenant: str) -> str:
        """What the names of a tenant's secrets begin with."""
        return f"{PREFIX}/{self.environment}/{tenant}/"

    @property
    def backend(self) -> str:
        """Where Pulumi keeps this environment's states, as `PULUMI_BACKEND_URL` takes it."""
        return f"s3://{self.bucket('state')}?region={self.region}&awssdk=v2"

    @property
    def secrets_provider(self) -> str:
        """What encrypts the secrets of a state, as `pulumi stack init --secrets-provider` takes it."""
        return f"awskms:///{self.key('state')}?region={self.region}"

    def tags(self, tenant: str | None = None) -> dict[str, str]:
        """The tags that every resource carries; with a tenant, also what its cost is booked to."""
        tags = {"project": PREFIX, "environment": self.environment}
        return tags if tenant is None else {**tags, "tenant": tenant}


def _bucket(name: str) -> str:
    return _checked("bucket", name, limit=63, pattern=r"[a-z0-9][a-z0-9-]*[a-z0-9]")


def _checked(kind: str, name: str, *, limit: int, pattern: str) -> str:
    if len(name) > limit:
        over = f"{len(name) - limit} character(s) too long ({limit} are allowed)"
        shorter = "shorten the tenant's name" if kind != "name" else "shorten it in the program"
        raise InputError(f"{kind} {name!r} is {over}: {shorter}")
    if not re.fullmatch(pattern, name):
        raise InputError(f"{kind} {name!r} is not a name that AWS takes (it must match {pattern})")
    return name
