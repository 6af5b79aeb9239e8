"""What the elements of a map share: where large inputs are mapped, and the shared arguments.

Each element sees the shared arguments as they were when the map started, whatever earlier elements have
done to them. Small containers are unpickled anew for each element. Anything else is one object for many
elements, and is checked after them: if one of them changed it, all of them are computed again with objects
of their own.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import threading
from dataclasses import dataclass, field
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from lightwork.cluster import private
from lightwork.functions import mapped, pickling
from lightwork.functions.frozen import ATOMIC, Frozen, is_plain, open_argument
from lightwork.lake.local import LocalLake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from lightwork.lake import Lake

T = TypeVar("T")

_SMALL = 4096
"""Bytes up to which containers of plain values are unpickled for each element."""
_CODE = (FunctionType, BuiltinFunctionType, ModuleType, type)
_CONTAINERS = {list, dict, set, bytearray, tuple, frozenset}
_FOLDER = "mapped"
_code: dict[int, Any] = {}
"""Functions, classes and modules of this process that shared arguments refer to, by their ids."""


class LargeInputs:
    """Where the large inputs of a session's maps are stored for its workers.

    Args:
        on: where the session runs.
        lake: its lake.
    """

    def __init__(self, on: str, lake: Lake) -> None:
        self._on = on
        self._lake = lake
        self._lock = threading.Lock()
        self._memory: mapped.SharedMemory | None = None
        self._folder: mapped.Folder | None = None
        self._looked = False
        self._give_up: Callable[[], object] = lambda: None

    def place(self, *, lake_is_used: bool) -> mapped.Place | None:
        """Return the place for inputs of a map; None if they are sent by Dask.

        Args:
            lake_is_used: whether the map does not run anyway unless its workers see the lake.
        """
        with self._lock:
            if self._on == "local":
                if not self._looked:
                    self._looked = True
                    self._memory = mapped.SharedMemory() if mapped.SharedMemory.available() else None
                return self._memory or self._in_folder()
            if self._on != "serial" and lake_is_used and isinstance(self._lake, LocalLake):
                return self._in_folder()
            return None

    def _in_folder(self) -> mapped.Folder:
        if self._folder is None:
            if isinstance(self._lake, LocalLake):
                base = self._lake.folder
            else:
                base, self._give_up = private.folder()
            self._folder = mapped.Folder(base / _FOLDER)
        return self._folder

    def close(self) -> None:
        """Delete the files of large inputs."""
        with self._lock:
            if self._folder is not None:
                self._folder.close()
            self._give_up()


@dataclass(slots=True)
class Shared:
    """The shared arguments of a map, as they were when it started.

    Attributes:
        fixed: those that cannot change, those that `ignore` names, and those that cannot be pickled.
        frozen: a dict of the others; None if there are none.
        each: whether each element gets new objects; otherwise `lend` hands out the same ones.
        names: the names of the arguments in `frozen`.
        written: the first-party names that `frozen` holds, as `pickling.dump_code` notes them.
    """

    fixed: dict[str, Any]
    frozen: Frozen | None = None
    each: bool = False
    names: tuple[str, ...] = ()
    written: set[tuple[str, str]] = field(default_factory=set)
    _spare: list[Loan] = field(default_factory=list)

    def new(self) -> dict[str, Any]:
        """Return all arguments; those that may change are new objects."""
        return self.fixed if self.frozen is None else {**self.fixed, **open_argument(self.frozen)}

    def lend(self) -> Loan | None:
        """Return arguments for many elements in one thread; None if each element needs new ones."""
        if self.each or self.frozen is None:
            return None
        with contextlib.suppress(IndexError):
            return self._spare.pop()
        loan = Loan(self.new(), self.names)
        if not loan.stable:
            self.each = True
            return None
        return loan

    def give_back(self, loan: Loan) -> tuple[str, ...] | None:
        """End a loan.

        Returns:
            None if the arguments are unchanged. Otherwise no further loans are made, and the result names
            those that differ; it is empty if only their pickles do.
        """
        if not loan.changed():
            self._spare.append(loan)
            return None
        self.each = True
        new = self.new()
        return tuple(name for name in self.names if _differ(loan.arguments[name], new[name]))

    def bind(self, fn: Callable[..., Any], loan: Loan | None = None) -> Callable[..., Any]:
        """Return a function with the shared arguments: those of a loan, or new ones in each call."""
        if loan is None and self.frozen is not None:
            return lambda *args: fn(*args, **self.new())
        arguments = self.fixed if loan is None else loan.arguments
        return functools.partial(fn, **arguments) if arguments else fn

    def run(self, compute: Callable[[Loan | None], T]) -> tuple[T, str]:
        """Compute a batch with the shared arguments; again, if it changed them.

        Args:
            compute: computes it with the arguments of a loan, or with new ones for each element.

        Returns:
            What it returned, and a warning, usually empty.
        """
        loan = self.lend()
        outcome = compute(loan)
        names = None if loan is None else self.give_back(loan)
        return (outcome, "") if names is None else (compute(None), changed(names))

    def __reduce__(self) -> Any:
        return Shared, (self.fixed, self.frozen, self.each, self.names)


class Loan:
    """Shared arguments that many elements get, with what shows that none of them changed these.

    Attributes:
        arguments: the arguments.
        stable: whether an unchanged argument always shows the same.
    """

    def __init__(self, arguments: dict[str, Any], names: tuple[str, ...]) -> None:
        self.arguments = arguments
        self._names = names
        self.stable = True
        self._before: object = None
        if names:
            self._before = self._state()
            self.stable = self._before is not None and self._before == self._state()

    def changed(self) -> bool:
        """Return whether the arguments differ from what they were, as far as their pickles show."""
        return bool(self._names) and self._state() != self._before

    def _state(self) -> object:
        try:
            return _state([self.arguments[name] for name in self._names])
        except Exception:  # noqa: BLE001 - pickling runs the values' own code
            return None


def _state(values: list[Any]) -> object:
    """Return what shows whether values have changed: their pickle, and where their mapped buffers are."""
    try:
        return _pickled(values, mapped.PLAIN)
    except Exception:  # noqa: BLE001 - code that cannot be found by name, such as that of a script
        return _pickled(values, _HERE)


def _pickled(values: list[Any], way: mapped.Way) -> object:
    addresses: list[tuple[int, int]] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        view = memoryview(buffer)
        if view.nbytes < mapped.LARGE or not view.readonly:
            return True
        addresses.append((_address(buffer.raw()), view.nbytes))
        return False

    data = way.dumps(values, take)
    return (data if len(data) < mapped.LARGE else blake2b(data).digest()), addresses


def _address(view: memoryview) -> int:
    import numpy

    return int(numpy.frombuffer(view, numpy.uint8).__array_interface__["data"][0])


def _differ(one: Any, other: Any) -> bool:
    """Return whether two values differ, for the warning."""
    from lightwork.keys import Unkeyable
    from lightwork.keys.values.canonical import encode

    try:
        return encode(one) != encode(other)
    except Unkeyable:
        return _state([one]) != _state([other])


def changed(names: Iterable[str]) -> str:
    """Return the warning about shared arguments that a task changes; empty if there are none."""
    listed = ", ".join(names)
    if not listed:
        return ""
    return (
        f"the shared argument {listed} is changed by an element, so each element gets a copy of its own, "
        "which takes time; change a copy in the task, or name the argument in ignore= if that has no effect"
    )


def freeze_shared(
    shared: Mapping[str, Any],
    ignore: Iterable[str],
    place: mapped.Place | None,
    by_value: AbstractContextManager[object] | None,
    *,
    borrow: bool = False,
) -> Shared:
    """Return shared arguments as they are now.

    Args:
        shared: the arguments by name.
        ignore: the names of those that do not affect the result: there is one object for all elements.
        place: where large buffers are stored; None keeps them in this process.
        by_value: sends code by value that a worker could not import; None for use in this process.
        borrow: whether large buffers are not copied, so that later changes of the caller are seen.
    """
    written: set[tuple[str, str]] = set()
    here = by_value is None
    freeze = functools.partial(_freeze, names=written, place=place, borrow=borrow)
    ignored = set(ignore)
    fixed = {name: value for name, value in shared.items() if name in ignored or _is_fixed(value)}
    others = {name: value for name, value in shared.items() if name not in fixed}
    if not others:
        return Shared(fixed)
    with by_value or contextlib.nullcontext():
        frozen = freeze(others, here=here)
        if frozen is None:
            # Freeze together what can be pickled at all.
            for name, value in list(others.items()):
                if _freeze({name: value}, set(), None, here=here, borrow=True) is None:
                    fixed[name] = others.pop(name)
            frozen = freeze(others, here=here) if others else None
    if frozen is None:
        return Shared({**fixed, **others})
    each = len(frozen.data) <= _SMALL and all(map(_is_simple, others.values()))
    ordered = {name: fixed[name] for name in shared if name in fixed}
    return Shared(ordered, frozen, each, tuple(others), written)


def _freeze(
    values: dict[str, Any],
    names: set[tuple[str, str]],
    place: mapped.Place | None,
    *,
    here: bool,
    borrow: bool,
) -> Frozen | None:
    """Freeze values together; return None if they cannot be pickled."""
    for how, way in _ways(names, here=here):
        try:
            with how():
                data, views = mapped.dump_apart(values, way)
                if not views:
                    return Frozen(data)
                return Frozen(data, mapped.Borrowed(views) if borrow else mapped.store(views, place))
        except Exception:  # noqa: BLE001, S112 - pickling runs the values' own code
            continue
    return None


def _ways(names: set[tuple[str, str]], *, here: bool) -> list[tuple[Any, mapped.Way]]:
    if here:
        return [(contextlib.nullcontext, mapped.PLAIN), (contextlib.nullcontext, _HERE)]
    way = pickling.code_way(names)
    return [(contextlib.nullcontext, way), (pickling.by_name, way)]


def _code_at(number: int) -> Any:
    return _code[number]


class _Here(pickle.Pickler):
    """Pickles functions, classes and modules as references to the objects in this process."""

    def __init__(self, file: io.BytesIO, protocol: int, buffer_callback: Any = None) -> None:
        super().__init__(file, protocol, buffer_callback=buffer_callback)

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, _CODE) or value is _code_at:
            return NotImplemented
        _code[id(value)] = value
        return _code_at, (id(value),)


_HERE = mapped.Way(_Here)


def _is_fixed(value: Any) -> bool:
    return isinstance(value, _CODE) or is_plain(value)


def _is_simple(value: Any) -> bool:
    """Return whether a value consists of containers of plain values, and of arrays."""
    kind = type(value)
    if kind in _CONTAINERS:
        items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        return kind is bytearray or all(map(_is_simple, items))
    if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
        return not value.dtype.hasobject
    return ATOMIC[kind] or is_plain(value)
