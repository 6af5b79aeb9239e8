"""The settings of an environment: `Pulumi.<environment>.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, ValidationInfo, field_validator

from infra.config.fields import (
    Account,
    Addresses,
    Branch,
    Domain,
    Email,
    ProjectPath,
    Region,
    ResourceNames,
    RoleArns,
)
from infra.config.sizes import DEFAULTS, Sizes
from lightwork import documents
from lightwork.errors import InputError
from lightwork.tenants import Environment

if TYPE_CHECKING:
    from pathlib import Path

    from infra.config.stack import AnyEnvironment


PROJECT = "lightwork"
PREFIX = f"{PROJECT}:"


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
    administrators: RoleArns
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
    destroy: ResourceNames = ()
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


def read(root: Path, environment: AnyEnvironment, *, example: str) -> tuple[Path, dict[str, Any], Any]:
    """Read the keys of `Pulumi.<environment>.yaml` that are this program's, without their prefix.

    Args:
        root: the repository's root.
        environment: the environment.
        example: a key that the file must have, for the message about a file that has none.

    Returns:
        The file, the keys with their values, and the node that they stand in.

    Raises:
        InputError: the file cannot be read, or has no `config`.
    """
    path = root / f"Pulumi.{environment}.yaml"
    content, node = documents.read(path)
    config = content.get("config")
    if not isinstance(config, dict):
        raise InputError(f"{path}: config: is missing; it holds {PREFIX}{example} and the others")
    own = {key.removeprefix(PREFIX): value for key, value in config.items() if str(key).startswith(PREFIX)}
    return path, own, documents.child(node, "config")


def load(root: Path, environment: Environment) -> Settings:
    """Read `Pulumi.<environment>.yaml`; keys of other projects (`aws:`, `pulumi:`) are Pulumi's own affair.

    Raises:
        InputError: one line for each mistake: `file:line: key: what was found; what is allowed`.
    """
    path, own, below = read(root, environment, example="account")
    if "environment" in own:
        raise InputError(f"{path}: {PREFIX}environment: is said by the file's name; take it out")
    sizes = own.pop("sizes", {})
    if isinstance(sizes, dict):
        sizes = {**DEFAULTS[environment], **sizes}
    return documents.parse(
        Settings,
        {"environment": environment, **own, "sizes": sizes},
        path=path,
        node=below,
        prefix=PREFIX,
    )
