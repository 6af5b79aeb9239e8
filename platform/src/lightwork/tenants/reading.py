"""Reading a tenant's file: wherever it lies, checked as a whole, with a line for each mistake."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork import documents
from lightwork.errors import InputError, near
from lightwork.tenants import fit, steps
from lightwork.tenants.model import Tenant

if TYPE_CHECKING:
    from yaml.nodes import Node

FOLDER = "tenants"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tenant, and the file it came from.

    Attributes:
        tenant: what the file says.
        path: the file.
        node: its YAML nodes, which know the lines; None for an empty file.
    """

    tenant: Tenant
    path: Path
    node: Node | None

    def place(self, *location: str | int) -> str:
        """Where a field is, for a message: `file:line: the.field`."""
        return documents.place(self.path, self.node, location)


def load(path: Path) -> Tenant:
    """Read one tenant's file; its pipelines' parameters are not looked at (`checks.parameters` does).

    Raises:
        InputError: one line for each mistake: `file:line: field: what was found; what is allowed`.
    """
    return read(path).tenant


def read(path: Path) -> Loaded:
    """As `load`, and where everything is in the file.

    Raises:
        InputError: one line for each mistake: `file:line: field: what was found; what is allowed`.
    """
    content, node = documents.read(path)
    tenant = documents.parse(Tenant, content, path=path, node=node)
    loaded = Loaded(tenant, path, node)
    problems = []
    if tenant.name != path.stem:
        problems.append(f"{loaded.place('name')}: found {tenant.name!r}; the file's name says {path.stem!r}")
    wrong = steps.problems(tenant) or fit.problems(tenant)
    problems += [f"{loaded.place(*found.location)}: {found.reason}" for found in wrong]
    if problems:
        raise InputError("\n".join(problems))
    return loaded


def find(name: str) -> Path:
    """The file of a tenant: a path as it is, a name as `tenants/<name>.yaml` in this folder or above it.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        return Path(name)
    here = Path.cwd()
    folders = [folder / FOLDER for folder in (here, *here.parents)]
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return path
    known = next((sorted(p.stem for p in folder.glob("*.yaml")) for folder in folders if folder.is_dir()), [])
    raise InputError(f"there is no tenant {name!r}{near(name, known)}; a path to a file will do as well")
