"""What a run's results come from: the Git commit of the pipeline's source, and versions of libraries."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.version import __version__

if TYPE_CHECKING:
    from lightwork.functions.decorated import Pipeline

_LIBRARIES = ("dask", "distributed", "numpy", "pandas", "pyarrow")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFERENCE = re.compile(r"ref: (refs/[\w./-]+)")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of lightwork and of the libraries that hold and compute data."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "lightwork": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit(pipeline: Pipeline[..., Any]) -> str | None:
    """Return the Git commit that the pipeline's source was checked out at; None if it is in no repository.

    It does not tell whether the source was edited since: the code keys do. In a cluster the image says which
    commit it was built from.
    """
    if commit := os.environ.get(contract.ENV_COMMIT):
        return commit if _COMMIT.fullmatch(commit) else None
    file = getattr(sys.modules.get(pipeline.module), "__file__", None)
    try:
        return None if file is None else _head(Path(file).resolve().parent)
    except (OSError, ValueError):
        return None


def _head(folder: Path) -> str | None:
    """Return the commit of the repository around a folder, without running Git, which obeys its settings."""
    top = next((item for item in (folder, *folder.parents) if (item / ".git").exists()), None)
    if top is None:
        return None
    git = top / ".git"
    if git.is_file():  # a worktree or a submodule: the file says where it is
        git = top / git.read_text("utf-8").strip().removeprefix("gitdir: ")
    head = (git / "HEAD").read_text("utf-8").strip()
    match = _REFERENCE.fullmatch(head)
    return _commit(head) if match is None else _resolved(git, match[1])


def _resolved(git: Path, reference: str) -> str | None:
    """Return the commit that a branch points to."""
    shared = git / "commondir"
    common = git / shared.read_text("utf-8").strip() if shared.is_file() else git
    for folder in (git, common):
        if (folder / reference).is_file():
            return _commit((folder / reference).read_text("utf-8").strip())
    packed = common / "packed-refs"
    lines = packed.read_text("utf-8").splitlines() if packed.is_file() else []
    return next((_commit(line.split(" ")[0]) for line in lines if line.endswith(f" {reference}")), None)


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None
