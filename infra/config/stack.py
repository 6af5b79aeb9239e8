"""Stack names: the only place that parses or builds them.

The command line needs this module first, so it imports no pydantic model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from lightwork.tenants import Environment

    AnyEnvironment: TypeAlias = Environment | Literal["local"]
    """An environment on AWS, or the local cluster."""

ENVIRONMENTS: tuple[Environment, ...] = ("dev", "staging", "prod")
"""The environments on AWS, in the order in which a commit is deployed to them."""

LOCAL: Final = "local"
"""The Kubernetes half in a cluster of your own, without AWS; see `infra/local.py`."""

WITH_LOCAL: tuple[AnyEnvironment, ...] = (*ENVIRONMENTS, LOCAL)

_TENANT = r"[a-z0-9-]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackName:
    """A stack's name: `dev` is an environment's estate, `dev.acme` one tenant in it.

    `local` and `local.acme` are their counterparts without AWS.

    Attributes:
        environment: the environment.
        tenant: the tenant; None for the estate.
    """

    environment: AnyEnvironment
    tenant: str | None = None

    @classmethod
    def parse(cls, name: str, *, label: str = "stack") -> StackName:
        """Parse a stack's name.

        Args:
            name: the name.
            label: its source, for messages, such as the option that it was given by.

        Raises:
            InputError: the environment does not exist, or the name has neither form; one line.
        """
        environment, dot, tenant = name.partition(".")
        if environment not in WITH_LOCAL:
            raise InputError(
                f"{label} {name!r}: there is no environment {environment!r}{near(environment, WITH_LOCAL)}"
            )
        if dot and not re.fullmatch(_TENANT, tenant):
            raise InputError(
                f"{label} {name!r}: expected {environment}.<tenant>, the tenant in a-z, 0-9 and -"
            )
        return cls(environment=environment, tenant=tenant or None)

    @classmethod
    def of_tenant(cls, environment: AnyEnvironment, tenant: str, *, label: str) -> StackName:
        """Return the stack of a tenant whose file may be gone, so that its name was never checked.

        Raises:
            InputError: it cannot be a tenant's name; one line, with the label.
        """
        return cls.parse(f"{environment}.{tenant}", label=label)

    @classmethod
    def of_urn(cls, urn: str) -> StackName:
        """Return the stack of a resource's URN.

        Raises:
            InputError: it is not a stack of this program.
        """
        return cls.parse(urn.removeprefix("urn:pulumi:").partition("::")[0])

    @property
    def is_local(self) -> bool:
        """Whether this is a stack without AWS."""
        return self.environment == LOCAL

    @property
    def estate(self) -> StackName:
        """The stack of the environment's estate."""
        return StackName(environment=self.environment)

    def __str__(self) -> str:
        return f"{self.environment}.{self.tenant}" if self.tenant else self.environment


def belongs(name: str, environment: str) -> bool:
    """Tell whether a backend's stack belongs to an environment, even if `StackName` would refuse its name."""
    return name.partition(".")[0] == environment
