"""Canonical bytes of many values at the speed of C: values of one type are encoded together, as a column.

A column depends only on the values in it. It is used for containers with at least `MANY` items, and so never
stands for the same values as the encodings of `values`, which encode item by item. Types without a column of
their own are encoded by their writers, and joined.
"""

from __future__ import annotations

import operator
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

MANY = 64
"""Items from which on a container is encoded by columns."""
_DEPTH = 4
"""Levels of lists inside lists that are joined into one column; deeper ones are encoded one by one."""
_MOST = 1 << 24
"""Items of inner lists, together, that are joined into one column."""
_CODES = {
    int: b"i",
    float: b"f",
    str: b"s",
    bytes: b"b",
    bool: b"T",
    type(None): b"N",
    list: b"l",
    tuple: b"t",
}
_SORTED = {int, str, bytes, float}
_NAN = float("nan")
_Levels = tuple["Sequence[Any]", ...]
"""The containers around some values: those of each level, the outermost first."""
_LITTLE = array("H", [1]).tobytes() == b"\x01\x00"


def column(values: Sequence[Any], write: Callable[[Any], bytes]) -> bytes:
    """Encode values in order.

    Args:
        values: the values.
        write: encodes a value whose type has no column.

    Raises:
        RecursionError: a container is inside itself.
    """
    return b"%d;" % len(values) + _mixed(values, write, ((values,),), 0)


def unordered(tag: bytes, values: Collection[Any], write: Callable[[Any], bytes]) -> bytes | None:
    """Encode the items of a set, or return None if they have to be sorted by their encodings."""
    items = list(values)
    kind = _sortable(items)
    if kind is None:
        return None
    numbers = _int_array(items) if kind is int else None
    if numbers is None:
        return tag + column(sorted(items), write)
    numbers.sort()
    return tag + b"%d;iq" % len(items) + _little(numbers)


def pairs(tag: bytes, mapping: Mapping[Any, Any], write: Callable[[Any], bytes]) -> bytes | None:
    """Encode the keys and values of a dict, or return None if they have to be sorted by their encodings."""
    keys, values = list(mapping), list(mapping.values())
    kind = _sortable(keys)
    if kind is None:
        return None
    if all(map(operator.lt, keys, keys[1:])):
        return tag + column(keys, write) + column(values, write)
    numbers = _int_array(keys) if kind is int else None
    if numbers is None:
        order: Any = sorted(range(len(keys)), key=keys.__getitem__)
        head = column(list(map(keys.__getitem__, order)), write)
    else:
        order = numbers.argsort()
        head = b"%d;iq" % len(keys) + _little(numbers[order])
        inner = _int_array(values) if set(map(type, values)) == {int} else None
        if inner is not None:
            return tag + head + b"%d;iq" % len(keys) + _little(inner[order])
        order = order.tolist()
    return tag + head + column(list(map(values.__getitem__, order)), write)


def ordered_pairs(tag: bytes, mapping: Mapping[Any, Any], write: Callable[[Any], bytes]) -> bytes:
    """Encode the keys and values of a dict whose order counts."""
    return tag + column(list(mapping), write) + column(list(mapping.values()), write)


def _sortable(values: list[Any]) -> type | None:
    """Return the type of the values; None if they have several, or no order."""
    kinds = set(map(type, values))
    if len(kinds) != 1 or not kinds <= _SORTED:
        return None
    kind = kinds.pop()
    if kind is str and any(map(may_be_path, values)):
        return None  # their encodings may not be sorted as they are
    return None if kind is float and not all(map(operator.eq, values, values)) else kind  # NaN has no order


def _int_array(values: list[int]) -> Any:
    """Return integers as a NumPy array; None if some do not fit."""
    import numpy

    try:
        return numpy.array(array("q", values), dtype=numpy.int64)
    except OverflowError:
        return None


def _little(numbers: Any) -> bytes:
    return bytes(numbers.astype("<i8", copy=False).tobytes())


def _mixed(values: Sequence[Any], write: Callable[[Any], bytes], above: _Levels, depth: int) -> bytes:
    """Encode which type each value has, and then the values of each type."""
    types = list(map(type, values))
    kinds = set(types)
    if len(kinds) == 1:
        kind = kinds.pop()
        return _CODES.get(kind, b"o") + _of_type(kind, values, write, above, depth)
    codes = b"".join([_CODES.get(kind, b"o") for kind in types])
    parts = [b"*", codes]
    known = [kind for kind in _CODES if kind in kinds]
    for kind in known:
        some = [value for value, is_kind in zip(values, types, strict=True) if is_kind is kind]
        parts.append(_of_type(kind, some, write, above, depth))
    if len(known) < len(kinds):
        others = [value for value, kind in zip(values, types, strict=True) if kind not in _CODES]
        parts.append(_of_type(object, others, write, above, depth))
    return b"".join(parts)


def _of_type(
    kind: type, values: Sequence[Any], write: Callable[[Any], bytes], above: _Levels, depth: int
) -> bytes:
    if kind is str:
        return _texts(values, write)
    writer = _COLUMNS.get(kind)
    if writer is not None:
        return writer(values)
    if kind is list or kind is tuple:
        return _lists(values, write, above, depth)
    return b"".join(map(write, values))


def _lists(values: Sequence[Any], write: Callable[[Any], bytes], above: _Levels, depth: int) -> bytes:
    lengths = list(map(len, values))
    total = sum(lengths)
    if depth >= _DEPTH or total > _MOST:
        return b"|" + b"".join(map(write, values))
    if _meets(values, above) and any(map(_contains_itself, values)):
        raise RecursionError("a container is inside itself")
    inner = list(chain.from_iterable(values))
    return b"[" + _numbers(lengths) + (_mixed(inner, write, (*above, values), depth + 1) if inner else b"")


def _meets(values: Sequence[Any], above: _Levels) -> bool:
    """Return whether some of the containers are around others of them, or look so."""
    if len(above) == 1:
        return id(above[0][0]) in map(id, values)
    ids = set(map(id, values))
    return not all(ids.isdisjoint(map(id, level)) for level in above)


def _contains_itself(value: Any) -> bool:
    """Return whether a list or tuple is inside itself, through lists and tuples alone."""
    path, finished = {id(value)}, set()
    stack = [(value, iter(value))]
    while stack:
        holder, items = stack[-1]
        item = next(
            (item for item in items if type(item) in (list, tuple) and id(item) not in finished), None
        )
        if item is None:
            stack.pop()
            path.discard(id(holder))
            finished.add(id(holder))
        elif id(item) in path:
            return True
        else:
            path.add(id(item))
            stack.append((item, iter(item)))
    return False


def _numbers(values: Iterable[int]) -> bytes:
    data = array("q", values)
    if not _LITTLE:
        data.byteswap()
    return data.tobytes()


def _ints(values: Sequence[int]) -> bytes:
    try:
        return b"q" + _numbers(values)
    except OverflowError:
        return b"x" + b"".join([b"%x;" % value for value in values])


def _floats(values: Sequence[float]) -> bytes:
    if not all(map(operator.eq, values, values)):
        values = [value if value == value else _NAN for value in values]
    data = array("d", values)
    if not _LITTLE:
        data.byteswap()
    return data.tobytes()


def may_be_path(value: str) -> bool:
    """Return whether a text looks like an absolute path, which code may hold for its own folder."""
    return value[:1] == "/" or ":///" in value


def _texts(values: Sequence[str], write: Callable[[Any], bytes]) -> bytes:
    joined = "".join(values)
    if "/" in joined and any(map(may_be_path, values)):
        return b"/" + b"".join(map(write, values))
    return b"u" + _numbers(map(len, values)) + joined.encode("utf-8", "surrogatepass")


def _byte_strings(values: Sequence[bytes]) -> bytes:
    return _numbers(map(len, values)) + b"".join(values)


def _nothing(_: Sequence[None]) -> bytes:
    return b""


_COLUMNS: dict[type, Callable[[Any], bytes]] = {
    int: _ints,
    float: _floats,
    bytes: _byte_strings,
    bool: bytes,
    type(None): _nothing,
}
