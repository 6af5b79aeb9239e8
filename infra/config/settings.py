"""The settings of an environment: `Pulumi.<environment>.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, ValidationInfo, field_validator

from infra.config.fields import (
    Account,
    Branch,
    Charts,
    Domain,
    Email,
    ProjectPath,
    Ranges,
    Region,
    ResourceNames,
    RoleArns,
    Zone,
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
    """The GitLab project that deploys."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    host: Domain = "gitlab.com"
    """GitLab's host name."""
    project: ProjectPath
    """The path of this repository on GitLab."""
    branch: Branch = "main"
    """The protected branch that is deployed."""

    @property
    def group(self) -> str:
        """The group that the project is in. Its members look at every tenant on Argo's page."""
        return self.project.rpartition("/")[0]

    @property
    def operators(self) -> str:
        """The subgroup of it whose members may stop and submit runs of every tenant."""
        return f"{self.group}/operators"


class Settings(documents.Document):
    """The settings of one environment."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    environment: Environment
    """The environment's name."""
    account: Account
    """The AWS account: twelve digits, in quotes."""
    region: Region
    """The AWS region."""
    domain: Domain
    """The parent DNS domain; Argo's web page is at `argo.<domain>`, Grafana's at `grafana.<domain>`."""
    dns_zone: Zone | None = None
    """The public Route 53 zone, in this account, that `domain` is in; it gets the pages' names. Without it,
    the pages are reached by `kubectl port-forward` alone.
    """
    page_cidrs: Ranges = ()
    """The address ranges outside the VPC that may reach the pages; empty: the pages have private addresses
    and are reached from inside the VPC alone.
    """
    administrators: RoleArns
    """The ARNs of the IAM roles that have full access to the cluster."""
    api_public_cidrs: Ranges = ()
    """The address ranges outside the VPC that may reach the cluster's API; empty: none."""
    alarm_email: Email
    """The e-mail address that alarms are sent to."""
    gitlab: GitLab
    """The GitLab project that deploys."""
    account_parts: Literal["make", "exists"] = "make"
    """The two parts that an account can have only once: GitLab's OIDC provider and OpenSearch's
    service-linked role. `make` creates them here; `exists` means that another environment has created them.
    """
    charts: Charts | None = None
    """Where Helm charts come from, instead of their own repositories: the URL of a Helm repository that has
    all of them (a mirror), or a folder, relative to this file, with archives named `NAME-VERSION.tgz`.
    """
    sizes: Sizes
    """The sizes that differ from the environment's defaults."""
    destroy: ResourceNames = ()
    """The protected resources of the estate that may be deleted or replaced, by the logical names that
    previews show. Deploy the entry first: it lifts `protect` and retention of exactly these resources.
    """

    @field_validator("page_cidrs")
    @classmethod
    def _for_pages(cls, ranges: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if ranges and info.data.get("dns_zone", "wrong") is None:
            raise ValueError("nobody can reach pages without a name: set `dns_zone` as well")
        return ranges

    @field_validator("administrators")
    @classmethod
    def _of_this_account(cls, roles: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        account = info.data.get("account")
        foreign = [role for role in roles if account and role.split(":")[4] != account]
        if foreign:
            raise ValueError(f"{foreign[0]} is not a role of the account {account}")
        # EKS takes one entry a principal, and these have theirs.
        if own := [
            role for role in roles if role.split(":")[5].startswith(("role/lightwork/", "role/lightwork-ci/"))
        ]:
            raise ValueError(f"{own[0]} is a role of the platform itself; name the role of a person")
        return roles


def read(root: Path, environment: AnyEnvironment, *, example: str) -> tuple[Path, dict[str, Any], Any]:
    """Read this program's settings from `Pulumi.<environment>.yaml`, without their prefix.

    Args:
        root: the repository's root.
        environment: the environment.
        example: a required key, for the message about a file without any.

    Returns:
        The file, the keys with their values, and the YAML node that holds them.

    Raises:
        InputError: the file cannot be read, or has no `config`.
    """
    path = root / f"Pulumi.{environment}.yaml"
    content, node = documents.read(path)
    config = content.get("config")
    if not isinstance(config, dict):
        raise InputError(f"{path}: config: is missing; it must hold {PREFIX}{example} and the other settings")
    values = {key.removeprefix(PREFIX): value for key, value in config.items() if str(key).startswith(PREFIX)}
    return path, values, documents.child(node, "config")


def load(root: Path, environment: Environment) -> Settings:
    """Read `Pulumi.<environment>.yaml`, ignoring the keys of other projects (`aws:`, `pulumi:`).

    Raises:
        InputError: one line for each mistake: `file:line: key: what was found; what is allowed`.
    """
    path, values, node = read(root, environment, example="account")
    if "environment" in values:
        raise InputError(f"{path}: {PREFIX}environment: remove it; the file's name sets the environment")
    sizes = values.pop("sizes", {})
    if isinstance(sizes, dict):
        sizes = {**DEFAULTS[environment], **sizes}
    return documents.parse(
        Settings,
        {"environment": environment, **values, "sizes": sizes},
        path=path,
        node=node,
        prefix=PREFIX,
    )
