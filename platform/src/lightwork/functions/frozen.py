"""Values as they were at one moment: as bytes, from which each reader gets an object of its own."""

from __future__ import annotations

import datetime
import decimal
import fractions
import itertools
import pickle
import sys
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

from lightwork.functions import mapped
from lightwork.functions.pickling import dump, dump_apart, load
from lightwork.functions.raised import raise_if_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIBRARIES = {"numpy", "pandas", "pyarrow"}
_LOOKED_AT = 32
"""Items of a container that are looked at for large arrays."""
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
        data: the value as `pickling.dump` returned it; without its large buffers, if these are apart.
        apart: the large buffers; None if there are none.
    """

    __slots__ = ("apart", "data")

    def __init__(
        self, data: bytes | memoryview, apart: mapped.Buffers | mapped.Borrowed | None = None
    ) -> None:
        self.data = data
        self.apart = apart

    @property
    def nbytes(self) -> int:
        """The size of the value in bytes, pickled."""
        return len(self.data) + (0 if self.apart is None else self.apart.nbytes)

    def thaw(self) -> Any:
        """Return the value as a new object, which shares with others only large, read-only buffers."""
        return load(self.data) if self.apart is None else load(self.data, self.apart.views())

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Dask sends a buffer without copying it.
        data = pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data)
        return Frozen, ((data,) if self.apart is None else (data, self.apart))

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes


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


def freeze_input(value: Any, place: mapped.Place | None) -> Any:
    """Freeze an input as `freeze_or_keep` does, with its large buffers at a place where workers map them.

    Args:
        value: the input.
        place: where to store the buffers; None keeps them in this process, from where they are sent.
    """
    if is_plain(value) or type(value) is Frozen:
        return value
    try:
        data, views = dump_apart(value)
        return Frozen(data, mapped.store(views, place)) if views else Frozen(data)
    except Exception:  # noqa: BLE001 - pickling runs the value's own code
        return value


def mapped_bytes(values: Iterable[Any]) -> int:
    """Return the size in bytes of the buffers that are apart from the pickles of values."""
    return sum(v.apart.nbytes for v in values if type(v) is Frozen and v.apart is not None)


def freeze_views(value: Any) -> Any:
    """Return a value as it is, except for large arrays: `Frozen`, without a copy of these.

    It gives objects as a worker would get them, in this process, as long as nobody changes the value itself.
    """
    if not _holds_large(value):
        return value
    try:
        data, views = mapped.dump_apart(value, mapped.PLAIN)
    except Exception:  # noqa: BLE001 - pickling runs the value's own code
        return value
    return Frozen(data, mapped.Borrowed(views)) if views else value


def release(result: Any) -> Any:
    """Return a result that is not kept; a copy of one that has a part of a mapped input in it."""
    if not mapped.USED or ATOMIC[type(result)]:
        return result
    if type(result).__name__ == "ndarray":
        return result.copy() if mapped.is_mapped(result) else result
    if not _holds_large(result):
        return result
    try:
        return thaw(freeze(result)) if mapped.holds_mapped(result) else result
    except Exception:  # noqa: BLE001 - pickling runs the value's own code
        return result


def _holds_large(value: Any, depth: int = 6) -> bool:
    """Return whether a value is, or has inside it not too deeply, a large array or table."""
    kind = type(value)
    if kind is tuple or kind is list:
        return depth > 0 and any(_holds_large(item, depth - 1) for item in value[:_LOOKED_AT])
    if kind is dict:
        items = itertools.islice(value.values(), _LOOKED_AT)
        return depth > 0 and any(_holds_large(item, depth - 1) for item in items)
    package = str(kind.__module__).partition(".")[0]
    if package in _LIBRARIES:
        return _size(value) >= mapped.LARGE
    state = getattr(value, "__dict__", None)
    return (
        type(state) is dict and depth > 0 and not isinstance(value, type) and _holds_large(state, depth - 1)
    )


def _size(value: Any) -> int:
    """Return the size in bytes of an array or table; 0 if it does not tell."""
    try:
        size = getattr(value, "nbytes", None)
        return int(value.memory_usage().sum() if size is None else size)
    except Exception:  # noqa: BLE001 - some other object of the library
        return 0


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
    if type(value) is not Frozen:
        return value
    if value.apart is None:
        return pickle.loads(value.data)
    return pickle.loads(value.data, buffers=value.apart.views())
