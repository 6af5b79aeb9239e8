"""Which of this repository's modules the Pulumi program reaches by its imports: what a change can change.

Read from the sources, without importing anything. An import counts wherever it stands, also one for the type
checker alone: a stack too many is a preview without changes, a stack too few is a surprise later.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

SOURCES = {"infra": "infra", "lightwork": "platform/src/lightwork"}
"""The packages that are looked into, and where each lies below the repository's root."""

PROGRAM = "infra.__main__"

Import = tuple[str, tuple[str, ...]]
"""A module's name, and what is taken out of it; nothing if it is imported as a whole."""


@dataclass(frozen=True)
class Imports:
    """The imports of a clone's modules; each is read once.

    Attributes:
        root: the repository's root.
    """

    root: Path
    _read: dict[tuple[str, bool], list[Import]] = field(default_factory=dict)

    def reached(self, *, start: str = PROGRAM, without: Collection[str] = ()) -> frozenset[str]:
        """The files of the modules that a module imports, itself included, and those that they import.

        Of a package that is only on the way to one of its modules no more counts than what it runs when it
        is imported: what its functions import, somebody else asks for.

        Args:
            start: the module to begin with.
            without: modules that are not gone into.

        Returns:
            Paths relative to the root, with slashes.
        """
        found: dict[str, bool] = {}
        paths = set()
        waiting = [(start, True)]
        while waiting:
            name, whole = waiting.pop()
            path = self._file(name)
            if path is None or name in without or found.get(name, False) or (name in found and not whole):
                continue
            found[name] = whole
            paths.add(path)
            waiting.append((name.rpartition(".")[0], False))
            for module, names in self._imports(path, whole=whole):
                inner = [f"{module}.{taken}" for taken in names]
                modules = [one for one in inner if self._file(one)]
                waiting += [(one, True) for one in modules]
                waiting.append((module, len(modules) < len(inner) or not inner))
        return frozenset(paths)

    def _file(self, name: str) -> str | None:
        """The file of a module of ours; None for any other, and for a package without code."""
        package, *rest = name.split(".")
        if package not in SOURCES or not all(part.isidentifier() for part in rest):
            return None
        base = "/".join((SOURCES[package], *rest))
        candidates = (f"{base}.py", f"{base}/__init__.py")
        return next((path for path in candidates if (self.root / path).is_file()), None)

    def _imports(self, path: str, *, whole: bool) -> list[Import]:
        if (path, whole) not in self._read:
            tree = ast.parse((self.root / path).read_text(encoding="utf-8"))
            self._read[path, whole] = list(_found(ast.walk(tree) if whole else tree.body))
        return self._read[path, whole]


def _found(nodes: Collection[ast.stmt] | Iterator[ast.AST]) -> Iterator[Import]:
    """The imports among some nodes, and the texts that look like one (`import_module("infra.estate")`)."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, ()) for alias in names)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                yield module, tuple(alias.name for alias in names)
            case ast.Constant(value=str(text)) if text.startswith(tuple(f"{name}." for name in SOURCES)):
                yield text, ()
