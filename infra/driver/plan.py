"""Tasks for the chosen stacks: their settings and tenants' files are checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.config.stack import LOCAL, StackName
from infra.driver.outcome import Command, Task
from infra.driver.selection import Choice
from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.driver.repository import Repository
    from lightwork.tenants import Environment, Loaded


KEPT = frozenset({"namespace", "namespace-argo"})
"""The precious resources of local stacks. A stack may give them up: `infra.local` retains them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The tasks of a run.

    Attributes:
        estate: the estate's task, if it is among the chosen stacks.
        tenants: the tenants' tasks.
        backend: the address of the states; None for the one of `pulumi login`.
        secrets_provider: what encrypts a new stack's secrets; None for Pulumi's default.
        warnings: warnings about the tenants' files, one line each.
    """

    estate: Task | None
    tenants: tuple[Task, ...]
    backend: str | None
    secrets_provider: str | None
    warnings: tuple[str, ...] = ()


def named(repository: Repository, tenants: Sequence[str], *, estate: bool) -> Choice:
    """Choose stacks by their names.

    Raises:
        InputError: a tenant has no file.
    """
    existing = repository.names()
    problems = [
        f"--tenant {name}: there is no tenants/{name}.yaml{near(name, existing)}"
        for name in tenants
        if name not in existing
    ]
    if problems:
        raise InputError("\n".join(problems))
    return Choice(environment=repository.environment, estate=estate, tenants=tuple(sorted(set(tenants))))


def order(root: Path, command: Command, choice: Choice) -> Order:
    """Read the chosen stacks' settings and tenants' files.

    Raises:
        InputError: one line for each mistake in the settings or in a tenant's file, and for each tenant
            that is not in the environment, or cannot be destroyed because it is not leaving.
    """
    environment = choice.environment
    if environment == LOCAL:
        allowed: frozenset[str] = KEPT
        backend = provider = None
    else:
        allowed, backend, provider = _environment(root, environment)
    from lightwork.tenants.sharing import Groups

    problems: list[str] = []
    warnings: list[str] = []
    tasks, groups = [], Groups()
    for name in choice.tenants:
        try:
            loaded = _tenant(root, command, environment, name)
        except InputError as error:
            problems += str(error).splitlines()
            continue
        tenant = loaded.tenant
        warnings += [line.removeprefix(f"{root}/") for line in groups.warnings(loaded)]
        stack = str(StackName(environment=environment, tenant=name))
        entries: Mapping[str, Sequence[str]] = getattr(tenant, "destroy", {})
        deletable = KEPT if environment == LOCAL else frozenset(entries.get(environment, ()))
        tasks.append(Task(stack=stack, allowed=deletable, reason=choice.reasons.get(stack, "")))
    if problems:
        raise InputError("\n".join(problems))
    estate = Task(stack=environment, allowed=allowed, reason=choice.reasons.get(environment, ""))
    return Order(
        estate=estate if choice.estate else None,
        tenants=tuple(tasks),
        backend=backend,
        secrets_provider=provider,
        warnings=tuple(warnings),
    )


def image_is_named() -> None:
    """Refuse to deploy tenants without an image.

    Raises:
        InputError: the variable with the image's digest is missing or wrong.
    """
    from infra.config.image import image

    image("the environment's repository")


def _environment(root: Path, environment: Environment) -> tuple[frozenset[str], str, str]:
    from infra.config import settings
    from infra.config.naming import Names

    declared = settings.load(root, environment)
    names = Names.of(declared)
    return frozenset(getattr(declared, "destroy", ())), names.backend, names.secrets_provider


def _tenant(root: Path, command: Command, environment: str, name: str) -> Loaded:
    from lightwork import tenants

    loaded = tenants.read(root / "tenants" / f"{name}.yaml")
    tenant = loaded.tenant
    file = f"tenants/{name}.yaml"
    if command is Command.DESTROY and not tenant.leaving:
        rest = ", and list in `destroy` which of its data may be deleted (docs/offboarding.md)"
        raise InputError(
            f"{file}: state: is {tenant.state}; before a tenant can be destroyed, commit and deploy"
            f" `state: leaving`{'' if environment == LOCAL else rest}"
        )
    if environment != LOCAL and environment not in tenant.environments:
        raise InputError(f"{file}: environments: {environment} is not in the list")
    return loaded
