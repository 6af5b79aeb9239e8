"""The part of a key that stays when a `version` replaces the code: names, and the values that are held.

Code counts by its name here, and values by their content: two closures of one function differ by what they
have captured, two bound methods by their instances. Code without a lasting name counts by itself: a lambda, a
function of a file that defines several of that name, and what is typed into an interpreter.
"""

from __future__ import annotations

import functools
import threading
import types
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lightwork.functions.callables import CACHED, is_lasting, name_of, names_of
from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins.origin import home_of, kind_of_function
from lightwork.keys.components import Unkeyable
from lightwork.keys.source import classify
from lightwork.keys.source.units import definitions, function_unit
from lightwork.keys.values.canonical import STATE, WRITERS, Scope, cycle, mapping, pack, text
from lightwork.keys.values.objects import CODE_HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.functions.origins.origin import Home

_ADVICE = "{name} with version= {holds}: {{}}; pass it as an argument that ignore= names"


class _Open(threading.local):
    """The functions that this thread is encoding; one that holds itself counts once."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_open = _Open()
_CONTAINERS = (list, dict, set, bytearray)
_containers: WeakKeyDictionary[types.FunctionType, dict[str, tuple[Any, bytes]]] = WeakKeyDictionary()
"""The containers that functions have captured, by name, as they were when a key was first computed."""


def held_by(task: TaskFunction[Any, Any]) -> list[bytes]:
    """Encode what a task with a `version` holds besides its code; empty for a plain function of a file.

    Raises:
        Unkeyable: a value that it holds has no stable key.
    """
    return _within(task.fn, lambda names: names.held(task.fn, task))


def held_by_function(fn: Any) -> list[bytes]:
    """Encode what a function holds besides its code, as `held_by` does."""
    return _within(fn, lambda names: names.held(fn))


def _within(fn: Any, encode: Any) -> list[bytes]:
    names = _Names()
    names.home = home_of(names_of(fn)[0])
    before, STATE.walk = STATE.walk, names
    try:
        with Scope():
            parts: list[bytes] = encode(names)
            return parts
    finally:
        STATE.walk = before


class _Names:
    """The analysis of code that counts by its name; `values.STATE` has it while values are encoded."""

    def __init__(self) -> None:
        self.home: Home | None = None

    def distribution(self, name: str) -> None:
        """Do nothing: the version of a library is part of the code that `version` replaces."""

    def token(self, value: Any, *, root: bool = False) -> bytes:
        """Encode code by its name and what it holds, and other values by their content."""
        if isinstance(value, TaskFunction):
            version = b"" if value.options.version is None else text(value.options.version)
            return pack(b"V", text(value.name), version, *self.held(value.fn, value))
        if isinstance(value, Pipeline):
            return self.token(value.fn)
        if isinstance(value, types.FunctionType):
            local = not root and not classify.leads_to(value)
            defaults = self._defaults(value) if local else []
            return pack(b"R", text(classify.function_name(value)), *self.held(value), *defaults)
        if isinstance(value, CACHED):
            return pack(b"u", self.token(value.__wrapped__))
        if isinstance(value, type):
            return self._class(value)
        if classify.is_code(value):
            return pack(b"R", text(name_of(value) if callable(value) else value.__name__))
        if classify.is_logger(value):
            return b"L"
        if classify.is_lightwork(value):
            return b"W"
        if type(value) is object:
            return b"O"
        try:
            return WRITERS[type(value)](value)
        except RecursionError:
            raise cycle(value) from None

    def held(self, fn: Any, task: TaskFunction[Any, Any] | None = None) -> list[bytes]:
        """Encode what a callable holds besides its name: captured values, arguments, or its instance."""
        name = name_of(fn) if task is None else task.name
        ignored = () if task is None else task.options.ignore
        if isinstance(fn, types.FunctionType):
            return self._held_by_function(fn)
        if isinstance(fn, types.MethodType):
            function = self.held(fn.__func__)
            if task is not None and task.instance_ignored:
                return [self.token(type(fn.__self__)), *function]
            return [self._value(fn.__self__, name, "is bound to"), *function]
        if type(fn) is functools.partial:
            keywords = {key: item for key, item in fn.keywords.items() if key not in ignored}
            function = self.held(fn.func)
            return [
                pack(b"P", *function),
                self._value(fn.args, name, "has arguments"),
                self._value(keywords, name, "has keywords"),
            ]
        if isinstance(fn, CACHED):
            return self.held(fn.__wrapped__)
        if isinstance(fn, type):
            return [] if classify.leads_to(fn) else [self.token(fn)]
        if classify.is_code(fn):
            return []
        return [self._value(fn, name, "is an object")]

    def _held_by_function(self, fn: types.FunctionType) -> list[bytes]:
        if id(fn) in _open.ids:
            return []
        _open.ids.add(id(fn))
        try:
            if kind_of_function(fn) != "source":
                return [self.token(inner) for inner in classify.inside(fn)]
            parts = list(self._code(fn))
            for cell, value in classify.cells(fn):
                if cell != "__class__":  # what `super()` reads: the class around the method
                    holds = f"has captured {cell}"
                    parts.append(text(cell) + self._first(fn, cell, value, holds))
            return parts
        finally:
            _open.ids.discard(id(fn))

    def _first(self, fn: types.FunctionType, cell: str, value: Any, holds: str) -> bytes:
        """Encode a captured value; a container as it was at first, since a run may count or collect in it."""
        entry = _containers.get(fn, {}).get(cell)
        if entry is not None and entry[0] is value:
            return entry[1]
        token = self._value(value, classify.function_name(fn), holds)
        if type(value) in _CONTAINERS:
            _containers.setdefault(fn, {})[cell] = (value, token)
        return token

    def _code(self, fn: types.FunctionType) -> Iterator[bytes]:
        """Yield the code of a function that its name does not identify."""
        if not is_lasting(fn):
            yield bytes.fromhex(CODE_HOOKS.digest(fn))
        elif definitions(fn) > 1:
            yield function_unit(fn).digest
        if fn.__code__.co_qualname != fn.__qualname__:
            yield text(classify.function_name(fn))

    def _class(self, cls: type) -> bytes:
        name = text(classify.class_name(cls))
        if classify.kind_of_class(cls) != "source" or classify.leads_to(cls):
            return pack(b"R", name)
        return pack(b"R", name, bytes.fromhex(CODE_HOOKS.digest(cls)))

    def _defaults(self, fn: types.FunctionType) -> list[bytes]:
        values = {**classify.defaults(fn), **(fn.__kwdefaults__ or {})}
        return [mapping(b"d", values.items())] if values else []

    def _value(self, value: Any, name: str, holds: str) -> bytes:
        try:
            return self.token(value)
        except Unkeyable as error:
            raise (
                error
                if error.context
                else Unkeyable(error.what, error.where, _ADVICE.format(name=name, holds=holds))
            ) from None
