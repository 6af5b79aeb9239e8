"""What the program is told: the stack's name, and the settings in `Pulumi.<environment>.yaml`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

from pydantic import AfterValidator, ConfigDict, ValidationInfo, field_validator

from infra.sizes import DEFAULTS, Form, Sizes
from lightwork import documents
from lightwork.errors import InputError, near
from lightwork.tenants import Environment

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "lightwork"


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


class GitLab(documents.Document):
    """Who deploys."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    host: Domain = "gitlab.com"
    """Where GitLab is."""
    project: ProjectPath
    """This repository's path there."""
    branch: Branch = "main"
    """The protected branch that is deployed from."""


class Settings(documents.Document):
    """One environment's settings."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    environment: Environment
    """Which one."""
    account: Account
    """Its AWS account."""
    region: Region
    """Where in AWS."""
    domain: Domain
    """The DNS domain below which Argo's web page is."""
    administrators: Annotated[tuple[RoleArn, ...], AfterValidator(_some)]
    """The IAM roles of the people who may do everything in the cluster."""
    api_public_cidrs: tuple[Addresses, ...] = ()
    """From where the cluster's API is reached from outside the VPC; empty: from nowhere."""
    alarm_email: Email
    """Who is told about alarms."""
    gitlab: GitLab
    """Who deploys."""
    account_parts: Literal["make", "exists"] = "make"
    """What an account has but once, GitLab's OIDC provider and OpenSearch's service-linked role: `make` it
    here, or it `exists`, as another environment of the same account has made it.
    """
    sizes: Sizes
    """How large it is."""
    destroy: Annotated[tuple[ResourceName, ...], AfterValidator(_once)] = ()
    """What of the estate may be deleted or replaced although it is precious: the logical names of single
    resources, as previews show them. Deployed first; `protect` and retention of exactly these are lifted.
    """

    @field_validator("administrators")
    @classmethod
    def _of_this_account(cls, roles: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        account = info.data.get("account")
        strangers = [role for role in roles if account and role.split(":")[4] != account]
        if strangers:
            raise ValueError(f"{strangers[0]} is not a role of the account {account}")
        return roles


@dataclass(frozen=True, slots=True, kw_only=True)
class StackName:
    """What a stack's name says: `dev` is the estate of an environment, `dev.acme` one tenant in it."""

    environment: Environment
    tenant: str | None

    @classmethod
    def parse(cls, name: str) -> StackName:
        """Take a stack's name apart.

        Raises:
            InputError: it names no environment, or is neither of the two kinds.
        """
        environment, dot, tenant = name.partition(".")
        if environment not in get_args(Environment):
            raise InputError(
                f"stack {name!r}: no environment {environment!r}{near(environment, get_args(Environment))}"
            )
        if dot and (not tenant or "." in tenant):
            raise InputError(f"stack {name!r}: a tenant's stack is named {environment}.<tenant>")
        return cls(environment=cast("Environment", environment), tenant=tenant or None)


def load(root: Path, environment: Environment) -> Settings:
    """Read `Pulumi.<environment>.yaml`; keys of other projects (`aws:`, `pulumi:`) are Pulumi's own affair.

    Raises:
        InputError: one line for each mistake: `file:line: key: what was found; what is allowed`.
    """
    path = root / f"Pulumi.{environment}.yaml"
    content, node = documents.read(path)
    config = content.get("config")
    if not isinstance(config, dict):
        raise InputError(f"{path}: config: is missing; it holds {PROJECT}:account and the others")
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): value for key, value in config.items() if str(key).startswith(prefix)}
    if "environment" in own:
        raise InputError(f"{path}: {prefix}environment: is said by the file's name; take it out")
    sizes = own.pop("sizes", {})
    if isinstance(sizes, dict):
        sizes = {**DEFAULTS[environment], **sizes}
    below = documents.child(node, "config")
    return documents.parse(
        Settings,
        {"environment": environment, **own, "sizes": sizes},
        path=path,
        node=below,
        prefix=prefix,
    )
