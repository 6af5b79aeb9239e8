"""The part of a function's or class's key that depends on its code alone, computed once."""

from __future__ import annotations

import ast
import linecache
import operator
import re
import sys
import threading
import warnings
import weakref
from collections import defaultdict
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

from lightwork.keys.source.classify import methods
from lightwork.keys.source.reads import (
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

_parser = threading.Lock()
"""Held while a syntax tree is built: two threads at once may fail in CPython 3.11 (gh-106905)."""


@dataclass(frozen=True, slots=True)
class Decorator:
    """A decorator expression: its digest, the chain of names that it calls, and the names that it reads."""

    digest: bytes
    chain: Chain
    reads: Reads


@dataclass(frozen=True, slots=True)
class Unit:
    """A function or class: the digest of its code, its decorators, and the names that it reads."""

    digest: bytes
    decorators: tuple[Decorator, ...]
    reads: Reads
    annotations: tuple[Reads, ...] = ()
    is_class: bool = False


# By identity, as equal code may have other decorators.
_functions: dict[int, tuple[CodeType, Unit]] = {}
# Methods may be replaced at run time.
_classes: weakref.WeakKeyDictionary[type, tuple[list[CodeType], Unit | None]] = weakref.WeakKeyDictionary()
_MANY = 20_000


def function_unit(fn: FunctionType) -> Unit:
    """Return the unit of a function: from its source if that is the running code, else from its bytecode."""
    code = fn.__code__
    entry = _functions.get(id(code))
    if entry is None:
        if len(_functions) > _MANY:
            _functions.clear()
        entry = _functions[id(code)] = (code, _function_unit(code, fn.__globals__))
    return entry[1]


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


def definitions(fn: FunctionType) -> int:
    """Return how many functions a file defines under the name of this one; 0 without a file."""
    source = source_of(fn.__code__.co_filename, fn.__globals__)
    nodes = source.nodes.get(_plain(fn.__code__.co_qualname), ()) if source else ()
    return sum(isinstance(node, _Function) for _, node in nodes)


def class_unit(cls: type) -> Unit | None:
    """Return the unit of a class; None if its source is missing, or is not the running code."""
    codes = [f.__code__ for f in methods(cls) if is_inside(f, cls)]
    entry = _classes.get(cls)
    if entry is None or len(codes) != len(entry[0]) or any(map(operator.is_not, codes, entry[0])):
        entry = _classes[cls] = (codes, _class_unit(cls, codes))
    return entry[1]


def is_inside(fn: FunctionType, cls: type) -> bool:
    """Tell whether a function was written in the body of a class."""
    inside = fn.__code__.co_qualname.startswith(f"{cls.__qualname__}.")
    return inside and fn.__globals__.get("__name__") == cls.__module__


def _class_unit(cls: type, codes: list[CodeType]) -> Unit | None:
    module = sys.modules.get(cls.__module__)
    files = [code.co_filename for code in codes]
    filename = next(iter(files), None) or getattr(module, "__file__", None)
    if not filename:
        return None
    try:
        source = source_of(filename, vars(module) if module else {})
        definition = source.class_(cls, codes) if source else None
        if definition is None:
            return None
        node, body = definition
        annotations = _annotations(node)
        return Unit(definition_digest(node), _decorators(node), reads_of(body), annotations, is_class=True)
    except RecursionError:
        return None


def _decorators(node: Definition) -> tuple[Decorator, ...]:
    if isinstance(node, ast.Lambda):
        return ()
    return tuple(expression_unit(expression) for expression in node.decorator_list)


def _annotations(node: Definition) -> tuple[Reads, ...]:
    """Return the names in annotations that something may evaluate: in a class, or under a decorator."""
    annotations: list[ast.expr | None] = []
    if isinstance(node, ast.ClassDef):
        annotations = [item.annotation for item in node.body if isinstance(item, ast.AnnAssign)]
    elif not isinstance(node, ast.Lambda) and node.decorator_list:
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        annotations = [parameter.annotation for parameter in every]
    return tuple(reads for item in annotations if item is not None for reads in _annotation_reads(item))


def _annotation_reads(annotation: ast.expr) -> Iterator[Reads]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                yield from _annotation_reads(parsed(node.value, "eval").body)
            except SyntaxError:
                continue
    with _parser:
        code = compile(ast.Expression(annotation), "<annotation>", "eval", dont_inherit=True)
    yield reads_of(code)


def parsed(text: str, mode: str) -> Any:
    """Return the syntax tree of some source."""
    with _parser:
        return ast.parse(text, mode=mode)


def expression_unit(expression: ast.expr) -> Decorator:
    """Return the digest of a decorator, or of another expression, and the names that it reads."""
    target = expression.func if isinstance(expression, ast.Call) else expression
    chain: list[str] = []
    while isinstance(target, ast.Attribute):
        chain.append(target.attr)
        target = target.value
    first = (target.id,) if isinstance(target, ast.Name) else ()
    code = compile(ast.Expression(expression), "<decorator>", "eval", dont_inherit=True)
    return Decorator(ast_digest(expression), (*first, *reversed(chain)), reads_of(code))


_COMPREHENSIONS = re.compile(r"<(listcomp|setcomp|dictcomp|genexpr|generic parameters of \w+)>\.<locals>\.")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Source:
    """The definitions of a file: syntax trees and compiled code, by qualified name."""

    def __init__(self, text: str, filename: str) -> None:
        self.tree: Any = parsed(text, "exec")
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
        """Return the code in the file that equals the running one, even if its lines moved."""
        digest = code_digest(code)
        same = [c for c in self.codes.get(_plain(code.co_qualname), ()) if code_digest(c) == digest]
        here = [c for c in same if c.co_firstlineno == code.co_firstlineno]
        return next(iter(here or same), None)

    def function(self, code: CodeType) -> Definition | None:
        """Return the syntax tree of the function with this code; None if the file has none or several."""
        compiled = self.compiled(code)
        if compiled is None:
            return None
        first = compiled.co_firstlineno
        nodes = [node for line, node in self.nodes.get(_plain(code.co_qualname), ()) if line == first]
        return nodes[0] if len({ast_digest(node) for node in nodes}) == 1 else None

    def class_(self, cls: type, methods: Iterable[CodeType]) -> tuple[ast.ClassDef, CodeType] | None:
        """Return the syntax tree and body of a class; None if the file has none with these methods."""
        compiled = [self.compiled(code) for code in methods]
        if not all(compiled):
            return None
        lines = [code.co_firstlineno for code in compiled if code is not None]
        nodes = [
            (line, node)
            for line, node in self.nodes.get(_plain(cls.__qualname__), ())
            if isinstance(node, ast.ClassDef) and all(line <= m <= (node.end_lineno or m) for m in lines)
        ]
        if len(nodes) != 1:
            return None
        line, node = nodes[0]
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
    """Return the current definitions of a file; None if it does not exist or is not valid Python."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, dict(module_globals) if "__loader__" in module_globals else None)
    entry = _loaded.get(filename)
    if entry is not None and entry[0] is lines:
        return entry[1]
    source: Source | None = None
    if lines:
        try:
            source = Source("".join(lines), filename)
        except (SyntaxError, ValueError, RecursionError):
            source = None
    _loaded[filename] = (lines, source)
    return source
