"""Canonical bytes of all objects other than plain builtin values."""

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
import sys
import types
import uuid
import zoneinfo
from abc import ABC
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Generic, Protocol

from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins.origin import (
    distribution_of,
    holder_of,
    is_compiled_object,
    kind_of_name,
    libraries_of,
)
from lightwork.keys.components import Unkeyable
from lightwork.keys.source import classify
from lightwork.keys.source.namespaces import module_of
from lightwork.keys.values import packages
from lightwork.keys.values.canonical import (
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

    from lightwork.functions.origins.origin import Distribution


_HEAP_TYPE = 1 << 9
MOST_ENTRIES = 10_000
_LARGE = 16 * 2**20
_LONGEST_PATH = 4096
_MISSING = object()
_LIBRARIES = {"numpy": "arrays", "pandas": "frames", "pyarrow": "arrow"}
_FUNCTIONS = (types.FunctionType, types.ModuleType, type, *classify.DESCRIPTORS, TaskFunction, Pipeline)
# `functools.update_wrapper` copies these from a function.
_COPIED = frozenset(
    {"__doc__", "__annotations__", "__module__", "__name__", "__qualname__", "__type_params__"}
)


class _CodeHooks:
    """Set by `code`, which imports this module: the digest of the code key of a function or class."""

    digest: Callable[[Any], str]


CODE_HOOKS = _CodeHooks()


def writer_of(kind: type) -> Writer:
    """Return the writer for values of exactly this type; cached for types that can be imported."""
    writer = _find(kind)
    if "<" not in kind.__qualname__ and classify.leads_to(kind):
        if classify.kind_of_class(kind) == "source":
            _own_types.add(kind)
        WRITERS[kind] = writer
    return writer


# The user's types in WRITERS: methods that decide how instances are encoded may be put on them at any time.
_own_types: set[type] = set()


def forget_own_types() -> None:
    """Look again at how instances of the user's classes are encoded."""
    while _own_types:
        WRITERS.pop(_own_types.pop(), None)


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
            writer = importlib.import_module(f"lightwork.keys.values.{_LIBRARIES[top]}").writer_of(kind)
            if writer is not None:
                return writer  # type: ignore[no-any-return]
    return None


def _is_plain(kind: type) -> bool:
    """Tell whether `__dict__` and slots hold the whole state of an instance."""
    bases = [base for base in kind.__mro__ if base not in {object, ABC, Generic, Protocol}]
    if not bases or not all(base.__flags__ & _HEAP_TYPE for base in bases):
        return False
    has_fields = dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__")
    if has_fields or hasattr(kind, "__pydantic_core_schema__"):
        return True
    custom = any(
        getattr(kind, name, None) is not getattr(object, name, None)
        for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
    )
    return not custom and all(kind_of_name(base.__module__) == "source" for base in bases)


def code_token(value: Any) -> bytes:
    """Encode a function or class: by reference while code is analysed, else by the key of its code."""
    if STATE.walk is not None:
        return STATE.walk.token(value)
    memo = STATE.memo
    entry = None if memo is None else memo.get(id(value))
    if entry is not None:
        return entry[1]
    token = pack(b"C", bytes.fromhex(CODE_HOOKS.digest(value)))
    if memo is not None:
        memo[id(value)] = (value, token)
    return token


def _library_of(module: str) -> tuple[bytes, ...]:
    """Encode the distribution of a module; empty if it has none, or if an analysis of code records it."""
    if kind_of_name(module) != "distribution":
        return ()
    if STATE.walk is not None:
        STATE.walk.distribution(module)
        return ()
    distribution = packages.library_of(module)
    return (pack(b"G", text(distribution.name), text(distribution.identity)),)


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
    label = text(name) if isinstance(name, str) else b"N"
    inner = value._value_
    content = b"N" if type(inner) is object else WRITERS[type(inner)](inner)
    return pack(b"n", code_token(type(value)), label, content)


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
    own = (state(value),) if vars(value) else ()
    return pack(b"P", function, sequence(b"t", value.args), mapping(b"d", value.keywords.items()), *own)


def _method(value: types.MethodType) -> bytes:
    owner = value.__self__
    function = WRITERS[type(value.__func__)](value.__func__)
    return pack(b"k", WRITERS[type(owner)](owner), text(getattr(value, "__name__", "")), function)


def _builtin(value: types.BuiltinFunctionType) -> bytes:
    if classify.is_code(value):
        return code_token(value)
    owner = value.__self__
    libraries = [part for home in libraries_of(type(owner)) for part in _library_of(home)]
    return pack(b"k", WRITERS[type(owner)](owner), text(value.__name__), *libraries)


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
    """Encode an instance's `__dict__` and slots, without cached properties, which follow from them."""
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
    """Encode an object by its pickled form: how to create it again, and its state."""
    kind = type(value)
    what = "an object of type " + f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if kind is object:
        raise Unkeyable("a bare object()")
    in_python = kind_of_name(kind.__module__) == "source" and not is_compiled_object(kind)
    if in_python and not classify.leads_to(kind):
        raise Unkeyable(f"{what} (a class that cannot be imported)")
    reduce: Callable[[Any], Any] | None = copyreg.dispatch_table.get(kind)
    try:
        reduced = reduce(value) if reduce else value.__reduce_ex__(2)
    except Exception as error:
        raise Unkeyable(what) from error
    if isinstance(reduced, str):
        return _by_name(value, reduced)
    function, arguments, *optional = reduced
    inner, items, pairs = [*optional, None, None, None][:3]
    try:
        parts = [_constructor(function, kind), *(WRITERS[type(p)](p) for p in (arguments, inner))]
        parts.append(b"N" if items is None else sequence(b"l", items))
        ordered = isinstance(value, OrderedDict)
        parts.append(b"N" if pairs is None else mapping(b"d", pairs, ordered=ordered))
    except Unkeyable as error:
        raise (error if error.context else Unkeyable(f"{what}, which holds {error.what},")) from None
    if kind is types.MethodWrapperType:
        parts += [part for home in libraries_of(type(value.__self__)) for part in _library_of(home)]
    return pack(b"g", code_token(kind), *parts)


def _constructor(value: Any, kind: type) -> bytes:
    """Encode what creates an object again; its library does not count twice, as that of the type does."""
    if (
        type(value).__name__ == "cython_function_or_method"
        and kind_of_name(kind.__module__) == "distribution"
    ):
        return _by_name(value, value.__qualname__, beside=distribution_of(kind.__module__))
    return WRITERS[type(value)](value)


def _by_name(value: Any, name: str, beside: Distribution | None = None) -> bytes:
    """Encode an object that pickles by its name: the name, and the distribution that holds it."""
    memo = STATE.memo if STATE.walk is None and beside is None else None
    entry = None if memo is None else memo.get(id(value))
    if entry is not None:
        return entry[1]
    kind = type(value)
    stated = getattr(value, "__module__", None)
    holder = holder_of(value, name)
    if not holder and (kind.__module__, kind.__name__) == ("numpy", "ufunc"):
        raise Unkeyable(f"the ufunc {name} (made at run time, so no module holds it)")
    home = str(stated or kind.__module__)
    # Two unexported ufuncs of one library may have the same name.
    label = home.partition(".")[0] if stated or holder in {"", home} else holder
    known = beside is not None and beside == distribution_of(holder or home)
    token = pack(b"g", text(label), text(name), *(() if known else _library_of(holder or home)))
    if memo is not None:
        memo[id(value)] = (value, token)
    return token


def path(value: PurePath) -> bytes:
    """Encode a path; one that code reads counts relative to the code's source tree if it is inside it.

    Raises:
        Unkeyable: the path is a folder with too many files.
    """
    tag = b"X" if isinstance(value, PureWindowsPath) else b"p"
    if not isinstance(value, Path):
        return pack(tag, text(str(value)))
    if STATE.walk is not None and value.is_absolute():
        parts = _own_path(Path(os.path.realpath(value)))
        if parts is not None:
            return pack(b"p.", *parts)
    return pack(tag, text(str(value)), *_content(value, by_bytes=False))


def _own_path(path: Path) -> tuple[bytes, ...] | None:
    """Encode a path in one's own source tree, relative to that; None for other paths."""
    home = None if STATE.walk is None else STATE.walk.home
    package = packages.package_around(path)
    if package is not None:
        relative = text(path.relative_to(package.root).as_posix())
        data = packages.data_behind(path, package)
        return (relative, *(_content(path, by_bytes=True) if data is None else (data,)))
    if home is None or not (path.is_relative_to(home.root) or home.file.is_relative_to(path)):
        return None
    relative = text(Path(os.path.relpath(path, home.root)).as_posix())
    if home.file.parent == path:
        return (relative, packages.files_token(path, f"in {path}", deep=False))
    # The content of a folder around packages is code, which counts by what is reached.
    return (relative, *(() if home.file.is_relative_to(path) else _content(path, by_bytes=True)))


def path_text(value: str) -> bytes:
    """Encode a text that code reads; a path in one's own source tree, or its URL, counts like that path."""
    scheme, _, rest = ("", "", value) if value.startswith("/") else value.partition(":///")
    path = "/" + rest.lstrip("/")
    if len(path) > _LONGEST_PATH or "\0" in path or path.count("/") < 2:
        return text(value)
    parts = _own_path(Path(os.path.realpath(path)))
    # How the path is written counts too, but not where the source tree is.
    return text(value) if parts is None else pack(b"s.", text(scheme), text(rest.rpartition("/")[2]), *parts)


def _content(path: Path, *, by_bytes: bool) -> tuple[bytes, ...]:
    """Encode a file, or all files below a folder, by size and modification time; empty if it does not exist.

    With `by_bytes`, files that are not large count by their bytes: a clone of a repository has other times.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    if not path.is_dir():
        return (_file(path, status, by_bytes=by_bytes),)
    entries: list[tuple[str, bytes]] = []
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            listing = list(os.scandir(path / below))
        except OSError as error:
            raise Unkeyable(f"the unreadable folder {path / below}") from error
        for entry in listing:
            if entry.name == "__pycache__":
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
                entries.append((name, b"/"))
            else:
                entries.append((name, _entry(entry, by_bytes=by_bytes)))
        if len(entries) > MOST_ENTRIES:
            raise Unkeyable(
                f"the folder {path} (over {MOST_ENTRIES:,} entries: pass its path as a str, with an argument"
                " that changes with its content, or pass the files that are needed)"
            )
    parts = (text(name) + data for name, data in sorted(entries))
    return (pack(b"/", finish_parts(b"%d:" % len(entries), parts)),)


def _entry(entry: os.DirEntry[str], *, by_bytes: bool) -> bytes:
    try:
        return _file(Path(entry.path), entry.stat(), by_bytes=by_bytes)
    except OSError:
        return b"N"  # a broken link


def _file(path: Path, status: os.stat_result, *, by_bytes: bool) -> bytes:
    if by_bytes and status.st_size <= _LARGE:
        return encode(blake2b(path.read_bytes(), digest_size=32).digest())
    return sequence(b"t", (status.st_size, status.st_mtime_ns))


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


def _namespace(value: dict[Any, Any]) -> bytes | None:
    """Encode a dict that is the globals of a module as that module; None for other dicts."""
    if value is sys.modules:
        raise Unkeyable("sys.modules, which reaches code by a computed name,")
    module = module_of(value)
    return None if module is None else code_token(module)


HOOKS.writer_of = writer_of
HOOKS.path_text = path_text
HOOKS.namespace = _namespace
