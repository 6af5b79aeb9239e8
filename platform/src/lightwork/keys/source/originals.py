"""Whether a name of a library still holds what the library's own source puts there.

A library that a function imports in its body is loaded in one process and not yet in another. So what it
holds counts only where somebody has put something else: with the rest, the same code would have two keys.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import linecache
import operator
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.keys.source.units import parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_DEEPEST = 12
_MISSING = object()
PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
_LONGEST = 10_000
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@dataclass(slots=True)
class _Scope:
    """What the body of a module or class binds.

    Attributes:
        names: the statements or expressions that bind each name; None for one that is computed otherwise.
        stars: the modules of which all names are imported.
        classes: the bodies of classes.
        changing: names that functions set.
    """

    names: dict[str, list[ast.AST | None]] = field(default_factory=lambda: defaultdict(list))
    stars: list[ast.ImportFrom] = field(default_factory=list)
    classes: dict[str, _Scope] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)


def alias(shown: str, value: object) -> tuple[str, str] | None:
    """Return the own name and top-level module of a function or class; None if it bears the name given.

    >>> import json, math
    >>> alias("json.loads", json.loads), alias("json.loads", math.sqrt)
    (None, ('sqrt', 'math'))
    """
    home, _, name = shown.rpartition(".")
    own = str(getattr(value, "__name__", name))
    top = str(getattr(value, "__module__", None) or home).partition(".")[0].lstrip("_")
    return None if (own, top) == (name, home.partition(".")[0]) else (own, top)


def is_original(module: ModuleType, name: str, value: object) -> bool | None:
    """Tell whether a library's module holds under a name what its source says; None if that is not known."""
    return _is_original(module, name, value, 0)


def is_original_of_class(cls: type, name: str, value: object) -> bool | None:
    """Tell the same of an attribute of a library's class."""
    module = sys.modules.get(cls.__module__)
    scope = None if module is None else _scope_of(module)
    for part in cls.__qualname__.split("."):
        scope = None if scope is None else scope.classes.get(part)
    if module is None or scope is None:
        return None
    return _any(_says(node, module, name, value, 0) for node in scope.names.get(name, ()))


def is_bound(package: ModuleType, name: str) -> bool:
    """Tell whether a library's package imports a module itself, rather than when its name is first read."""
    scope = _scope_of(package)
    return scope is None or name in scope.names or bool(scope.stars)


def is_compiled_in(module: ModuleType) -> bool:
    """Tell whether a module is compiled, or part of the interpreter."""
    file = getattr(module, "__file__", None)
    return not file or str(file).endswith(tuple(EXTENSION_SUFFIXES))


def _is_original(module: ModuleType, name: str, value: object, depth: int) -> bool | None:
    if depth and type(value) not in PLAIN and alias(f"{module.__name__}.{name}", value) is None:
        return True
    scope = _scope_of(module) if depth < _DEEPEST else None
    if scope is None or name in scope.changing:
        return None
    if name in scope.names:
        return _any(_says(node, module, name, value, depth) for node in scope.names[name])
    return _any(_imported(star, name, module, value, depth) for star in reversed(scope.stars))


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    found = list(verdicts)
    if True in found:
        return True
    return None if None in found or not found else False


def _says(node: ast.AST | None, module: ModuleType, name: str, value: object, depth: int) -> bool | None:
    """Tell whether what a statement or expression binds is the value."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return None if node.decorator_list else False  # it would bear the name
    if isinstance(node, ast.Import):
        return False
    if isinstance(node, ast.ImportFrom):
        names = [item.name for item in node.names if (item.asname or item.name) == name]
        return _any(_imported(node, written, module, value, depth) for written in names)
    return _expression(node, module, value, depth) if isinstance(node, ast.expr) else None


def _imported(node: ast.ImportFrom, name: str, module: ModuleType, value: object, depth: int) -> bool | None:
    """Tell whether a value is what an import of a name takes from its module."""
    package = str(getattr(module, "__package__", None) or module.__name__)
    try:
        source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return None
    home = sys.modules.get(source)
    held = vars(home).get(name, _MISSING) if isinstance(home, ModuleType) else _MISSING
    if home is None:
        return False  # the statement has failed, or was not reached
    if held is _MISSING:
        return None
    return _is_original(home, name, value, depth + 1) if _same(held, value) else False


def _expression(node: ast.expr, module: ModuleType, value: object, depth: int) -> bool | None:
    if isinstance(node, ast.BoolOp):
        return _any(_expression(item, module, value, depth) for item in node.values)
    if isinstance(node, ast.IfExp):
        return _any(_expression(item, module, value, depth) for item in (node.body, node.orelse))
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _name(node, module, value, depth)
    try:
        return _same(_calculated(node, module), value)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return None


def _name(node: ast.Name | ast.Attribute, module: ModuleType, value: object, depth: int) -> bool | None:
    owner: Any = module
    if isinstance(node, ast.Attribute):
        owner = _live(node.value, module)
    name = node.attr if isinstance(node, ast.Attribute) else node.id
    held = getattr(owner, "__dict__", {}).get(name, _MISSING)
    if held is _MISSING:
        return None
    if not _same(held, value):
        return False
    if not isinstance(owner, ModuleType):
        return None if type(value) in PLAIN else True
    return _is_original(owner, name, value, depth + 1)


def _live(node: ast.expr, module: ModuleType) -> Any:
    """Return what a chain of names means in a module now; a private mark if it means nothing."""
    if isinstance(node, ast.Name):
        return vars(module).get(node.id, _MISSING)
    if isinstance(node, ast.Attribute):
        return getattr(_live(node.value, module), "__dict__", {}).get(node.attr, _MISSING)
    return _MISSING


def _calculated(node: ast.expr, module: ModuleType) -> Any:
    """Return the value of an expression of numbers, texts and names of such.

    Raises:
        ValueError: it is another expression.
    """
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _calculated(node.left, module), _calculated(node.right, module)
        return _plain(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_calculated(node.operand, module))
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _plain(_live(node, module))
    return ast.literal_eval(node)


def _plain(value: Any) -> Any:
    if type(value) not in PLAIN or (isinstance(value, (str, bytes)) and len(value) > _LONGEST):
        raise ValueError(value)
    return value


def _same(held: object, value: object) -> bool:
    if held is value:
        return True
    kinds = (*PLAIN, list, dict, tuple, set)
    return type(held) is type(value) and type(held) in kinds and bool(held == value)


def _scope_of(module: ModuleType) -> _Scope | None:
    """Return what a module's source binds; None without source."""
    file = getattr(module, "__file__", None)
    return _scope(str(file)) if file and not is_compiled_in(module) else None


@functools.lru_cache(maxsize=512)
def _scope(file: str) -> _Scope | None:
    try:
        tree = parsed("".join(linecache.getlines(file)), "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None
    scope = _Scope()
    _read(tree.body, scope)
    globals_ = (node.names for node in ast.walk(tree) if isinstance(node, ast.Global))
    scope.changing.update(name for names in globals_ for name in names)
    return scope


def bindings(body: Iterable[ast.AST]) -> Mapping[str, list[ast.AST | None]]:
    """Return what binds each name in the body of a module: statements, expressions, None for parts of one."""
    scope = _Scope()
    _read(body, scope)
    return scope.names


def _read(body: Iterable[ast.AST], scope: _Scope) -> None:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scope.names[node.name].append(node)
            if isinstance(node, ast.ClassDef):
                _read(node.body, scope.classes.setdefault(node.name, _Scope()))
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            scope.stars.append(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for item in node.names:
                scope.names[(item.asname or item.name).partition(".")[0]].append(node)
        else:
            for name, expression in _assigned(node):
                scope.names[name].append(expression)
            _read((inner for inner in ast.iter_child_nodes(node) if isinstance(inner, _NESTED)), scope)


_NESTED = (ast.stmt, ast.excepthandler, ast.match_case)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that a statement binds, with the expression; None where that is a part of another."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For)):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
    says = isinstance(node, (ast.Assign, ast.AnnAssign))
    for target in targets:
        if isinstance(target, ast.Name):
            if not isinstance(node, ast.AnnAssign) or node.value is not None:
                yield target.id, node.value if says else None  # type: ignore[attr-defined]
        else:
            names = (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
            yield from ((name, None) for name in names)
