"""The part of a function's or class's key that its code alone decides; worked out once for each."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import warnings
import weakref
from collections import defaultdict
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

from lightwork.keys.classify import methods
from lightwork.keys.reads import (
    Chain,
    Definition,
    Reads,
    ast_digest,
    code_digest,
    definition_digest,
    reads_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FunctionType


@dataclass(frozen=True, slots=True)
class Decorator:
    """A decorator as written: its digest, the chain of names that leads to it, and all it reads."""

    digest: bytes
    chain: Chain
    reads: Reads


@dataclass(frozen=True, slots=True)
class Unit:
    """A function or class: the digest of its code, its decorators, and what it and its annotations read."""

    digest: bytes
    decorators: tuple[Decorator, ...]
    reads: Reads
    annotations: tuple[Reads, ...] = ()
    is_class: bool = False


# By identity: equal code may stand under other decorators.
_functions: dict[int, tuple[CodeType, Unit]] = {}
_classes: weakref.WeakKeyDictionary[type, Unit | None] = weakref.WeakKeyDictionary()
_MANY = 20_000


def function_unit(fn: FunctionType) -> Unit:
    """The unit of a function: from its source if that is what runs, else from its bytecode."""
    code = fn.__code__
    known = _functions.get(id(code))
    if known is None:
        if len(_functions) > _MANY:
            _functions.clear()
        known = _functions[id(code)] = (code, _function_unit(code, fn.__globals__))
    return known[1]


def _function_unit(code: CodeType, module_globals: Mapping[str, Any]) -> Unit:
    reads = reads_of(code)
    try:
        source = source_of(code.co_filename, module_globals)
        node = source.function(code) if source else None
        if node is not None:
            return Unit(definition_digest(node), _decorators(node), reads, _annotations(node))
    except RecursionError:
        pass
    return Unit(code_digest(code), (), reads)


def class_unit(cls: type) -> Unit | None:
    """The unit of a class; None if its source is not there, or is no longer what runs."""
    if cls not in _classes:
        _classes[cls] = _class_unit(cls)
    return _classes[cls]


def _class_unit(cls: type) -> Unit | None:
    module = sys.modules.get(cls.__module__)
    inside = f"{cls.__qualname__}."
    own = [f.__code__ for f in methods(cls) if f.__globals__.get("__name__") == cls.__module__]
    names = [code.co_filename for code in own if code.co_qualname.startswith(inside)]
    filename = next(iter(names), None) or getattr(module, "__file__", None)
    if not filename:
        return None
    try:
        source = source_of(filename, vars(module) if module else {})
        found = source.class_(cls, [f.__code__ for f in methods(cls)]) if source else None
        if found is None:
            return None
        node, body = found
        annotations = _annotations(node)
        return Unit(definition_digest(node), _decorators(node), reads_of(body), annotations, is_class=True)
    except RecursionError:
        return None


def _decorators(node: Definition) -> tuple[Decorator, ...]:
    if isinstance(node, ast.Lambda):
        return ()
    return tuple(_decorator(expression) for expression in node.decorator_list)


def _annotations(node: Definition) -> tuple[Reads, ...]:
    """What annotations name, where something may act on them: in a class, or under a decorator."""
    found: list[ast.expr | None] = []
    if isinstance(node, ast.ClassDef):
        found = [statement.annotation for statement in node.body if isinstance(statement, ast.AnnAssign)]
    elif not isinstance(node, ast.Lambda) and node.decorator_list:
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        found = [parameter.annotation for parameter in every]
    return tuple(reads for expression in found if expression is not None for reads in _named_in(expression))


def _named_in(annotation: ast.expr) -> Iterator[Reads]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                yield from _named_in(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                continue
    yield reads_of(compile(ast.Expression(annotation), "<annotation>", "eval", dont_inherit=True))


def _decorator(expression: ast.expr) -> Decorator:
    named = expression.func if isinstance(expression, ast.Call) else expression
    chain: list[str] = []
    while isinstance(named, ast.Attribute):
        chain.append(named.attr)
        named = named.value
    first = (named.id,) if isinstance(named, ast.Name) else ()
    code = compile(ast.Expression(expression), "<decorator>", "eval", dont_inherit=True)
    return Decorator(ast_digest(expression), (*first, *reversed(chain)), reads_of(code))


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
