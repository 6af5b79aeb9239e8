"""Canonical bytes of values: equal values of one type give the same bytes, in every process.

An encoding starts with the tag of its type and marks its own end, so encodings are joined without separators.
An encoding longer than 64 bytes is replaced by a tagged digest of 32 bytes.
"""

from __future__ import annotations

import datetime
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from struct import Struct
from types import EllipsisType, NotImplementedType
from typing import TYPE_CHECKING, Any, Protocol

from lightwork.keys.components import Unkeyable
from lightwork.keys.values import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.functions.origins.origin import Home


Writer = Callable[[Any], bytes]

LONGEST = 64
_SHORT = 60
"""Bytes up to which a text's encoding is at most `LONGEST`."""
_double = Struct("<d").pack
_NAN = b"f" + _double(float("nan"))


class Analysis(Protocol):
    """The part of an analysis of code, `walk.Walk`, that encoding a value needs."""

    @property
    def home(self) -> Home | None:
        """The module of the current item."""

    def token(self, value: Any, *, root: bool = False) -> bytes:
        """Encode any object that code may refer to."""

    def distribution(self, name: str) -> None:
        """Record the distribution that a module belongs to."""


class _State(threading.local):
    """The state of one thread: its analysis, and the code tokens of the values in the current scope."""

    walk: Analysis | None = None
    memo: dict[object, tuple[object, bytes]] | None = None


STATE = _State()


class _Hooks:
    """Set by `objects`, which imports this module: writers of other types, of modules' globals, of paths."""

    writer_of: Callable[[type], Writer]
    path_text: Callable[[str], bytes]
    namespace: Callable[[dict[Any, Any]], bytes | None]


HOOKS = _Hooks()


class _Writers(dict[type, Writer]):
    """The writer of each exact type; those of other types are added on first use."""

    def __missing__(self, kind: type) -> Writer:
        return HOOKS.writer_of(kind)


def encode(value: object) -> bytes:
    """Return the canonical bytes of a value: type-tagged, self-delimiting, at most 64 bytes.

    The order of dicts and sets does not count; values of different types differ.

    >>> encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})
    True
    >>> encode(1) == encode(1.0)
    False

    Raises:
        Unkeyable: the value, or something inside it, has no stable key.
    """
    kind = type(value)
    return WRITERS[kind](value) if kind in SCALARS else encode_in_scope(value)


def encode_in_scope(value: object) -> bytes:
    """Encode a value; the code of a class is analysed once, even for many instances."""
    with Scope():
        try:
            return WRITERS[type(value)](value)
        except RecursionError:
            raise cycle(value) from None


class Scope:
    """A scope in which the code of each class or function inside a value is analysed only once.

    Args:
        memo: the analyses of an earlier scope that this one continues, and adds to.
    """

    def __init__(self, memo: dict[object, tuple[object, bytes]] | None = None) -> None:
        self._memo = memo

    def __enter__(self) -> None:
        self._outermost = STATE.memo is None
        if self._outermost:
            STATE.memo = {} if self._memo is None else self._memo

    def __exit__(self, *_: object) -> None:
        if self._outermost:
            STATE.memo = None


def finish(data: bytes) -> bytes:
    """Return a short encoding unchanged, and the tagged digest of a longer one."""
    return data if len(data) <= LONGEST else b"#" + blake2b(data, digest_size=32).digest()


def finish_parts(head: bytes, buffers: Iterable[Any]) -> bytes:
    """Return the tagged digest of a head and large buffers, without copying them."""
    state = blake2b(head, digest_size=32)
    for buffer in buffers:
        state.update(buffer)
    return b"#" + state.digest()


def pack(tag: bytes, *parts: bytes) -> bytes:
    """Join encodings under a tag."""
    return finish(b"%b%d:%b" % (tag, len(parts), b"".join(parts)))


_ONCE = 4096
"""Items from which on the encoding of a tuple that cannot change is remembered."""
_ONCE_BYTES = 1 << 20
"""The same for bytes and str."""
_REMEMBERED = 16
_IMMUTABLE = {int, float, str, bytes, bool, type(None), complex}
_remembered: dict[int, tuple[object, bytes]] = {}
"""Encodings of large values that cannot change, with the values themselves, by their ids."""


def _remember(value: object, data: bytes) -> bytes:
    """Remember the encoding of a value that cannot change; the oldest one is forgotten."""
    _remembered[id(value)] = (value, data)
    while len(_remembered) > _REMEMBERED:
        with suppress(KeyError, RuntimeError, StopIteration):
            del _remembered[next(iter(_remembered))]
    return data


def _cannot_change(values: Iterable[Any]) -> bool:
    kinds = set(map(type, values))
    if str in kinds and any(columns.may_be_path(value) for value in values if type(value) is str):
        return False  # in code it counts relative to the code's folder
    if kinds <= _IMMUTABLE:
        return True
    inner = kinds & {tuple, frozenset}
    return kinds <= _IMMUTABLE | inner and all(_cannot_change(v) for v in values if type(v) in inner)


def _write(value: Any) -> bytes:
    return WRITERS[type(value)](value)


def _once(value: Any, write: Callable[[Any], bytes]) -> bytes:
    """Encode a tuple or frozenset, or return the encoding from the last time if it is large."""
    if len(value) < _ONCE:
        return write(value)
    entry = _remembered.get(id(value))
    if entry is not None:
        return entry[1]
    data = write(value)
    return _remember(value, data) if _cannot_change(value) else data


def text(value: str) -> bytes:
    """Encode a str."""
    if len(value) < _ONCE_BYTES:
        return _text(value)
    entry = _remembered.get(id(value))
    return _remember(value, _text(value)) if entry is None else entry[1]


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return finish(b"s%d:%b" % (len(data), data))


def _str(value: str) -> bytes:
    if len(value) <= _SHORT and "/" not in value and "\\" not in value:  # most texts, without further calls
        data = value.encode("utf-8", "surrogatepass")
        if len(data) <= _SHORT:
            return b"s%d:%b" % (len(data), data)
    if columns.may_be_path(value) and STATE.walk is not None:
        return HOOKS.path_text(value)
    return text(value)


def _bytes(value: bytes) -> bytes:
    if len(value) < _ONCE_BYTES:
        return finish(b"b%d:%b" % (len(value), value))
    entry = _remembered.get(id(value))
    return _remember(value, finish_parts(b"b%d:" % len(value), [value])) if entry is None else entry[1]


def _bytearray(value: bytearray) -> bytes:
    return finish(b"B%d:%b" % (len(value), bytes(value)))


def _int(value: int) -> bytes:
    return b"i%x;" % value if -(1 << 64) < value < (1 << 64) else finish(b"i%x;" % value)


def _bool(value: bool) -> bytes:
    return b"T" if value else b"F"


def _float(value: float) -> bytes:
    return b"f" + _double(value) if value == value else _NAN


def _complex_number(value: complex) -> bytes:
    return b"c" + _float(value.real) + _float(value.imag)


def sequence(tag: bytes, value: Iterable[Any]) -> bytes:
    """Encode values in order under a tag."""
    parts: list[bytes] = []
    add = parts.append
    writers = WRITERS
    try:
        for item in value:
            add(writers[type(item)](item))
    except Unkeyable as error:
        raise error.under(f"[{len(parts)}]") from None
    return finish(b"%b%d:%b" % (tag, len(parts), b"".join(parts)))


def _list(value: list[Any]) -> bytes:
    return sequence(b"l", value) if len(value) < columns.MANY else _column(b"l", value)


def _tuple(value: tuple[Any, ...]) -> bytes:
    return sequence(b"t", value) if len(value) < columns.MANY else _once(value, _long_tuple)


def _long_tuple(value: tuple[Any, ...]) -> bytes:
    return _column(b"t", value)


def _column(tag: bytes, value: Sequence[Any]) -> bytes:
    try:
        return finish(tag + b"=" + columns.column(value, _write))
    except Unkeyable:
        return sequence(tag, value)  # raises the same error, with the path of the item


def mapping(tag: bytes, items: Iterable[tuple[Any, Any]], *, ordered: bool = False) -> bytes:
    """Encode pairs under a tag, sorted by their encodings unless their order counts.

    It does count in what code holds, such as the names of columns, and does not in an argument.
    """
    parts: list[bytes] = []
    add = parts.append
    writers = WRITERS
    key: Any = None
    try:
        for key, item in items:
            add(writers[type(key)](key) + writers[type(item)](item))
    except Unkeyable as error:
        raise error.under(f"[{key!r}]" if isinstance(key, (str, int, float, bytes)) else "[…]") from None
    if not ordered and STATE.walk is None:
        parts.sort()
    return finish(b"%b%d:%b" % (tag, len(parts), b"".join(parts)))


def _dict(value: dict[Any, Any]) -> bytes:
    if "__name__" in value or value is sys.modules:
        namespace = HOOKS.namespace(value)
        if namespace is not None:
            return namespace
    if len(value) >= columns.MANY:
        with suppress(Unkeyable):  # `mapping` raises it again, with the path of the item
            pairs = columns.pairs if STATE.walk is None else columns.ordered_pairs
            data = pairs(b"d=", value, _write)
            if data is not None:
                return finish(data)
    return mapping(b"d", value.items())


def members(tag: bytes, value: Iterable[Any]) -> bytes:
    """Encode values under a tag, regardless of their order."""
    writers = WRITERS
    try:
        parts = sorted(writers[type(item)](item) for item in value)
    except Unkeyable as error:
        raise error.under("{…}") from None
    return finish(b"%b%d:%b" % (tag, len(parts), b"".join(parts)))


def _set(value: set[Any]) -> bytes:
    return _members(b"e", value)


def _frozenset(value: frozenset[Any]) -> bytes:
    return _once(value, _long_frozenset)


def _long_frozenset(value: frozenset[Any]) -> bytes:
    return _members(b"E", value)


def _members(tag: bytes, value: set[Any] | frozenset[Any]) -> bytes:
    data = columns.unordered(tag + b"=", value, _write) if len(value) >= columns.MANY else None
    return members(tag, value) if data is None else finish(data)


def _range(value: range) -> bytes:
    return pack(b"r", _int(value.start), _int(value.stop), _int(value.step))


def _slice(value: slice) -> bytes:
    return sequence(b"/", (value.start, value.stop, value.step))


def zone(value: datetime.tzinfo | None, moment: datetime.datetime | None = None) -> bytes:
    """Encode a time zone: an IANA zone by its key, others by their state, and the offset at the moment."""
    if value is None:
        return b"N"
    offset = value.utcoffset(moment)
    key = getattr(value, "key", None) or getattr(value, "zone", None)
    identity = text(key) if isinstance(key, str) else WRITERS[type(value)](value)
    return pack(b"z", text(type(value).__module__.partition(".")[0]), identity, text(str(offset)))


def _datetime(value: datetime.datetime) -> bytes:
    naive = value.replace(tzinfo=None).isoformat()
    moment = zone(value.tzinfo, value) if value.tzinfo else b"N"
    return finish(b"D%d%b;%b" % (value.fold, naive.encode(), moment))


def _time(value: datetime.time) -> bytes:
    naive = value.replace(tzinfo=None).isoformat()
    return finish(b"h%d%b;%b" % (value.fold, naive.encode(), zone(value.tzinfo)))


def _date(value: datetime.date) -> bytes:
    return b"a%b;" % value.isoformat().encode()


def _timedelta(value: datetime.timedelta) -> bytes:
    return b"y%d,%d,%d;" % (value.days, value.seconds, value.microseconds)


def _timezone(value: datetime.timezone) -> bytes:
    return pack(b"Z", text(str(value.utcoffset(None))), text(value.tzname(None)))


def _memoryview(value: memoryview) -> bytes:
    return pack(b"m", text(value.format), _tuple(value.shape or ()), _bytes(value.tobytes()))


def _none(_: None) -> bytes:
    return b"N"


def _ellipsis(_: EllipsisType) -> bytes:
    return b"."


def _not_implemented(_: NotImplementedType) -> bytes:
    return b"!"


WRITERS = _Writers(
    {
        int: _int,
        str: _str,
        float: _float,
        bool: _bool,
        type(None): _none,
        bytes: _bytes,
        list: _list,
        tuple: _tuple,
        dict: _dict,
        set: _set,
        frozenset: _frozenset,
        complex: _complex_number,
        bytearray: _bytearray,
        memoryview: _memoryview,
        range: _range,
        slice: _slice,
        EllipsisType: _ellipsis,
        NotImplementedType: _not_implemented,
        datetime.datetime: _datetime,
        datetime.date: _date,
        datetime.time: _time,
        datetime.timedelta: _timedelta,
        datetime.timezone: _timezone,
    }
)

# Values of these types contain no others, so encoding them needs no scope.
SCALARS = frozenset({int, str, float, bool, type(None), bytes, complex, datetime.date, datetime.timedelta})


def cycle(value: object) -> Unkeyable:
    """Return the error for a value that contains itself, or that is nested too deeply."""
    path: dict[int, str] = {id(value): ""}
    stack: list[tuple[object, Iterator[tuple[str, Any]]]] = [(value, _children(value))]
    finished: set[int] = set()
    while stack:
        holder, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            finished.add(id(holder))
            del path[id(holder)]
        elif id(child[1]) in path:
            return Unkeyable("a structure that contains itself", path[id(holder)] + child[0])
        elif id(child[1]) not in finished:
            path[id(child[1])] = path[id(holder)] + child[0]
            stack.append((child[1], _children(child[1])))
    return Unkeyable("a structure that is nested too deeply")


def _children(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]" if isinstance(key, (str, int, float)) else "[…]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield "{…}", item
    else:
        for name, item in getattr(value, "__dict__", {}).items():
            yield f".{name}", item
