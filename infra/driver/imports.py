"""Which of this repository's modules the Pulumi program reaches by its imports: what a change can change.

grimp reads the sources of a clone without importing them. It runs in a process of its own: it finds packages
as Python does, and this process has already found those that it runs itself. An import counts wherever it
stands, also one for the type checker alone: a stack too many is a preview without changes, a stack too few
is a surprise later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

SOURCES = {"infra": "infra", "lightwork": "platform/src/lightwork"}
"""The packages that are looked into, and where each lies below the repository's root."""

PROGRAM = "infra.__main__"

_READ = """
import json, sys, grimp
graph = grimp.build_graph(*sys.argv[1:], cache_dir=None)
json.dump({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}, sys.stdout)
"""


@dataclass(frozen=True)
class Imports:
    """The imports of a clone's modules, read once.

    Attributes:
        root: the repository's root.
    """

    root: Path

    def reached(self, *, start: str = PROGRAM, without: Collection[str] = ()) -> frozenset[str]:
        """The files of the modules that a module imports, itself included, and those that they import.

        The packages that a module lies in are among them, since Python runs them first.

        Args:
            start: the module to begin with.
            without: modules that are not gone into.

        Returns:
            Paths relative to the root, with slashes.
        """
        seen = set(without)
        paths = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if not name or name in seen:
                continue
            seen.add(name)
            if path := self._file(name):
                paths.add(path)
                waiting += [name.rpartition(".")[0], *self._graph.get(name, ())]
        return frozenset(paths)

    @cached_property
    def _graph(self) -> Mapping[str, list[str]]:
        """The modules that each module imports."""
        found = {name: self.root / path for name, path in SOURCES.items()}
        packages = [name for name, path in found.items() if path.is_dir()]
        places = [str(found[name].parent) for name in packages]
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _READ, *packages],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise InputError(f"{self.root}: the imports of {' and '.join(packages)} cannot be read: {reason}")
        graph: dict[str, list[str]] = json.loads(done.stdout)
        return graph

    def _file(self, name: str) -> str | None:
        """The file of a module of ours; None for any other, and for a package without code."""
        package, *rest = name.split(".")
        if package not in SOURCES:
            return None
        base = "/".join((SOURCES[package], *rest))
        candidates = (f"{base}.py", f"{base}/__init__.py")
        return next((path for path in candidates if (self.root / path).is_file()), None)
