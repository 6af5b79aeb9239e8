"""The stacks of an environment that a change affects. Pure: reads no files.

| changed | affected |
|---|---|
| `tenants/<name>.yaml` | that tenant |
| `tenants/….json`, the description of an image | the tenants whose files name it |
| `Pulumi.<environment>.yaml`, `Pulumi.yaml`, `requirements/run.txt`, `requirements/dev.txt` | all stacks |
| a module that the program imports | the estate, the tenants or both, whichever import it |
| an input of the image: `platform/`, `pipelines/`, two requirements | all tenants, as they name the image |
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
"""The inputs of the image (platform/Dockerfile), without those that affect all stacks anyway."""

EVERYTHING = ("Pulumi.yaml", "requirements/run.txt", "requirements/dev.txt")
"""The project's file, and the program's libraries, including Pulumi and its providers."""

NOTHING = ("bench/", "ci/", "docs/", "examples/", "requirements/", "tenants/", "tests/", ".ci/", ".gitlab/")
NOTHING_FILES = frozenset(
    {
        ".gitignore",
        ".gitlab-ci.yml",
        ".pre-commit-config.yaml",
        "LICENSE",
        "Makefile",
        "infra/pyproject.toml",
        "infra/config/settings.schema.json",
        "pyproject.toml",
    }
)


class Touch(Flag):
    """The stacks that a file affects."""

    NOTHING = 0
    ESTATE = auto()
    TENANTS = auto()
    ALL = ESTATE | TENANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A changed file.

    Attributes:
        path: the path relative to the repository's root, with slashes.
        deleted: whether the file was deleted.
    """

    path: str
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The files of the modules that the program imports.

    Attributes:
        estate: the files imported for the estate's stack.
        tenants: the files imported for a tenant's stack.
    """

    estate: frozenset[str]
    tenants: frozenset[str]

    def touch(self, path: str) -> Touch:
        """Return the stacks that import a module."""
        return (Touch.ESTATE if path in self.estate else Touch.NOTHING) | (
            Touch.TENANTS if path in self.tenants else Touch.NOTHING
        )

    def touch_folder(self, folder: str) -> Touch:
        """Return the stacks that import any module of a folder."""
        stacks = Touch.NOTHING
        for path in self.estate | self.tenants:
            if path.rpartition("/")[0] == folder:
                stacks |= self.touch(path)
        return stacks


class Files(Protocol):
    """The questions about tenants' files that a choice depends on."""

    def names(self) -> Collection[str]:
        """Return the names of all tenants that have a file."""

    def here(self, name: str) -> bool:
        """Return whether a tenant's file names the environment."""

    def mentions(self, name: str, text: str) -> bool:
        """Return whether a text is in a tenant's file."""

    def was_here(self, name: str) -> bool:
        """Return whether a tenant's file named the environment before the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen stacks.

    Attributes:
        environment: the environment.
        estate: whether the estate is chosen.
        tenants: the chosen tenants, sorted.
        reasons: the first file that affects each stack, by the stack's name.
        warnings: warnings for the user, one line each.
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
    """Choose all stacks of an environment."""
    return Choice(
        environment=environment,
        estate=True,
        tenants=tuple(sorted(name for name in files.names() if files.here(name))),
    )


def chosen(
    environment: AnyEnvironment, changes: Iterable[Change], *, reach: Callable[[], Reach], files: Files
) -> Choice:
    """Choose the stacks of an environment that a change affects.

    Args:
        environment: the environment.
        changes: the changed files.
        reach: returns the modules that the program imports; called only if a module has changed.
        files: the tenants' files; no more are read than necessary.
    """

    def stack(tenant: str) -> StackName:
        return StackName(environment=environment, tenant=tenant)

    changes = sorted(changes, key=lambda change: change.path)
    reasons: dict[str, str] = {}
    warnings: list[str] = []
    shared = Touch.NOTHING
    changed_tenants: dict[str, str] = {}
    reason_for_all = ""
    for change in changes:
        if name := tenant_of(change.path):
            if change.deleted:
                if files.was_here(name):
                    warnings.append(_deleted(stack(name), change.path))
            elif files.here(name):
                changed_tenants[name] = change.path
            elif files.was_here(name):
                warnings.append(_removed(stack(name), change.path))
            continue
        if is_description(change.path):
            file = PurePosixPath(change.path).name
            using = (name for name in files.names() if files.mentions(name, file) and files.here(name))
            changed_tenants |= {name: change.path for name in using if name not in changed_tenants}
            continue
        touch = touched(change, environment, reach)
        if Touch.ESTATE in touch:
            reasons.setdefault(environment, change.path)
        if Touch.TENANTS in touch:
            reason_for_all = reason_for_all or change.path
        shared |= touch
    tenants = set(changed_tenants)
    if Touch.TENANTS in shared:
        tenants |= {name for name in files.names() if files.here(name)}
    reasons |= {str(stack(name)): changed_tenants.get(name, reason_for_all) for name in sorted(tenants)}
    return Choice(
        environment=environment,
        estate=Touch.ESTATE in shared,
        tenants=tuple(sorted(tenants)),
        reasons=reasons,
        warnings=tuple(warnings),
    )


def tenant_of(path: str) -> str | None:
    """Return the tenant whose file this is; None if it is not a tenant's file."""
    file = PurePosixPath(path)
    is_tenant = file.parent == PurePosixPath("tenants") and file.suffix == ".yaml" and "." not in file.stem
    return file.stem if is_tenant else None


def is_description(path: str) -> bool:
    """Return whether a file may be the description of an image, which tenants' files name."""
    return path.startswith("tenants/") and path.endswith(".json") and not path.endswith(".schema.json")


def touched(change: Change, environment: str, reach: Callable[[], Reach]) -> Touch:
    """Return the stacks that a change of a file other than a tenant's affects."""
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
        # The importers of a deleted module are no longer known.
        return Touch.ALL if change.deleted else reach().touch(path)
    if path.startswith("infra/") and path.count("/") > 1:
        return reach().touch_folder(path.rpartition("/")[0])
    return Touch.ALL


def _deleted(stack: StackName, path: str) -> str:
    return (
        f"{path} was deleted: nothing is destroyed, the stack {stack} and its data stay; to destroy them,"
        " restore the file with `state: leaving` (docs/offboarding.md)"
    )


def _removed(stack: StackName, path: str) -> str:
    return (
        f"{path}: {stack.environment} was removed from its environments: nothing is destroyed, the stack"
        f" {stack} and its data stay"
    )
