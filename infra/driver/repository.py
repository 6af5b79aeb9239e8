"""The repository on the disk: what git says has changed, and the tenants' files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from infra.config.stack import LOCAL
from infra.driver.imports import Imports
from infra.driver.selection import Change, Choice, Reach, chosen, everything
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from infra.config.stack import AnyEnvironment

ESTATE = "infra.estate.estate"
TENANT = ("infra.tenant.tenant", "infra.tenant.target", "lightwork.functions.discovery")
"""What the program needs for a tenant's stack alone."""

LOCAL_PROGRAM = "infra.local"


@dataclass(frozen=True)
class Repository:
    """A clone, seen for one environment.

    Attributes:
        root: its root.
        environment: the environment.
        revision: what was changed since, as a commit's id; None if nobody asked.
    """

    root: Path
    environment: AnyEnvironment
    revision: str | None = None

    @classmethod
    def since(cls, root: Path, environment: AnyEnvironment, revision: str) -> Repository:
        """A clone that is compared with one of its commits.

        Raises:
            InputError: there is no such commit here, or no git.
        """
        return cls(root, environment, _commit(root, revision))

    def everything(self) -> Choice:
        """All stacks of the environment."""
        return everything(self.environment, self)

    def touched(self) -> Choice:
        """The stacks that what was changed since the revision touches."""
        return chosen(self.environment, self.changes(), reach=lambda: self.reach, files=self)

    def changes(self) -> list[Change]:
        """The files that differ from the revision: committed, not committed, and new ones."""
        status = _git(self.root, "diff", "--name-status", "--no-renames", "-z", str(self.revision), "--")
        words = iter(status.split("\0")[:-1])
        found = [Change(path=path, deleted=kind == "D") for kind, path in zip(words, words, strict=True)]
        new = _git(self.root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]
        return found + [Change(path=path) for path in new]

    @cached_property
    def reach(self) -> Reach:
        """What the program imports."""
        other = () if self.environment == LOCAL else (LOCAL_PROGRAM,)
        imports = Imports(self.root)
        return Reach(
            estate=imports.reached(without=(*TENANT, *other)),
            tenants=imports.reached(without=(ESTATE, *other)),
        )

    def names(self) -> list[str]:
        """The names of all tenants that have a file."""
        return sorted(path.stem for path in (self.root / "tenants").glob("*.yaml") if "." not in path.stem)

    def here(self, name: str) -> bool:
        """Whether a tenant's file names the environment; locally each one is at home.

        Raises:
            InputError: the file cannot be read.
        """
        path = self.root / "tenants" / f"{name}.yaml"
        if self.environment == LOCAL:
            return True
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        listed = _environments(text)
        if listed is None:
            _explain(path)
        return self.environment in (listed or ())

    def was_here(self, name: str) -> bool:
        """Whether it did so at the revision."""
        try:
            text = _git(self.root, "show", f"{self.revision}:tenants/{name}.yaml")
        except InputError:
            return False
        return self.environment == LOCAL or self.environment in (_environments(text) or ())


def _environments(text: str) -> list[Any] | None:
    """What a tenant's file says of its environments; None if it says nothing that can be read.

    One field of a file that is checked elsewhere, so by the fastest parser there is: there may be hundreds.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(text, Loader=loader)  # noqa: S506  (it is a safe one)
    except yaml.YAMLError:
        return None
    listed = content.get("environments") if isinstance(content, dict) else None
    return listed if isinstance(listed, list) else None


def _explain(path: Path) -> None:
    """Say what is wrong with a file, with the lines."""
    from lightwork import tenants

    tenants.load(path)


def _commit(root: Path, revision: str) -> str:
    if not shutil.which("git"):
        raise InputError(
            "--changed-since: git is not on PATH: install it, or name the stacks by --tenant or --all"
        )
    _git(root, "rev-parse", "--is-inside-work-tree")
    if revision and not revision.strip("0"):
        raise InputError(
            f"--changed-since {revision}: zeros are no commit (a new branch has none before it): use --all,"
            " or name the branch that this one came from"
        )
    try:
        # `rev-parse` would take the id of an object that is not there for one that is.
        return _git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        ).strip()
    except InputError:
        pass
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise InputError(
            f"--changed-since {revision}: this clone is shallow and does not have it: `git fetch --depth=1"
            f" origin {revision}` brings it (in GitLab CI `GIT_DEPTH: 0` brings all)"
        )
    raise InputError(
        f"--changed-since {revision}: there is no such commit in this clone: name a branch, a tag or a commit"
    )


def _git(root: Path, *arguments: str) -> str:
    words: Iterable[str] = ("git", "-C", str(root), "-c", "core.quotePath=false", *arguments)
    done = subprocess.run(list(words), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise InputError(f"--changed-since: git {arguments[0]}: {said}")
    return done.stdout
