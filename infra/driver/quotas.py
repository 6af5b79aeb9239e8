"""An account's quotas, compared with what an environment takes, before anything is deployed.

A new account may run a handful of processors, on demand and on spot apart. AWS says so only when an instance
is not started, which shows as a node group that does not come up, or as a run without workers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.config import settings
from infra.config.naming import Names
from infra.config.nodes import groups, processors
from infra.config.subnets import ZONES
from lightwork.errors import LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.config.sizes import Sizes
    from infra.driver.selection import Choice
    from lightwork.tenants import Environment

ROLES_OF_A_TENANT = 5
"""The IAM roles in the stack of a tenant whose file names people; others have one less."""
GLOBAL_REGION = "us-east-1"
"""The region in which quotas of IAM are changed."""
BY_HAND = "compare them by hand: docs/first-install.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an environment takes of a quota.

    Attributes:
        service: the service's code.
        code: the quota's code.
        what: what it counts.
        least: what the deployment or the first run takes.
        most: what the environment may take as it grows.
        stops_deployment: whether the deployment fails with less than `least`.
        region: the region in which it is changed.
    """

    service: str
    code: str
    what: str
    least: int
    most: int
    stops_deployment: bool
    region: str

    def line(self, value: float) -> str:
        """Return the line about a quota that is too small.

        Args:
            value: the quota's value.
        """
        fewer = "fewer than are needed to begin with" if value < self.least else "fewer than it may come to"
        numbers = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        return (
            f"the account may have {value:g} {self.what}, {fewer}: {numbers}; to ask for more:"
            f" aws service-quotas request-service-quota-increase --service-code {self.service}"
            f" --quota-code {self.code} --desired-value {self.most} --region {self.region}"
        )


def check(root: Path, environment: Environment, choice: Choice) -> list[str]:
    """Compare an account's quotas with what a deployment takes.

    Quotas that cannot be read stop nothing. What else the account runs is not known, except for addresses and
    roles.

    Args:
        root: the repository's root.
        environment: the environment.
        choice: the stacks to deploy.

    Returns:
        A line for each quota that is too small for what the environment may grow to.

    Raises:
        LightworkError: a quota is too small for the deployment, one line each.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    declared = settings.load(root, environment)
    names = Names.of(declared)
    session = boto3.Session(region_name=names.region)
    try:
        found = list(_too_small(session, names, declared.sizes, choice))
    except (BotoCoreError, ClientError) as error:
        return [f"the account's quotas cannot be read ({one_line(str(error))}); {BY_HAND}"]
    if refused := [need.line(value) for need, value in found if need.stops_deployment and value < need.least]:
        raise LightworkError("\n".join(refused))
    return [need.line(value) for need, value in found]


def of_nodes(sizes: Sizes, region: str) -> Iterator[Need]:
    """Yield what the nodes take: processors on demand and on spot, which count apart.

    The first run starts a node of each kind that has none yet.
    """
    for spot, code, kind in ((False, "L-1216C47A", "on-demand"), (True, "L-34B43A08", "spot")):
        nodes = Counter[str]()
        each: dict[str, int] = {}
        most = 0
        for group in groups(sizes):
            if group.spot is spot:
                nodes[group.pool] += group.min_size
                each[group.pool] = processors(group.types[0])
                most += group.max_size * each[group.pool]
        yield Need(
            service="ec2",
            code=code,
            what=f"processors of {kind} instances",
            least=sum(max(1, count) * each[pool] for pool, count in nodes.items()),
            most=most,
            stops_deployment=not spot,
            region=region,
        )


def _too_small(session: Any, names: Names, sizes: Sizes, choice: Choice) -> Iterator[tuple[Need, float]]:
    if choice.estate:
        client = session.client("service-quotas")
        for need in (*of_nodes(sizes, names.region), _addresses(session, names, sizes)):
            value = _value(client, need)
            if value < need.most:
                yield need, value
    if choice.tenants:
        client = session.client("iam")
        summary = client.get_account_summary()["SummaryMap"]
        value = float(summary["RolesQuota"])
        if value < summary["Roles"] + ROLES_OF_A_TENANT * len(choice.tenants):
            new = sum(_is_new(client, names, tenant) for tenant in choice.tenants)
            needed = summary["Roles"] + ROLES_OF_A_TENANT * new
            if value < needed:
                yield _roles(needed), value


def _addresses(session: Any, names: Names, sizes: Sizes) -> Need:
    """Return the need of public addresses: a gateway's each, beside those that others have."""
    addresses = session.client("ec2").describe_addresses()["Addresses"]
    own = names.tags().items()
    others = [
        address
        for address in addresses
        if not own <= {(tag["Key"], tag["Value"]) for tag in address.get("Tags", ())}
    ]
    total = len(others) + (len(ZONES) if sizes.nat_per_zone else 1)
    return Need(
        service="ec2",
        code="L-0263D0A3",
        what="Elastic IP addresses",
        least=total,
        most=total,
        stops_deployment=True,
        region=names.region,
    )


def _is_new(client: Any, names: Names, tenant: str) -> bool:
    """Return whether a tenant has no roles yet."""
    from botocore.exceptions import ClientError

    from infra.tenant.identity import pods_role

    try:
        client.get_role(RoleName=pods_role(names, tenant))
    except ClientError:
        # A missing role has no path, by which CI's roles may read roles: they are told that access is denied.
        return True
    return False


def _roles(needed: int) -> Need:
    return Need(
        service="iam",
        code="L-FE177D64",
        what="IAM roles",
        least=needed,
        most=needed,
        stops_deployment=False,
        region=GLOBAL_REGION,
    )


def _value(client: Any, need: Need) -> float:
    """Return a quota's value; AWS has none of the account's own for a quota that was never changed."""
    query = {"ServiceCode": need.service, "QuotaCode": need.code}
    try:
        answer = client.get_service_quota(**query)
    except client.exceptions.NoSuchResourceException:
        answer = client.get_aws_default_service_quota(**query)
    return float(answer["Quota"]["Value"])
