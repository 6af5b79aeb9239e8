"""A stack's name: what it is made of, taken apart and put together here alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args

from lightwork.errors import InputError
from lightwork.suggest import near
from lightwork.tenants import Environment

NAME = "local"


def is_local(stack: str) -> bool:
    """Whether a stack's name is that of a local one."""
    return stack.partition(".")[0] == NAME


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
