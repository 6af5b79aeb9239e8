"""Canonical bytes of everything that is not a plain builtin value."""

from __future__ import annotations

import copyreg
import dataclasses
import decimal
import enum
import fractions
import functools
import io
import os
import re
import types
import uuid
import zoneinfo
from abc import ABC
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Generic, Protocol

from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origin import kind_of_name
from lightwork.keys import classify
from lightwork.keys.components import Unkeyable
from lightwork.keys.values import (
    HOOKS,
    STATE,
    WRITERS,
    Writer,
    encode,
    finish,
    finish_parts,
    mapping,
    pack,
    sequence,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_HEAP_TYPE = 1 << 9
MOST_ENTRIES = 10_000
_LARGE = 16 * 2**20
_MISSING = object()
_LIBRARIES = {"numpy": "arrays", "pandas": "frames", "pyarrow": "arrow"}
_FUNCTIONS = (types.FunctionType, types.ModuleType, type, *classify.DESCRIPTORS, TaskFunction, Pipeline)
# What `functools.update_wrapper` copies from a function is not the object's own.
_COPIED = frozenset(
    {"__doc__", "__annotations__", "__module__", "__name__", "__qualname__", "__type_params__"}
)


class _CodeHooks:
    """What `code`, which imports this module, gives it: the digest of a function's or class's code key."""

    digest: Callable[[Any], str]


CODE_HOOKS = _CodeHooks()


def writer_of(kind: type) -> Writer:
    """The writer for values of exactly this type; kept if the type is one that stays."""
    writer = _find(kind)
    if "<" not in kind.__qualname__ and classify.leads_to(kind):
        WRITERS[kind] = writer
    return writer


def _find(kind: type) -> Writer:
    if hasattr(kind, "__lightwork_key__") and not issubclass(kind, type):
        return _own_key
    library = _library(kind)
    if library is not None:
        return library
    for base, writer in _WRITERS.items():
        if issubclass(kind, base):
            return writer
    if kind in _EXACT:
        return _EXACT[kind]
    if issubclass(kind, io.IOBase):
        return _refuse("an open file")
    if issubclass(kind, types.GeneratorType):
        return _refuse("a generator")
    if hasattr(kind, "__next__"):
        return _refuse(f"an iterator ({kind.__qualname__})")
    if issubclass(kind, tuple) and hasattr(kind, "_fields") and kind.__reduce_ex__ is object.__reduce_ex__:
        return _namedtuple
    return _instance if _is_plain(kind) else _reduced


def _library(kind: type) -> Writer | None:
    import importlib

    for base in kind.__mro__:
        top = base.__module__.partition(".")[0]
        if top in _LIBRARIES:
            found = importlib.import_module(f"lightwork.keys.{_LIBRARIES[top]}").writer_of(kind)
            if found is not None:
                return found  # type: ignore[no-any-return]
    return None


def _is_plain(kind: type) -> bool:
    """Whether `__dict__` and slots are all there is in an instance."""
    bases = [base for base in kind.__mro__ if base not in {object, ABC, Generic, Protocol}]
    if not bases or not all(base.__flags__ & _HEAP_TYPE for base in bases):
        return False
    known = dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__")
    if known or hasattr(kind, "__pydantic_core_schema__"):
        return True
    custom = any(
        getattr(kind, name, None) is not getattr(object, name, None)
        for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
    )
    return not custom and all(kind_of_name(base.__module__) == "source" for base in bases)


def code_token(value: Any) -> bytes:
    """Functions and classes: by reference while code is analysed, else by the key of their code."""
    if STATE.walk is not None:
        return STATE.walk.token(value)
    memo = STATE.memo
    found = None if memo is None else memo.get(id(value))
    if found is not None:
        return found[1]
    token = pack(b"C", bytes.fromhex(CODE_HOOKS.digest(value)))
    if memo is not None:
        memo[id(value)] = (value, token)
    return token


def _refuse(what: str) -> Writer:
    def refuse(_: object) -> bytes:
        raise Unkeyable(what)

    return refuse


def _own_key(value: Any) -> bytes:
    key = value.__lightwork_key__()
    try:
        return pack(b"K", code_token(type(value)), WRITERS[type(key)](key))
    except Unkeyable as error:
        raise error.under(".__lightwork_key__()") from None


def _enum(value: enum.Enum) -> bytes:
    name = value._name_
    named = text(name) if isinstance(name, str) else b"N"
    inner = value._value_
    held = b"N" if type(inner) is object else WRITERS[type(inner)](inner)
    return pack(b"n", code_token(type(value)), named, held)


def _decimal(value: decimal.Decimal) -> bytes:
    return pack(b"%", text("NaN" if value.is_nan() else str(value)))


def _fraction(value: fractions.Fraction) -> bytes:
    return sequence(b"q", (value.numerator, value.denominator))


def _uuid(value: uuid.UUID) -> bytes:
    return b"U" + value.bytes


def _pattern(value: re.Pattern[Any]) -> bytes:
    return sequence(b"x", (value.pattern, value.flags))


def _zoneinfo(value: zoneinfo.ZoneInfo) -> bytes:
    if not value.key:
        raise Unkeyable("a time zone without a key")
    return pack(b"Y", text(value.key))


def _partial(value: functools.partial[Any]) -> bytes:
    try:
        function = WRITERS[type(value.func)](value.func)
    except Unkeyable as error:
        raise error.under(".func") from None
    return pack(b"P", function, sequence(b"t", value.args), mapping(b"d", value.keywords.items()))


def _method(value: types.MethodType) -> bytes:
    owner = value.__self__
    function = WRITERS[type(value.__func__)](value.__func__)
    return pack(b"k", WRITERS[type(owner)](owner), text(getattr(value, "__name__", "")), function)


def _builtin(value: types.BuiltinFunctionType) -> bytes:
    if classify.is_code(value):
        return code_token(value)
    owner = value.__self__
    return pack(b"k", WRITERS[type(owner)](owner), text(value.__name__))


def _descriptor(*names: str) -> Writer:
    def write(value: Any) -> bytes:
        return sequence(b"v" + text(type(value).__name__), [getattr(value, name, None) for name in names])

    return write


def _namedtuple(value: Any) -> bytes:
    parts = []
    for name, item in zip(value._fields, value, strict=True):
        try:
            parts.append(WRITERS[type(item)](item))
        except Unkeyable as error:
            raise error.under(f".{name}") from None
    return pack(
        b"T", code_token(type(value)), *parts, *([state(value)] if hasattr(value, "__dict__") else ())
    )


def _instance(value: Any) -> bytes:
    return pack(b"o", code_token(type(value)), state(value))


def state(value: Any) -> bytes:
    """An instance's `__dict__` and slots; a cached property follows from them, it is left out."""
    kind = type(value)
    parts = []
    for name, item in _fields(value, kind):
        if isinstance(getattr(kind, name, None), functools.cached_property) or name in _COPIED:
            continue
        try:
            parts.append(text(name) + WRITERS[type(item)](item))
        except Unkeyable as error:
            raise error.under(f".{name}") from None
    return finish(b"_%d:%b" % (len(parts), b"".join(sorted(parts))))


def _fields(value: object, kind: type) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(value, "__dict__", {}).items())
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot in {"__dict__", "__weakref__"} or slot == "_attrs_cached_hash":
                continue
            hidden = slot.startswith("__") and not slot.endswith("__")
            name = f"_{base.__name__.lstrip('_')}{slot}" if hidden else slot
            item = getattr(value, name, _MISSING)
            if item is not _MISSING:
                yield name, item


def _reduced(value: Any) -> bytes:
    """What pickling would keep: how to make the object again, and its state."""
    kind = type(value)
    named = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    what = f"an object of type {named}"
    if kind is object:
        raise Unkeyable("a bare object()")
    if not classify.leads_to(kind) and kind_of_name(kind.__module__) == "source":
        raise Unkeyable(f"{what} (a class that cannot be imported)")
    reduce: Callable[[Any], Any] | None = copyreg.dispatch_table.get(kind)
    try:
        made = reduce(value) if reduce else value.__reduce_ex__(2)
    except Exception as error:
        raise Unkeyable(what) from error
    if isinstance(made, str):
        home = getattr(value, "__module__", None) or kind.__module__
        return pack(b"g", text(str(home).partition(".")[0]), text(made))
    function, arguments, *rest = made
    rest += [None] * (4 - len(rest))
    try:
        parts = [WRITERS[type(p)](p) for p in (function, arguments, rest[0])]
        parts.append(b"N" if rest[1] is None else sequence(b"l", rest[1]))
        ordered = isinstance(value, OrderedDict)
        parts.append(b"N" if rest[2] is None else mapping(b"d", rest[2], ordered=ordered))
    except Unkeyable as error:
        raise (error if error.context else Unkeyable(f"{what}, which holds {error.what},")) from None
    return pack(b"g", code_token(kind), *parts)


def path(value: PurePath) -> bytes:
    """A path; one that code holds on to and that leads into its own source tree counts from there.

    Raises:
        Unkeyable: a folder with too many files in it.
    """
    tag = b"X" if isinstance(value, PureWindowsPath) else b"p"
    if not isinstance(value, Path):
        return pack(tag, text(str(value)))
    home = None if STATE.walk is None else STATE.walk.home
    if home is not None and value.is_absolute():
        place = Path(os.path.realpath(value))
        # What the module itself is in holds its code, which counts by what is reached.
        holds_code = home.file.is_relative_to(place)
        if holds_code or place.is_relative_to(home.root):
            below = text(Path(os.path.relpath(place, home.root)).as_posix())
            return pack(b"p.", below, *(() if holds_code else _content(place, own=True)))
    return pack(tag, text(str(value)), *_content(value, own=False))


def _content(place: Path, *, own: bool) -> tuple[bytes, ...]:
    """Of a file its size and time of change, of a folder those of all files below; nothing if neither.

    Files of one's `own` repository count by their bytes instead: a clone has other times.
    """
    try:
        found = place.stat()
    except (OSError, ValueError):
        return ()
    if not place.is_dir():
        return (_file(place, found, own=own),)
    entries: list[tuple[str, bytes]] = []
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            listing = list(os.scandir(place / below))
        except OSError as error:
            raise Unkeyable(f"the folder {place / below}, which cannot be read,") from error
        for entry in listing:
            if entry.name == "__pycache__":
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
                entries.append((name, b"/"))
            else:
                entries.append((name, _entry(entry, own=own)))
        if len(entries) > MOST_ENTRIES:
            raise Unkeyable(
                f"the folder {place} (over {MOST_ENTRIES:,} entries: pass its path as a str and name what "
                "changes with its content, or list the files that are needed)"
            )
    parts = (text(name) + data for name, data in sorted(entries))
    return (pack(b"/", finish_parts(b"%d:" % len(entries), parts)),)


def _entry(entry: os.DirEntry[str], *, own: bool) -> bytes:
    try:
        return _file(Path(entry.path), entry.stat(), own=own)
    except OSError:
        return b"N"  # a link that leads nowhere


def _file(place: Path, found: os.stat_result, *, own: bool) -> bytes:
    if own and found.st_size <= _LARGE:
        return encode(blake2b(place.read_bytes(), digest_size=32).digest())
    return sequence(b"t", (found.st_size, found.st_mtime_ns))


_WRITERS: dict[type, Writer] = {
    **dict.fromkeys(_FUNCTIONS, code_token),
    types.BuiltinFunctionType: _builtin,
    classify.CACHED: code_token,
    enum.Enum: _enum,
    PurePath: path,
    zoneinfo.ZoneInfo: _zoneinfo,
}
_EXACT: dict[type, Writer] = {
    decimal.Decimal: _decimal,
    fractions.Fraction: _fraction,
    uuid.UUID: _uuid,
    re.Pattern: _pattern,
    functools.partial: _partial,
    types.MethodType: _method,
    types.MappingProxyType: lambda value: mapping(b"w", value.items()),
    staticmethod: _descriptor("__func__"),
    classmethod: _descriptor("__func__"),
    property: _descriptor("fget", "fset", "fdel"),
    functools.cached_property: _descriptor("func"),
}

HOOKS.writer_of = writer_of
