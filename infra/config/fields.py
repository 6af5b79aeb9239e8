"""The types of the settings' values, each with a message that says what was expected."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import core_schema

from infra.config.subnets import SERVICES

if TYPE_CHECKING:
    from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler


@dataclass(frozen=True, slots=True)
class Form:
    """A pattern for a text, with a description in words for the message.

    Attributes:
        pattern: the regular expression that the whole text must match.
        description: the expected text in words, such as "a DNS name such as dev.example.com".
    """

    pattern: str
    description: str

    def check(self, text: str) -> str:
        """Return the text unchanged, or refuse it.

        Raises:
            ValueError: it does not match the pattern.
        """
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"expected {self.description}")
        return text

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


def _x86(instance_type: str) -> str:
    family = re.fullmatch(r"[a-z]+\d+([a-z-]*)\.\w+", instance_type)
    if family is None or "g" in family[1]:
        raise ValueError("expected an x86 type: the platform's image does not run on Graviton")
    return instance_type


def _vpc(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        network = None
    if network is None or network.prefixlen != 16 or not network.is_private:
        raise ValueError("expected a private /16 network such as 10.20.0.0/16")
    if network.overlaps(ipaddress.IPv4Network(SERVICES)):
        raise ValueError("the cluster's Services use these addresses: choose others, such as 10.20.0.0/16")
    return cidr


def _same_size(types: tuple[str, ...]) -> tuple[str, ...]:
    # The autoscaler takes all nodes of a group to be alike: a smaller one would have less room than planned.
    if len(types) < 2:
        raise ValueError("give at least two types: more choice means more spot capacity")
    if len({(name[0], name.partition(".")[2]) for name in types}) > 1:
        raise ValueError("all types must have the same size: the same processors and memory")
    return types


InstanceType = Annotated[
    str,
    Form(r"[cmr]\d[a-z-]*\.\d*x?large", "an EC2 type of the families c, m or r, such as m7i.2xlarge"),
    AfterValidator(_x86),
]
"""An EC2 type of the families c, m or r, such as m7i.2xlarge."""

WorkerTypes = Annotated[tuple[InstanceType, ...], AfterValidator(_same_size)]
"""At least two EC2 types, all of the same size."""

Vpc = Annotated[str, AfterValidator(_vpc)]
"""The address range of a VPC: a private /16."""

Few = Annotated[int, Field(ge=1, le=20)]
Many = Annotated[int, Field(ge=1, le=500)]
Gigabytes = Annotated[int, Field(ge=20, le=16384)]


def _chosen(account: str) -> str:
    if not account.strip("0"):
        raise ValueError("the zeros are a placeholder: put the environment's account here")
    return account


def _commercial(region: str) -> str:
    if region.startswith(("cn-", "us-gov-", "us-iso", "eu-isoe-")):
        raise ValueError("only regions of AWS's main partition are supported")
    return region


def _narrow(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr if "/" in cidr else "")
    except ValueError:
        raise ValueError("expected an address range such as 198.51.100.0/24") from None
    if network.prefixlen < 16:
        raise ValueError("larger than a /16: name only the addresses of your own offices and runners")
    return cidr


def _at_least_one(roles: tuple[str, ...]) -> tuple[str, ...]:
    if not roles:
        raise ValueError(
            "name at least one role: nobody else has access to the cluster, not even its creator"
        )
    return roles


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := [name for position, name in enumerate(names) if name in names[:position]]:
        raise ValueError(f"{repeated[0]!r} is listed twice: keep one")
    return names


def _few(ranges: tuple[str, ...]) -> tuple[str, ...]:
    if len(ranges) > MOST_RANGES:
        raise ValueError(f"has {len(ranges)} ranges; AWS takes {MOST_RANGES}: name larger ones")
    return ranges


MOST_RANGES = 40
"""What EKS takes for a cluster's API, a quota that cannot be raised. The balancer's group would take 60."""

DNS = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"

Account = Annotated[
    str, Form(r"\d{12}", "an account ID of twelve digits, in quotes"), AfterValidator(_chosen)
]
"""An AWS account ID: twelve digits, as text."""

Region = Annotated[
    str,
    Form(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1"),
    AfterValidator(_commercial),
]
"""An AWS region, such as eu-central-1."""

Domain = Annotated[str, Form(DNS, "a DNS name such as dev.example.com")]
"""A DNS name, such as dev.example.com."""

Zone = Annotated[str, Form(r"Z[A-Z0-9]{4,31}", "the ID of a Route 53 zone, such as Z0123456789ABCDEFGHIJ")]
"""The ID of a Route 53 zone, such as Z0123456789ABCDEFGHIJ."""

Addresses = Annotated[str, AfterValidator(_narrow)]
"""A range of IPv4 addresses of at most a /16, such as 198.51.100.0/24."""

Ranges = Annotated[tuple[Addresses, ...], AfterValidator(_unique), AfterValidator(_few)]
"""Ranges of addresses, each once, and no more than AWS takes."""

RoleArn = Annotated[
    str,
    Form(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of one IAM role, arn:aws:iam::…:role/…"),
]
"""An IAM role's ARN, without wildcards."""

RoleArns = Annotated[tuple[RoleArn, ...], AfterValidator(_at_least_one), AfterValidator(_unique)]
"""At least one IAM role, each once."""

ProjectPath = Annotated[
    str,
    Form(r"[\w.-]+(/[\w.-]+)+", "the path of one GitLab project, such as group/project"),
]
"""The path of a GitLab project, such as group/project, without wildcards."""

Branch = Annotated[str, Form(r"[\w./-]+", "the name of one branch")]
"""The name of a branch, without wildcards."""

Email = Annotated[str, Form(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")]
"""An e-mail address."""

ResourceName = Annotated[
    str,
    Form(
        r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "the logical name of one resource, such as lake-bucket"
    ),
]
"""A resource's logical name, without wildcards."""

Charts = Annotated[
    str,
    Form(
        r"(https?://[^\s/@]+(/[^\s@]*)?)|((?![a-z]+:)[^\s@]+)",
        "the URL of a Helm repository, without credentials, or a folder",
    ),
]
"""Where charts come from: a Helm repository with all of them, or a folder with their archives."""

ResourceNames = Annotated[tuple[ResourceName, ...], AfterValidator(_unique)]
"""Names of resources, each once."""
