"""The modules of this repository that the Pulumi program imports, directly or indirectly.

grimp reads a clone's sources without importing them. It runs in its own process, because it locates packages
through Python's import system, which has already located this process's own. Every import counts, even one
for the type checker only: a stack too many is a preview without changes, a stack too few is a surprise later.
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
"""The packages to read, and their folders relative to the repository's root."""

PROGRAM = "infra.__main__"

_READ = """
import json, sys, grimp
graph = grimp.build_graph(*sys.argv[1:], cache_dir=None)
json.dump({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}, sys.stdout)
"""


@dataclass(frozen=True)
class Imports:
    """The imports of a clone's modules. They are read once.

    Attributes:
        root: the repository's root.
    """

    root: Path

    def reached(self, *, start: str = PROGRAM, without: Collection[str] = ()) -> frozenset[str]:
        """Return the files of a module and of all modules that it imports, directly or indirectly.

        A module's parent packages are included, because Python runs them first.

        Args:
            start: the module to start from.
            without: modules to leave out, with their imports.

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
        """The direct imports of each module."""
        folders = {name: self.root / path for name, path in SOURCES.items()}
        packages = [name for name, folder in folders.items() if folder.is_dir()]
        search_path = [str(folders[name].parent) for name in packages]
        process = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _READ, *packages],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            reason = process.stderr.strip().rpartition("\n")[2]
            raise InputError(f"{self.root}: cannot read the imports of {' and '.join(packages)}: {reason}")
        graph: dict[str, list[str]] = json.loads(process.stdout)
        return graph

    def _file(self, name: str) -> str | None:
        """Return the file of one of our modules; None for other modules and for packages without code."""
        package, *rest = name.split(".")
        if package not in SOURCES:
            return None
        base = "/".join((SOURCES[package], *rest))
        candidates = (f"{base}.py", f"{base}/__init__.py")
        return next((path for path in candidates if (self.root / path).is_file()), None)
