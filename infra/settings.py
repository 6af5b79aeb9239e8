"""What the program is told: the stack's name, and the settings in `Pulumi.<environment>.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast, get_args

from pydantic import AfterValidator, Field, StringConstraints

from lightwork import documents
from lightwork.errors import InputError
from lightwork.suggest import near
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


Account = Annotated[str, StringConstraints(pattern=r"^\d{12}$"), AfterValidator(_chosen)]
"""An AWS account's id: twelve digits, as text."""

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", max_length=16)]
"""An AWS region, such as eu-central-1."""


class Settings(documents.Document):
    """One environment's settings."""

    environment: Environment
    account: Account
    region: Region
    kube_context: Annotated[str, Field(min_length=1)]


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
    below = documents.child(node, "config")
    return documents.parse(
        Settings, {"environment": environment, **own}, path=path, node=below, prefix=prefix
    )
