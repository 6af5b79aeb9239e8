"""Reading a tenant's file: from any folder, checked as a whole, with one line per mistake."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork import documents
from lightwork.errors import InputError, near
from lightwork.tenants import fit, names, steps
from lightwork.tenants.model import Tenant

if TYPE_CHECKING:
    from yaml.nodes import Node

FOLDER = "tenants"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tenant and the file it was read from.

    Attributes:
        tenant: the content of the file.
        path: the file.
        node: the file's YAML nodes, which know their lines; None for an empty file.
    """

    tenant: Tenant
    path: Path
    node: Node | None

    def place(self, *location: str | int) -> str:
        """Return where a field is, for a message: `file:line: the.field`."""
        return documents.place(self.path, self.node, location)


def load(path: Path) -> Tenant:
    """Read one tenant's file, without checking it against the pipelines (`checks.check` does that).

    Raises:
        InputError: one line per mistake: `file:line: field: what was found; what is allowed`.
    """
    return read(path).tenant


def read(path: Path) -> Loaded:
    """Read one tenant's file as `load` does, and keep the position of every field.

    Raises:
        InputError: one line per mistake: `file:line: field: what was found; what is allowed`.
    """
    content, node = documents.read(path)
    tenant = documents.parse(Tenant, content, path=path, node=node, context={"folder": path.parent})
    loaded = Loaded(tenant, path, node)
    lines = []
    if tenant.name != path.stem:
        reason = f"found {tenant.name!r}; should be {path.stem!r}, the file's name"
        lines.append(f"{loaded.place('name')}: {reason}")
    lines += [
        f"{loaded.place('secrets', index)}: {reason}" for index, reason in names.problems(tenant.secrets)
    ]
    problems = steps.problems(tenant) or fit.problems(tenant)
    lines += [f"{loaded.place(*problem.location)}: {problem.reason}" for problem in problems]
    if lines:
        raise InputError("\n".join(lines))
    return loaded


def find(name: str) -> Path:
    """Return the file of a tenant, given by its path or its name.

    A name stands for `tenants/<name>.yaml` in the current folder or one above it.

    Raises:
        InputError: there is no such file; the message suggests the nearest name.
    """
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        return Path(name)
    here = Path.cwd()
    folders = [folder / FOLDER for folder in (here, *here.parents)]
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return path
    names = next((sorted(p.stem for p in folder.glob("*.yaml")) for folder in folders if folder.is_dir()), [])
    raise InputError(f"there is no tenant {name!r}{near(name, names)}; a path to a file is accepted too")
