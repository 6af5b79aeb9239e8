"""Which stacks of an environment a change touches. Pure: what lies on the disk is handed in.

| changed | touched |
|---|---|
| `tenants/<name>.yaml` | that tenant |
| `Pulumi.<environment>.yaml`, `Pulumi.yaml`, `requirements/run.txt`, `requirements/dev.txt` | all stacks |
| a module that the program imports | the estate, the tenants or both, by who imports it |
| what the image is made of: `platform/`, `pipelines/`, two requirements | all tenants: they name the image |
| documents, tests, benchmarks, CI, tools | nothing |
| anything else | all stacks |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, auto
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from infra.config.stack import StackName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from infra.config.stack import AnyEnvironment

IMAGE = ("platform/", "pipelines/", "requirements/bootstrap.txt", "requirements/build.txt", ".dockerignore")
"""What the image is made from (platform/Dockerfile), less what touches everything anyway."""

EVERYTHING = ("Pulumi.yaml", "requirements/run.txt", "requirements/dev.txt")
"""The project, and the libraries that the program runs with; Pulumi and its providers among them."""

NOTHING = ("bench/", "ci/", "docs/", "requirements/", "tenants/", "tests/", ".ci/", ".gitlab/")
NOTHING_FILES = frozenset(
    {
        ".gitignore",
        ".gitlab-ci.yml",
        ".pre-commit-config.yaml",
        "LICENSE",
        "Makefile",
        "infra/offline/prices.yaml",
        "infra/pyproject.toml",
        "infra/config/settings.schema.json",
        "pyproject.toml",
    }
)


class Touch(Flag):
    """What a file touches."""

    NOTHING = 0
    ESTATE = auto()
    TENANTS = auto()
    ALL = ESTATE | TENANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that differs.

    Attributes:
        path: relative to the repository's root, with slashes.
        deleted: whether it is not there any more.
    """

    path: str
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The files of the modules that the program imports.

    Attributes:
        estate: for the estate's stack.
        tenants: for a tenant's.
    """

    estate: frozenset[str]
    tenants: frozenset[str]

    def touch(self, path: str) -> Touch:
        """Who imports a module."""
        return (Touch.ESTATE if path in self.estate else Touch.NOTHING) | (
            Touch.TENANTS if path in self.tenants else Touch.NOTHING
        )

    def touch_folder(self, folder: str) -> Touch:
        """Who imports any module of a folder."""
        found = Touch.NOTHING
        for path in self.estate | self.tenants:
            if path.rpartition("/")[0] == folder:
                found |= self.touch(path)
        return found


class Files(Protocol):
    """The tenants' files, as far as the choice needs them."""

    def names(self) -> Collection[str]:
        """The names of all tenants that have a file."""

    def here(self, name: str) -> bool:
        """Whether a tenant's file names the environment."""

    def was_here(self, name: str) -> bool:
        """Whether it did so before the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The stacks that are meant.

    Attributes:
        environment: the environment.
        estate: whether its estate is among them.
        tenants: the tenants, sorted.
        reasons: by the stack's name, the first file that touches it.
        warnings: what else the person should know, one line each.
    """

    environment: AnyEnvironment
    estate: bool = False
    tenants: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks' names, the estate first."""
        tenants = (str(StackName(environment=self.environment, tenant=name)) for name in self.tenants)
        return ((self.environment,) if self.estate else ()) + tuple(tenants)


def everything(environment: AnyEnvironment, files: Files) -> Choice:
    """All stacks of an environment."""
    return Choice(
        environment=environment,
        estate=True,
        tenants=tuple(sorted(name for name in files.names() if files.here(name))),
    )


def chosen(
    environment: AnyEnvironment, changes: Iterable[Change], *, reach: Callable[[], Reach], files: Files
) -> Choice:
    """The stacks of an environment that a change touches.

    Args:
        environment: the environment.
        changes: the files that differ.
        reach: what the program imports; asked only if a module has changed.
        files: the tenants' files; only as many are looked into as must be.
    """

    def stack(tenant: str) -> StackName:
        return StackName(environment=environment, tenant=tenant)

    changes = sorted(changes, key=lambda change: change.path)
    reasons: dict[str, str] = {}
    warnings: list[str] = []
    whole = Touch.NOTHING
    named: dict[str, str] = {}
    all_tenants_by = ""
    for change in changes:
        if name := tenant_of(change.path):
            if change.deleted:
                if files.was_here(name):
                    warnings.append(_gone(stack(name), change.path))
            elif files.here(name):
                named[name] = change.path
            elif files.was_here(name):
                warnings.append(_left(stack(name), change.path))
            continue
        touch = touched(change, environment, reach)
        if Touch.ESTATE in touch:
            reasons.setdefault(environment, change.path)
        if Touch.TENANTS in touch:
            all_tenants_by = all_tenants_by or change.path
        whole |= touch
    tenants = set(named)
    if Touch.TENANTS in whole:
        tenants |= {name for name in files.names() if files.here(name)}
    reasons |= {str(stack(name)): named.get(name, all_tenants_by) for name in sorted(tenants)}
    return Choice(
        environment=environment,
        estate=Touch.ESTATE in whole,
        tenants=tuple(sorted(tenants)),
        reasons=reasons,
        warnings=tuple(warnings),
    )


def tenant_of(path: str) -> str | None:
    """The tenant whose file this is; None if it is no tenant's."""
    found = PurePosixPath(path)
    is_one = found.parent == PurePosixPath("tenants") and found.suffix == ".yaml" and "." not in found.stem
    return found.stem if is_one else None


def touched(change: Change, environment: str, reach: Callable[[], Reach]) -> Touch:
    """What a file touches that is no tenant's."""
    path = change.path
    if path in EVERYTHING:
        return Touch.ALL
    if path.startswith("Pulumi.") and path.count(".") == 2:
        return Touch.ALL if path == f"Pulumi.{environment}.yaml" else Touch.NOTHING
    if path.startswith(IMAGE):
        return Touch.TENANTS | reach().touch(path)
    if path.startswith(NOTHING) or path in NOTHING_FILES or ("/" not in path and path.endswith(".md")):
        return Touch.NOTHING
    if path.startswith("infra/") and path.endswith(".py"):
        # Who imported a module that is gone is not known any more.
        return Touch.ALL if change.deleted else reach().touch(path)
    if path.startswith("infra/") and path.count("/") > 1:
        return reach().touch_folder(path.rpartition("/")[0])
    return Touch.ALL


def _gone(stack: StackName, path: str) -> str:
    return (
        f"{path} was deleted: nothing is destroyed, and the stack {stack} stays as it is, with"
        " all data; to take it apart put the file back with `state: leaving` (docs/onboarding.md)"
    )


def _left(stack: StackName, path: str) -> str:
    return (
        f"{path}: {stack.environment} is not among its environments any more: nothing is destroyed, and the"
        f" stack {stack} stays as it is, with all data"
    )
