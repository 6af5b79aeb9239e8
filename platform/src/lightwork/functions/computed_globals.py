"""What code finds by no name of its own, and what has to go with it when it is sent by value.

Cloudpickle sends the globals that a function's bytecode names. `globals()[name]`, `eval(text)` and
`frame.query("x > @LIMIT")` look up others: without them, a worker would not find them, or, worse, find fewer.
"""

from __future__ import annotations

import builtins
import re
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVALUATING = tuple(map(id, (builtins.globals, builtins.eval, builtins.exec, builtins.compile)))
_REVEALING = frozenset({"__globals__", "f_globals", "globals"})
_QUERYING = frozenset({"eval", "query"})
_WORD = re.compile(r"[^\W\d]\w*")
_OF_IMPORTS = frozenset(
    {
        "__builtins__",
        "__cached__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__path__",
        "__spec__",
    }
)


def computed_globals(fn: FunctionType) -> dict[str, Any]:
    """Return the globals that a function may look up by computed names, without those of the import system.

    >>> LIMIT = 3
    >>> def above(frame):
    ...     return frame.query("speed > @LIMIT")
    >>> computed_globals(above)
    {'LIMIT': 3}
    """
    names: set[str] = set()
    texts: list[str] = []
    for code in _nested(fn.__code__):
        names.update(code.co_names)
        texts += [const for const in code.co_consts if isinstance(const, str)]
    scope = fn.__globals__
    if not _REVEALING.isdisjoint(names) or any(_evaluates(name, scope) for name in names):
        return {name: value for name, value in scope.items() if name not in _OF_IMPORTS}
    if _QUERYING.isdisjoint(names):
        return {}
    mentioned = {word for text in texts for word in _WORD.findall(text)}
    return {name: scope[name] for name in sorted(mentioned - _OF_IMPORTS) if name in scope}


def subclasses_read(fn: FunctionType) -> list[type]:
    """Return the subclasses of the classes that a function names, if it reads `__subclasses__`.

    >>> class Sensor:
    ...     pass
    >>> class Radar(Sensor):
    ...     pass
    >>> def names():
    ...     return [cls.__name__ for cls in Sensor.__subclasses__()]
    >>> [cls.__name__ for cls in subclasses_read(names)]
    ['Radar']
    """
    names = {name for code in _nested(fn.__code__) for name in (*code.co_names, *code.co_freevars)}
    if "__subclasses__" not in names:
        return []
    cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
    scopes = [fn.__globals__, {name: _content(cell) for name, cell in cells}]
    scopes += [vars(value) for value in map(fn.__globals__.get, names) if isinstance(value, ModuleType)]
    values = (value for scope in scopes for value in map(scope.get, sorted(names)))
    waiting: list[type] = [value for value in values if isinstance(value, type)]
    found: dict[type, None] = {}
    while waiting:
        known: list[type] = type.__subclasses__(waiting.pop())
        for cls in known:
            if cls not in found:
                found[cls] = None
                waiting.append(cls)
    return list(found)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _evaluates(name: str, scope: dict[str, Any]) -> bool:
    """Tell whether a name may stand for a builtin that looks up names of its caller."""
    return id(scope.get(name, getattr(builtins, name, None))) in _EVALUATING


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _nested(const)
