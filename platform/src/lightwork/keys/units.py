"""The part of a function's or class's key that its code alone decides; worked out once for each."""

from __future__ import annotations

import ast
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.keys.classify import methods
from lightwork.keys.reads import Chain, Reads, reads_of
from lightwork.keys.source import source_of
from lightwork.keys.syntax import Definition, ast_digest, code_digest, definition_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType, FunctionType


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
