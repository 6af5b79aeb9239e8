"""What belongs to an environment, in the ways that policies can say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.policies.statements import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What belongs to an environment, in the ways that policies can say it.

    Attributes:
        names: the environment's names.
        estate_boundary: the ARN of the policy that bounds the estate's roles.
        tenant_boundary: the ARN of the one that bounds the tenants' roles.
    """

    names: Names
    estate_boundary: str
    tenant_boundary: str

    @property
    def new(self) -> Condition:
        """A request that tags what it makes as this environment's."""
        return {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def own(self) -> Condition:
        """A request about what is tagged as this environment's."""
        return {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def buckets(self) -> str:
        """The buckets, lakes among them."""
        return f"arn:aws:s3:::lw-{self.names.environment}-*"

    @property
    def lakes(self) -> str:
        """The lakes alone: the estate's own buckets do not end in the region."""
        return f"{self.buckets}-{self.names.account}-{self.names.region}"

    @property
    def state(self) -> str:
        """The bucket of Pulumi's states."""
        return f"arn:aws:s3:::{self.names.bucket('state')}"

    @property
    def roles(self) -> str:
        """The roles of estate and tenants; those of CI are not among them."""
        return self.arn_of_iam("role", self.names.role_path)

    @property
    def tenant_roles(self) -> str:
        """The roles of tenants."""
        return self.arn_of_iam("role", self.names.tenant_role_path)

    @property
    def cluster(self) -> list[str]:
        """The cluster and what belongs to it."""
        parts = {
            "cluster": "",
            "nodegroup": "/*/*",
            "addon": "/*/*",
            "access-entry": "/*",
            "podidentityassociation": "/*",
        }
        return [self.arn("eks", f"{kind}/{self.names.cluster}{rest}") for kind, rest in parts.items()]

    @property
    def state_key(self) -> Condition:
        """A request about the key of Pulumi's states, which is known by its alias alone."""
        return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": self.names.key("state")}}

    def arn_of_iam(self, kind: str, path: str) -> str:
        """The ARNs of all roles or policies below a path."""
        return f"arn:aws:iam::{self.names.account}:{kind}{path}*"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in the environment's region and account."""
        return f"arn:aws:{service}:{self.names.region}:{self.names.account}:{resource}"
