"""The kinds of values that settings hold, each with the message for what is not one."""

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
    """A text of a form; where it is not, the message says in words what belongs there.

    Attributes:
        pattern: the form, for the whole of the text.
        what: what belongs there.
    """

    pattern: str
    what: str

    def check(self, text: str) -> str:
        """The text, if it is of the form.

        Raises:
            ValueError: it is not.
        """
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"{self.what} belongs here")
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
        raise ValueError("the platform's image is for x86; Graviton types do not run it")
    return instance_type


def _vpc(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        network = None
    if network is None or network.prefixlen != 16 or not network.is_private:
        raise ValueError("a private network of 16 bits belongs here, such as 10.20.0.0/16")
    if network.overlaps(ipaddress.IPv4Network(SERVICES)):
        raise ValueError("the cluster's own Services have these addresses: take others, such as 10.20.0.0/16")
    return cidr


def _alike(types: tuple[str, ...]) -> tuple[str, ...]:
    # The autoscaler takes one type of a group for all: a smaller one would come up short.
    if len(types) < 2:
        raise ValueError("at least two types belong here: spot is had more often where there is a choice")
    if len({(name[0], name.partition(".")[2]) for name in types}) > 1:
        raise ValueError("these are not all of one size: processors and memory of all must be the same")
    return types


InstanceType = Annotated[
    str,
    Form(r"[cmr]\d[a-z-]*\.\d*x?large", "an EC2 type of the families c, m or r, such as m7i.2xlarge,"),
    AfterValidator(_x86),
]
"""An EC2 type of the families c, m or r, such as m7i.2xlarge."""

WorkerTypes = Annotated[tuple[InstanceType, ...], AfterValidator(_alike)]
"""Several EC2 types, all of one size."""

Vpc = Annotated[str, AfterValidator(_vpc)]
"""The addresses of a VPC."""

Few = Annotated[int, Field(ge=1, le=20)]
Many = Annotated[int, Field(ge=1, le=500)]
Gigabytes = Annotated[int, Field(ge=20, le=16384)]


def _chosen(account: str) -> str:
    if not account.strip("0"):
        raise ValueError(
            "zeros stand for an account that nobody has chosen yet: put the environment's account here"
        )
    return account


def _commercial(region: str) -> str:
    if region.startswith(("cn-", "us-gov-", "us-iso", "eu-isoe-")):
        raise ValueError("only the regions of AWS's main partition are supported")
    return region


def _not_everybody(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr if "/" in cidr else "")
    except ValueError:
        raise ValueError("a range of addresses such as 198.51.100.0/24 belongs here") from None
    if network.prefixlen < 16:
        raise ValueError("this is half the world: name the addresses of your own offices and runners")
    return cidr


def _some(roles: tuple[str, ...]) -> tuple[str, ...]:
    if not roles:
        raise ValueError("name at least one role: nobody else comes into the cluster, its maker included")
    return roles


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for position, name in enumerate(names) if name in names[:position]]:
        raise ValueError(f"{twice[0]!r} is here a second time; keep one")
    return names


DNS = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"

Account = Annotated[str, Form(r"\d{12}", "an account's twelve digits, in quotes,"), AfterValidator(_chosen)]
"""An AWS account's id: twelve digits, as text."""

Region = Annotated[
    str,
    Form(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1"),
    AfterValidator(_commercial),
]
"""An AWS region, such as eu-central-1."""

Domain = Annotated[str, Form(DNS, "a DNS name such as dev.example.com")]
"""A DNS name, such as dev.example.com."""

Addresses = Annotated[str, AfterValidator(_not_everybody)]
"""A range of IPv4 addresses, such as 198.51.100.0/24."""

RoleArn = Annotated[
    str,
    Form(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of one IAM role, arn:aws:iam::…:role/…,"),
]
"""An IAM role's ARN. Without wildcards."""

RoleArns = Annotated[tuple[RoleArn, ...], AfterValidator(_some)]
"""At least one IAM role."""

ProjectPath = Annotated[
    str,
    Form(r"[\w.-]+(/[\w.-]+)+", "the path of one GitLab project, such as group/project,"),
]
"""The path of a GitLab project, such as group/project. Without wildcards."""

Branch = Annotated[str, Form(r"[\w./-]+", "the name of one branch")]
"""A branch. Without wildcards."""

Email = Annotated[str, Form(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")]
"""An e-mail address."""

ResourceName = Annotated[
    str,
    Form(
        r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "the logical name of one resource, such as lake-bucket,"
    ),
]
"""The name that a resource has in its stack. Without wildcards."""

ResourceNames = Annotated[tuple[ResourceName, ...], AfterValidator(_once)]
"""Names of resources, each once."""
