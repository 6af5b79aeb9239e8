"""The repository on disk: the changes since a commit, and the tenants' files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from infra.config.stack import LOCAL
from infra.driver.imports import Imports
from infra.driver.selection import Change, Choice, Reach, chosen, everything
from lightwork.errors import InputError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from infra.config.stack import AnyEnvironment

ESTATE = "infra.estate.estate"
TENANT = ("infra.tenant.tenant", "infra.tenant.target", "lightwork.functions.discovery")
"""The modules that the program needs only for a tenant's stack."""

LOCAL_PROGRAM = "infra.local"


@dataclass(frozen=True)
class Repository:
    """A clone, and the environment to deploy from it.

    Attributes:
        root: the clone's root.
        environment: the environment.
        revision: the id of the commit to compare with; None for no comparison.
    """

    root: Path
    environment: AnyEnvironment
    revision: str | None = None

    @classmethod
    def since(cls, root: Path, environment: AnyEnvironment, revision: str) -> Repository:
        """Return a clone to be compared with one of its commits.

        Raises:
            InputError: the commit is not in this clone, or git is missing.
        """
        return cls(root, environment, _commit(root, revision))

    def everything(self) -> Choice:
        """Choose all stacks of the environment."""
        return everything(self.environment, self)

    def touched(self) -> Choice:
        """Choose the stacks affected by the changes since the revision."""
        return chosen(self.environment, self.changes(), reach=lambda: self.reach, files=self)

    def changes(self) -> list[Change]:
        """Return the files that differ from the revision: committed, uncommitted and untracked ones."""
        status = _git(self.root, "diff", "--name-status", "--no-renames", "-z", str(self.revision), "--")
        words = iter(status.split("\0")[:-1])
        tracked = [Change(path=path, deleted=kind == "D") for kind, path in zip(words, words, strict=True)]
        untracked = _git(self.root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]
        return tracked + [Change(path=path) for path in untracked]

    @cached_property
    def reach(self) -> Reach:
        """The modules that the program imports."""
        excluded = () if self.environment == LOCAL else (LOCAL_PROGRAM,)
        imports = Imports(self.root)
        return Reach(
            estate=imports.reached(without=(*TENANT, *excluded)),
            tenants=imports.reached(without=(ESTATE, *excluded)),
        )

    def names(self) -> list[str]:
        """Return the names of all tenants that have a file."""
        return sorted(path.stem for path in (self.root / "tenants").glob("*.yaml") if "." not in path.stem)

    def here(self, name: str) -> bool:
        """Return whether a tenant's file names the environment; local has every tenant.

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
        environments = _environments(text)
        if environments is None:
            _explain(path)
        return self.environment in (environments or ())

    def mentions(self, name: str, text: str) -> bool:
        """Return whether a text is in a tenant's file; not if the file cannot be read."""
        try:
            return text in (self.root / "tenants" / f"{name}.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False

    def was_here(self, name: str) -> bool:
        """Return whether a tenant's file named the environment at the revision."""
        try:
            text = _git(self.root, "show", f"{self.revision}:tenants/{name}.yaml")
        except InputError:
            return False
        return self.environment == LOCAL or self.environment in (_environments(text) or ())


def _environments(text: str) -> list[Any] | None:
    """Read the environments from the text of a tenant's file; None if they cannot be read.

    The file is checked elsewhere. This reads one field with the fastest parser, for hundreds of files.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(text, Loader=loader)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, ValueError):  # also a date or a number that Python refuses
        return None
    environments = content.get("environments") if isinstance(content, dict) else None
    return environments if isinstance(environments, list) else None


def _explain(path: Path) -> None:
    """Raise an error with the lines of a file's mistakes."""
    from lightwork import tenants

    tenants.load(path)


def _commit(root: Path, revision: str) -> str:
    if not shutil.which("git"):
        raise InputError(
            "--changed-since: git is not on PATH; install it, or choose the stacks by --tenant or --all"
        )
    _git(root, "rev-parse", "--is-inside-work-tree")
    if revision and not revision.strip("0"):
        raise InputError(
            f"--changed-since {revision}: not a commit; GitLab gives zeros for a new branch: use --all, or"
            " the name of the branch that this one started from"
        )
    try:
        # Without `^{commit}`, `rev-parse` accepts any 40 digits, even if there is no such object.
        return _git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        ).strip()
    except InputError:
        pass
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise InputError(
            f"--changed-since {revision}: not in this shallow clone; fetch it with `git fetch --depth=1"
            f" origin {revision}` (in GitLab CI set `GIT_DEPTH: 0`)"
        )
    raise InputError(f"--changed-since {revision}: not in this clone; give a branch, a tag or a commit")


def _git(root: Path, *arguments: str) -> str:
    words = ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments]
    process = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if process.returncode:
        reason = one_line(process.stderr) or f"exit code {process.returncode}"
        raise InputError(f"--changed-since: git {arguments[0]}: {reason}")
    return process.stdout
