"""Physical names on AWS. A name that is too long is refused, never cut: cut names collide.

Kubernetes names depend on the tenant alone: see `lightwork.tenants`.
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
        """Return the names for an environment's settings."""
        return cls(environment=declared.environment, account=declared.account, region=declared.region)

    def check_account(self, account: str) -> None:
        """Refuse credentials of another account than the environment's.

        Args:
            account: the account that the credentials belong to.

        Raises:
            InputError: it is a different account.
        """
        if account != self.account:
            raise InputError(
                f"these AWS credentials belong to account {account}; {self.environment} is account"
                f" {self.account} (Pulumi.{self.environment}.yaml): use that account's credentials"
            )

    def lake_bucket(self, tenant: str) -> str:
        """Return the name of a tenant's bucket; account and region make it unique worldwide, as S3 requires.

        Raises:
            InputError: it is not a valid S3 bucket name.
        """
        return _bucket(f"lw-{self.environment}-{tenant}-{self.account}-{self.region}")

    def lake_key(self, tenant: str) -> str:
        """Return the alias of the KMS key of a tenant's lake.

        Raises:
            InputError: it is not a valid KMS alias.
        """
        return self.key(f"{tenant}/lake")

    def bucket(self, part: str) -> str:
        """Return the name of one of the estate's own buckets.

        It ends in its part; tenants' buckets end in the region, so the two never collide.

        Raises:
            InputError: it is not a valid S3 bucket name.
        """
        return _bucket(f"lw-{self.environment}-{self.account}-{self.region}-{part}")

    def key(self, part: str) -> str:
        """Return the alias of a KMS key.

        Raises:
            InputError: it is not a valid KMS alias.
        """
        name = f"alias/{PREFIX}/{self.environment}/{part}"
        return _checked("key alias", name, limit=256, pattern=r"alias/[a-zA-Z0-9/_-]+")

    def named(self, part: str, *, limit: int = 63) -> str:
        """Return the name of any other resource, such as `lightwork-dev-archive`.

        Args:
            part: the last part of the name.
            limit: the most characters that AWS allows for this kind of resource.

        Raises:
            InputError: it is longer than that, or not a valid name.
        """
        name = f"{PREFIX}-{self.environment}-{part}"
        return _checked("name", name, limit=limit, pattern=r"[a-z][a-z0-9-]*[a-z0-9]")

    @property
    def cluster(self) -> str:
        """The name of the EKS cluster."""
        return f"{PREFIX}-{self.environment}"

    @property
    def cluster_arn(self) -> str:
        """The ARN of the EKS cluster, known before it is created."""
        return f"arn:aws:eks:{self.region}:{self.account}:cluster/{self.cluster}"

    @property
    def search_domain(self) -> str:
        """The name of the OpenSearch domain; AWS allows 28 characters."""
        return self.named("logs", limit=28)

    @property
    def image_repository(self) -> str:
        """The ECR repository of the platform's image; environments that share an account have one each."""
        return f"{PREFIX}/{self.environment}/platform"

    @property
    def role_path(self) -> str:
        """The IAM path of the estate's roles; policies refer to the roles by it."""
        return f"/{PREFIX}/{self.environment}/"

    @property
    def tenant_role_path(self) -> str:
        """The IAM path of the tenants' roles."""
        return f"/{PREFIX}/{self.environment}/tenants/"

    @property
    def ci_path(self) -> str:
        """The IAM path of CI's roles and of the boundaries. CI cannot change anything below it."""
        return f"/{PREFIX}-ci/{self.environment}/"

    def ci_role_arn(self, kind: str) -> str:
        """Return the ARN of CI's role `preview` or `apply`, known before it is created."""
        return f"arn:aws:iam::{self.account}:role{self.ci_path}{self.named(kind, limit=64)}"

    def boundary_arn(self, kind: str) -> str:
        """Return the ARN of the permissions boundary `estate` or `tenant`, known before it is created."""
        return f"arn:aws:iam::{self.account}:policy{self.ci_path}{self.named(f'{kind}-boundary', limit=128)}"

    def role_arn(self, name: str, *, tenant: bool = False) -> str:
        """Return the ARN of a role, known before it is created."""
        path = self.tenant_role_path if tenant else self.role_path
        return f"arn:aws:iam::{self.account}:role{path}{name}"

    def secret_prefix(self, tenant: str) -> str:
        """Return the prefix of the names of a tenant's secrets."""
        return f"{PREFIX}/{self.environment}/{tenant}/"

    @property
    def backend(self) -> str:
        """The backend of this environment's Pulumi states, in the form of `PULUMI_BACKEND_URL`."""
        return f"s3://{self.bucket('state')}?region={self.region}&awssdk=v2"

    @property
    def secrets_provider(self) -> str:
        """The key that encrypts a state's secrets, in the form of `pulumi stack init --secrets-provider`."""
        return f"awskms:///{self.key('state')}?region={self.region}"

    def tags(self, tenant: str | None = None) -> dict[str, str]:
        """Return the tags of every resource; with a tenant, also the tag that its costs are allocated by."""
        tags = {"project": PREFIX, "environment": self.environment}
        return tags if tenant is None else {**tags, "tenant": tenant}


def _bucket(name: str) -> str:
    return _checked("bucket", name, limit=63, pattern=r"[a-z0-9][a-z0-9-]*[a-z0-9]")


def _checked(kind: str, name: str, *, limit: int, pattern: str) -> str:
    if len(name) > limit:
        excess = f"{len(name) - limit} character(s) too long ({limit} are allowed)"
        remedy = "shorten the tenant's name" if kind != "name" else "shorten it in the program"
        raise InputError(f"{kind} {name!r} is {excess}: {remedy}")
    if not re.fullmatch(pattern, name):
        raise InputError(f"{kind} {name!r} is not a valid AWS name (it must match {pattern})")
    return name
