"""The walk over all code that a function reaches, recording each item as a component."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.functions.origin import (
    Kind,
    distribution_of,
    holder_of,
    home_of,
    kind_of_function,
    kind_of_name,
    module_kind,
    module_name,
)
from lightwork.keys import classify, slow
from lightwork.keys.components import Component, Unkeyable
from lightwork.keys.reads import ast_digest
from lightwork.keys.units import Decorator, Unit, class_unit, function_unit, source_of
from lightwork.keys.values import WRITERS, cycle, finish, pack, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.functions.origin import Home
    from lightwork.keys.reads import Chain, Import, Reads


_MISSING = object()
_ADVICE = (
    "{reader} reads {name}: {{}}; pass it as an argument that ignore= names, or give the task a version=,"
    " which then replaces its code in the key"
)


def digest_of(data: bytes) -> str:
    """Return the digest of some bytes, as 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


class Walk:
    """One analysis; each function, class and module that is reached adds a component."""

    def __init__(self) -> None:
        self.components: set[Component] = set()
        # The module of the current item.
        self.home: Home | None = None
        self._queue: list[tuple[Any, bool]] = []
        self._seen: dict[int, Any] = {}
        self._open: list[int] = []
        self._roots: set[int] = set()
        self._tokens: dict[int, tuple[Any, bytes, bool]] = {}

    def run(self) -> None:
        """Process all items that were reached, and all that those reach."""
        while self._queue:
            item, root = self._queue.pop()
            self.home = home_of(classify.home_name(item))
            if isinstance(item, FunctionType):
                self._function(item, root=root)
            elif isinstance(item, ModuleType):
                self._module(item)
            else:
                self._class(item)

    # References to code, and tokens of values

    def reference(self, item: Any, *, root: bool = False) -> bytes:
        """Encode which function, class or module an item is; its content becomes components."""
        if isinstance(item, FunctionType):
            return self._function_reference(item, root=root)
        if isinstance(item, ModuleType):
            return self._module_reference(item)
        if isinstance(item, type):
            return self._class_reference(item)
        name = f"{module_name(getattr(item, '__module__', None) or 'builtins')}.{classify.qualname(item)}"
        home = holder_of(item) or getattr(item, "__module__", None)
        if home and kind_of_name(home) == "distribution":
            self.distribution(home)
        return pack(b"R", text(name))

    def _reach(self, item: Any, *, root: bool = False) -> None:
        if id(item) not in self._seen:
            self._seen[id(item)] = item
            self._queue.append((item, root))
            if root:
                self._roots.add(id(item))
        elif not root and id(item) in self._roots:
            # The function calls itself, so its defaults count after all.
            self._roots.discard(id(item))
            self._defaults(item)

    def _function_reference(self, fn: FunctionType, *, root: bool) -> bytes:
        kind = kind_of_function(fn)
        name = classify.function_name(fn)
        parts = [text(name)]
        if kind == "source":
            self._reach(fn, root=root)
            if not classify.leads_to(fn) and id(fn) not in self._open:
                # Functions of the same name differ by their code and captured values.
                self._open.append(id(fn))
                try:
                    parts.append(function_unit(fn).digest)
                    parts += [self._held(fn, n, v) for n, v in classify.cells(fn)]
                finally:
                    self._open.pop()
        else:
            if kind == "distribution":
                self.distribution(fn.__globals__["__name__"])
            parts += [self.reference(inner) for inner in classify.inside(fn)]
        wrapped = classify.wrapped(fn)
        if wrapped is not None:
            parts.append(self.token(wrapped))
        return pack(b"R", *parts)

    def _held(self, fn: FunctionType, name: str, value: Any) -> bytes:
        try:
            return self.token(value)
        except Unkeyable as error:
            raise _advise(error, classify.function_name(fn), f"the captured value {name}") from None

    def _class_reference(self, cls: type) -> bytes:
        kind = classify.kind_of_class(cls)
        if kind == "source":
            self._reach(cls)
        elif kind == "distribution":
            self.distribution(cls.__module__)
        elif classify.is_misnamed(cls) and (home := holder_of(cls)):
            self.distribution(home)
        name = text(classify.class_name(cls))
        if kind != "source" or classify.leads_to(cls):
            return pack(b"R", name)
        if id(cls) in self._open:
            return pack(b"R", name)
        unit = class_unit(cls)
        parts = [] if unit is None else [unit.digest]
        self._open.append(id(cls))
        try:
            for method in classify.methods(cls):
                parts += [self._held(method, n, v) for n, v in classify.cells(method)]
        finally:
            self._open.pop()
        return pack(b"R", name, *parts)

    def _module_reference(self, module: ModuleType) -> bytes:
        kind = module_kind(module)
        if kind == "source":
            self._reach(module)
        elif kind == "distribution":
            self.distribution(module.__name__)
        return pack(b"M", text(module.__name__))

    def distribution(self, name: str) -> None:
        """Record the distribution that a module belongs to."""
        distribution = distribution_of(name)
        self._add(
            "distribution", f"{distribution.name} {distribution.version}", distribution.identity.encode()
        )

    def _add(self, kind: str, name: str, data: bytes) -> None:
        self.components.add(Component(kind, name, digest_of(data)))

    def token(self, value: Any, *, root: bool = False) -> bytes:
        """Encode any object that code may refer to: code by reference, the rest by value."""
        value = classify.task_function(value)
        if isinstance(value, classify.Versioned):
            self._add("version", value.name, value.version.encode())
            return pack(b"V", text(value.name))
        if classify.is_code(value):
            return self.reference(value, root=root)
        if classify.is_foreign_wrapper(value):
            return pack(b"u", self.reference(type(value)), self.token(classify.wrapped(value), root=root))
        if classify.is_logger(value):
            return b"L"
        if classify.is_lightwork(value):
            self.distribution("lightwork")
            return b"W"
        if type(value) is object:
            return b"O"  # a sentinel, identified by its name
        try:
            return WRITERS[type(value)](value)
        except RecursionError:
            raise cycle(value) from None

    # Content of functions, classes and modules

    def _function(self, fn: FunctionType, *, root: bool) -> None:
        name = classify.function_name(fn)
        unit = function_unit(fn)
        parts = [unit.digest]
        parts += self._decorators(unit, name, fn.__globals__)
        parts += self._reads(unit.reads, name, fn.__globals__)
        cells = dict(classify.cells(fn))
        for chain in unit.reads.closure:
            value = cells.get(chain[0], _MISSING)
            parts.append(self._name("closure", name, f"{name}.{chain[0]}", value, chain))
        self._add("function", name, b"".join(parts))
        if not root:
            self._defaults(fn)

    def _defaults(self, fn: FunctionType) -> None:
        name = classify.function_name(fn)
        parts = []
        for parameter, value in sorted({**classify.defaults(fn), **(fn.__kwdefaults__ or {})}.items()):
            try:
                parts.append(text(parameter) + self.token(value))
            except Unkeyable as error:
                raise _advise(error, name, f"the default of its parameter {parameter}") from None
        if parts:
            self._add("function", name, b"defaults" + b"".join(parts))

    def _class(self, cls: type) -> None:
        name = classify.class_name(cls)
        module = sys.modules.get(cls.__module__)
        parts = [self.reference(base) for base in cls.__mro__[1:]]
        if type(cls) is not type:
            parts.append(self.reference(type(cls)))
        for attribute, value in classify.plain_attributes(cls):
            parts.append(text(attribute) + WRITERS[type(value)](value))
        unit = class_unit(cls)
        if unit is None:
            parts += self._without_source(cls, name)
        else:
            module_globals = vars(module) if module else {}
            parts.append(unit.digest)
            parts += self._decorators(unit, name, module_globals)
            parts += self._reads(unit.reads, name, module_globals)
            for method in classify.methods(cls):
                cells = dict(classify.cells(method))
                for chain in function_unit(method).reads.closure:
                    value = cells.get(chain[0], _MISSING)
                    parts.append(self._name("closure", name, f"{name}.{chain[0]}", value, chain))
        self._add("class", name, b"".join(parts))

    def _without_source(self, cls: type, name: str) -> list[bytes]:
        parts = []
        for attribute, value in classify.attributes(cls):
            try:
                parts.append(text(attribute) + self.token(value))
            except Unkeyable as error:
                raise _advise(error, f"class {name}", f"its attribute {attribute}") from None
        return parts

    def _module(self, module: ModuleType) -> None:
        file = getattr(module, "__file__", None)
        source = source_of(file, vars(module)) if file else None
        parts = [ast_digest(source.tree)] if source else []
        for _, value in sorted(vars(module).items()):
            item = classify.task_function(value)
            if classify.is_code(item) and getattr(item, "__module__", None) == module.__name__:
                self.token(item)
        self._add("module", module.__name__, b"".join(parts))

    def _decorators(self, unit: Unit, name: str, module_globals: Mapping[str, Any]) -> list[bytes]:
        """Encode decorators, and annotations if code other than lightwork's may evaluate them."""
        others = [d for d in unit.decorators if not _of_lightwork(d, module_globals)]
        parts = [decorator.digest for decorator in others]
        acting = [d.reads for d in others] + list(unit.annotations if others or unit.is_class else ())
        for reads in acting:
            parts += self._reads(reads, name, module_globals, soft=True)
        return parts

    def _reads(
        self, reads: Reads, reader: str, module_globals: Mapping[str, Any], *, soft: bool = False
    ) -> list[bytes]:
        parts = []
        home = module_name(str(module_globals.get("__name__", "")))
        for chain in reads.globals:
            if chain[0].startswith("__") and chain[0].endswith("__"):
                continue
            value = module_globals.get(chain[0], _MISSING)
            if value is _MISSING and hasattr(builtins, chain[0]):
                continue
            if value is not _MISSING or not soft:
                parts.append(self._name("global", reader, f"{home}.{chain[0]}", value, chain))
        parts += [self._import(item, reader, module_globals) for item in reads.imports]
        return parts

    def _name(self, kind: str, reader: str, shown: str, value: Any, chain: Chain) -> bytes:
        """Encode what a chain of names refers to: the first object on it that is not a module."""
        attributes = list(chain[1:])
        while isinstance(value, ModuleType) and attributes and module_kind(value) == "source":
            attribute = attributes.pop(0)
            kind, shown = "global", f"{value.__name__}.{attribute}"
            value = getattr(value, attribute, sys.modules.get(shown, _MISSING))
        written = text(".".join(chain))
        if value is _MISSING:
            self._add(kind, shown, b"missing")
            return written
        try:
            with slow.noticing(f"the {kind} {shown}, which {reader} reads,", slow.GLOBAL):
                token, named = self._token_once(value)
            if isinstance(value, type) and attributes and (data := classify.data(value, attributes[0])):
                self._add("global", f"{classify.class_name(value)}.{attributes[0]}", self.token(data[0]))
        except Unkeyable as error:
            raise _advise(error, reader, f"the {kind} {shown}") from None
        if named:
            return written + token
        self._add(kind, shown, token)
        return written

    def _token_once(self, value: Any) -> tuple[bytes, bool]:
        """Return the token of a value, and whether its name identifies it; computed once for all readers."""
        entry = self._tokens.get(id(value))
        if entry is None:
            entry = self._tokens[id(value)] = (value, self.token(value), classify.is_named(value))
        return entry[1:]

    def _import(self, item: Import, reader: str, module_globals: Mapping[str, Any]) -> bytes:
        written = finish(b"from%d:" % item.level + text(item.module) + text(item.attribute))
        try:
            name, kind, module = find(item, module_globals)
        except ImportError:
            self._add("module", item.module, b"missing")
            return written
        if kind == "distribution":
            self.distribution(name)
        if module is None:
            return written
        if item.attribute == ".":
            top = name.partition(".")[0]
            return written + self._name("global", reader, top, sys.modules[top], (top, *item.chain))
        chain = (name, item.attribute, *item.chain) if item.attribute else (name, *item.chain)
        return written + self._name("global", reader, name, module, chain)


def _of_lightwork(decorator: Decorator, module_globals: Mapping[str, Any]) -> bool:
    if not decorator.chain:
        return False
    value = module_globals.get(decorator.chain[0], _MISSING)
    if value is _MISSING:
        return decorator.chain[-1] in {"task", "pipeline"}
    for attribute in decorator.chain[1:]:
        value = getattr(value, attribute, None)
    return str(getattr(value, "__module__", "")).partition(".")[0] == "lightwork"


def _advise(error: Unkeyable, reader: str, name: str) -> Unkeyable:
    if error.context:
        return error
    return Unkeyable(error.what, error.where, _ADVICE.format(reader=reader, name=name))


def find(item: Import, module_globals: Mapping[str, Any]) -> tuple[str, Kind, ModuleType | None]:
    """Return the full name of an imported module, its origin, and the module if it is the user's own.

    Other modules are not imported: they may be large, or missing on this machine.

    Raises:
        ImportError: the module does not exist.
    """
    home = str(module_globals.get("__name__", ""))
    package = str(module_globals.get("__package__") or home.rpartition(".")[0])
    name = importlib.util.resolve_name("." * item.level + item.module, package)
    kind = _kind(name.partition(".")[0])
    if kind != "source":
        return name, kind, None
    module = importlib.import_module(name)
    if item.attribute not in {"", "."} and not hasattr(module, item.attribute):
        importlib.import_module(f"{name}.{item.attribute}")  # `from package import module`
    return name, kind, module


def _kind(top: str) -> Kind:
    module = sys.modules.get(top)
    if module is None:
        spec = importlib.util.find_spec(top)
        if spec is None:
            raise ModuleNotFoundError(top)
        module = ModuleType(top)
        module.__file__ = spec.origin if spec.has_location else None
        module.__path__ = list(spec.submodule_search_locations or ())
    return module_kind(module)
