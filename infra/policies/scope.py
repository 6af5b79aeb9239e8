"""The resources of an environment, as the ARNs and conditions that policies use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.policies.statements import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The resources of an environment, as the ARNs and conditions that policies use.

    Attributes:
        names: the environment's names.
        estate_boundary: the ARN of the permissions boundary of the estate's roles.
        tenant_boundary: the ARN of the permissions boundary of the tenants' roles.
        zone_id: the Route 53 zone of the pages' names; None without pages.
        hosts: the host names of the pages.
    """

    names: Names
    estate_boundary: str
    tenant_boundary: str
    zone_id: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def new(self) -> Condition:
        """Match requests that tag the new resource as this environment's."""
        return {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def own(self) -> Condition:
        """Match requests for resources that are tagged as this environment's."""
        return {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def buckets(self) -> str:
        """The environment's buckets, including the lakes."""
        return f"arn:aws:s3:::lw-{self.names.environment}-*"

    @property
    def lakes(self) -> str:
        """The lakes only: the estate's own buckets do not end in the region."""
        return f"{self.buckets}-{self.names.account}-{self.names.region}"

    @property
    def state(self) -> str:
        """The bucket of Pulumi's states."""
        return f"arn:aws:s3:::{self.names.bucket('state')}"

    @property
    def roles(self) -> str:
        """The roles of the estate and its tenants, without CI's."""
        return self.arn_of_iam("role", self.names.role_path)

    @property
    def tenant_roles(self) -> str:
        """The tenants' roles."""
        return self.arn_of_iam("role", self.names.tenant_role_path)

    @property
    def cluster(self) -> list[str]:
        """The cluster and its parts: node groups, add-ons, access entries, pod identity associations."""
        parts = {
            "cluster": "",
            "nodegroup": "/*/*",
            "addon": "/*/*",
            "access-entry": "/*",
            "podidentityassociation": "/*",
        }
        return [self.arn("eks", f"{kind}/{self.names.cluster}{suffix}") for kind, suffix in parts.items()]

    @property
    def zone(self) -> str:
        """The zone of the pages' names."""
        return f"arn:aws:route53:::hostedzone/{self.zone_id}"

    @property
    def balancers(self) -> list[str]:
        """The pages' balancer and its parts."""
        own = f"{self.names.cluster}-*"
        parts = (
            f"loadbalancer/app/{own}",
            f"listener/app/{own}",
            f"listener-rule/app/{own}",
            f"targetgroup/{own}",
        )
        return [self.arn("elasticloadbalancing", part) for part in parts]

    @property
    def state_key(self) -> Condition:
        """Match requests for the key of Pulumi's states, which has a known alias but no known ARN."""
        return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": self.names.key("state")}}

    def arn_of_iam(self, kind: str, path: str) -> str:
        """Return the pattern for the ARNs of all roles or policies below a path."""
        return f"arn:aws:iam::{self.names.account}:{kind}{path}*"

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the environment's region and account."""
        return f"arn:aws:{service}:{self.names.region}:{self.names.account}:{resource}"
