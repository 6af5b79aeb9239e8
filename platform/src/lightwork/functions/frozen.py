"""Values as they were at one moment: as bytes, from which each reader gets an object of its own."""

from __future__ import annotations

import datetime
import decimal
import fractions
import pickle
import sys
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

from lightwork.functions.pickling import dump, load
from lightwork.functions.raised import raise_if_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterable

_PANDAS_SCALARS = {"Timestamp", "Timedelta", "Period", "NaTType", "NAType"}
_CONTAINERS = {tuple, frozenset}
_MOMENTS = {datetime.datetime, datetime.time}
_ZONES = {type(None), datetime.timezone, zoneinfo.ZoneInfo}


class _Atomic(dict[type, bool]):
    """Whether instances of an exact type never change and hold no other objects."""

    def __missing__(self, kind: type) -> bool:
        # Types that a script makes are not noted, so that they can be collected.
        package = str(kind.__module__).partition(".")[0]
        if package == "numpy":
            numpy = sys.modules["numpy"]
            atomic = issubclass(kind, numpy.generic) and kind not in (numpy.void, numpy.object_)
        else:
            atomic = package == "pandas" and kind.__name__ in _PANDAS_SCALARS
        if atomic:
            self[kind] = True
        return atomic


_IMMUTABLE: tuple[type, ...] = (
    *(int, float, bool, complex, str, bytes, type(None), type(...)),
    *(datetime.date, datetime.timedelta, decimal.Decimal, fractions.Fraction, uuid.UUID),
)
ATOMIC = _Atomic({**dict.fromkeys(_IMMUTABLE, True), list: False, dict: False, tuple: False})
"""Whether instances of an exact type never change and hold no other objects."""


class Frozen:
    """A value as it was at one moment.

    Attributes:
        data: the value as `pickling.dump` returned it.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data

    def thaw(self) -> Any:
        """Return the value as a new object that shares nothing with any other."""
        return load(self.data)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Dask sends a buffer without copying it.
        return Frozen, (pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data),)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + len(self.data)


class Unfreezable:
    """Stands for a value that cannot be pickled, or not be loaded.

    Attributes:
        kind: the name of the value's type; empty if unknown.
        error: why it cannot.
    """

    __slots__ = ("error", "kind")

    def __init__(self, kind: str, error: BaseException) -> None:
        self.kind = kind
        self.error = error


def is_plain(value: Any) -> bool:
    """Return whether a value can never change, so that it may be kept and handed out as it is.

    >>> is_plain((1, "a")), is_plain((1, []))
    (True, False)
    """
    kind = type(value)
    if ATOMIC[kind]:
        return True
    if kind in _CONTAINERS:
        try:
            return all(map(is_plain, value))
        except RecursionError:
            return False
    return kind in _MOMENTS and type(value.tzinfo) in _ZONES


def all_plain(values: Iterable[Any]) -> bool:
    """Return whether none of the values can ever change."""
    values = list(values)
    # There are few types among many values.
    return all(ATOMIC[kind] for kind in set(map(type, values))) or all(map(is_plain, values))


def freeze(value: Any) -> Any:
    """Return a plain value itself, any other one as `Frozen`, or as `Unfreezable` if it cannot be pickled."""
    if is_plain(value) or type(value) is Frozen:
        return value
    try:
        return Frozen(dump(value))
    except BaseException as error:  # noqa: BLE001 - pickling runs the value's own code
        raise_if_interrupted(error)
        return Unfreezable(type(value).__name__, error)


def freeze_or_keep(value: Any) -> Any:
    """Return a plain value itself, any other one as `Frozen`; itself as well if it cannot be pickled."""
    frozen = freeze(value)
    return value if type(frozen) is Unfreezable else frozen


def split(result: Any) -> tuple[Any, Any]:
    """Return what to keep of a result, and what to hand out in its place.

    A result that may change is handed out as a copy: the task may still hold the object itself, in a table or
    a memo, and would return it again as the caller has changed it.

    Returns:
        The result itself twice, if it is plain; `Unfreezable` and the result itself, if it cannot be pickled
        or its pickle cannot be loaded; otherwise `Frozen` and a copy.
    """
    frozen = freeze(result)
    if type(frozen) is Frozen:
        try:
            return frozen, frozen.thaw()
        except BaseException as error:  # noqa: BLE001 - unpickling runs code of the value's class
            raise_if_interrupted(error)
            return Unfreezable(type(result).__name__, error), result
    return frozen, result


def thaw_or_tell(value: Any) -> Any:
    """Return what was frozen as a new object, `Unfreezable` if that fails; any other value itself."""
    if type(value) is not Frozen:
        return value
    try:
        return value.thaw()
    except BaseException as error:  # noqa: BLE001 - unpickling runs code of the value's class
        raise_if_interrupted(error)
        return Unfreezable("", error)


def thaw(value: Any) -> Any:
    """Return what was frozen as a new object, and any other value itself."""
    return value.thaw() if type(value) is Frozen else value


def open_argument(value: Any) -> Any:
    """Return what was frozen as a new object for the function that it was frozen for.

    Classes that were pickled by value are those of the function, which was pickled in the same way, not those
    of that name in this process.
    """
    return pickle.loads(value.data) if type(value) is Frozen else value
