"""Find the syntax tree of a running function or class in the file it was loaded from.

The file may have changed since: a definition counts as found only if compiling it gives the bytecode that
runs. Whoever does not find it falls back on that bytecode.
"""

from __future__ import annotations

import ast
import linecache
import re
import warnings
from collections import defaultdict
from types import CodeType
from typing import TYPE_CHECKING, Any

from lightwork.keys.syntax import Definition, ast_digest, code_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_COMPREHENSIONS = re.compile(r"<(listcomp|setcomp|dictcomp|genexpr|generic parameters of \w+)>\.<locals>\.")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Source:
    """A file's definitions: syntax trees and compiled code, by qualified name."""

    def __init__(self, text: str, filename: str) -> None:
        self.tree = ast.parse(text)
        self.nodes: dict[str, list[tuple[int, Definition]]] = defaultdict(list)
        self.codes: dict[str, list[CodeType]] = defaultdict(list)
        self._walk(self.tree, "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(text, filename, "exec", dont_inherit=True)
        self.codes["<module>"].append(module)
        for code in _nested(module):
            self.codes[_plain(code.co_qualname)].append(code)

    def _walk(self, node: ast.AST, prefix: str) -> None:
        if not isinstance(node, (*_Function, ast.ClassDef)):
            for child in ast.iter_child_nodes(node):
                self._walk(child, prefix)
            return
        name = prefix + ("<lambda>" if isinstance(node, ast.Lambda) else node.name)
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        first = min([node.lineno, *(d.lineno for d in decorators)])
        self.nodes[name].append((first, node))
        inner = f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>."
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        for child in ast.iter_child_nodes(node):
            self._walk(child, inner if child in body else prefix)

    def compiled(self, code: CodeType) -> CodeType | None:
        """The code compiled from the file that is the given one, wherever it stands by now."""
        digest = code_digest(code)
        same = [c for c in self.codes.get(_plain(code.co_qualname), ()) if code_digest(c) == digest]
        here = [c for c in same if c.co_firstlineno == code.co_firstlineno]
        return next(iter(here or same), None)

    def function(self, code: CodeType) -> Definition | None:
        """The tree of the function that runs the given code; None if the file has another or several."""
        found = self.compiled(code)
        if found is None:
            return None
        at = [n for line, n in self.nodes.get(_plain(code.co_qualname), ()) if line == found.co_firstlineno]
        if len({ast_digest(node) for node in at}) != 1:
            return None
        return at[0]

    def class_(self, cls: type, own: Iterable[CodeType]) -> tuple[ast.ClassDef, CodeType] | None:
        """The tree and the compiled body of a class with these methods; None if the file has another."""
        found = [
            self.compiled(code) for code in own if _plain(code.co_qualname).startswith(f"{cls.__qualname__}.")
        ]
        if not all(found):
            return None
        lines = [code.co_firstlineno for code in found if code is not None]
        at = [
            (line, node)
            for line, node in self.nodes.get(_plain(cls.__qualname__), ())
            if isinstance(node, ast.ClassDef) and all(line <= m <= (node.end_lineno or m) for m in lines)
        ]
        if len(at) != 1:
            return None
        line, node = at[0]
        body = [c for c in self.codes.get(_plain(cls.__qualname__), ()) if c.co_firstlineno == line]
        return (node, body[0]) if len(body) == 1 and isinstance(node, ast.ClassDef) else None


def _plain(qualname: str) -> str:
    return _COMPREHENSIONS.sub("", qualname)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _nested(const)


_loaded: dict[str, tuple[list[str], Source | None]] = {}


def source_of(filename: str, module_globals: Mapping[str, Any]) -> Source | None:
    """What is in a file now; None if there is no such file, or no Python in it."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, dict(module_globals) if "__loader__" in module_globals else None)
    known = _loaded.get(filename)
    if known is not None and known[0] is lines:
        return known[1]
    source: Source | None = None
    if lines:
        try:
            source = Source("".join(lines), filename)
        except (SyntaxError, ValueError, RecursionError):
            source = None
    _loaded[filename] = (lines, source)
    return source
