"""The walk over all code that a function reaches, recording each item as a component."""

from __future__ import annotations

import functools
import importlib
import sys
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.functions.origins.origin import (
    distribution_of,
    holder_of,
    home_of,
    is_compiled_object,
    kind_of_function,
    libraries_of,
    loaded_name,
    module_kind,
    module_name,
)
from lightwork.keys.components import Component, Unkeyable
from lightwork.keys.reached.chains import Chains, advise
from lightwork.keys.reached.named import held_by
from lightwork.keys.source import classify
from lightwork.keys.source.computed import Reader, kind_of
from lightwork.keys.source.namespaces import (
    IMPORT_NAMES,
    attributes_of,
    globals_of,
    is_unreadable,
    members_of,
    module_of,
    registered_with,
)
from lightwork.keys.source.reads import ast_digest
from lightwork.keys.source.units import Decorator, Unit, class_unit, function_unit, is_inside, source_of
from lightwork.keys.values import packages
from lightwork.keys.values.canonical import WRITERS, cycle, pack, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    from lightwork.functions.origins.origin import Distribution, Home
    from lightwork.keys.source.reads import Reads


_MISSING = object()


def digest_of(data: bytes) -> str:
    """Return the digest of some bytes, as 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


class Walk:
    """One analysis; each function, class and module that is reached adds a component."""

    def __init__(self) -> None:
        self.components: set[Component] = set()
        # The module of the current item.
        self.home: Home | None = None
        self._chains = Chains(self)
        self._queue: list[tuple[Any, bool]] = []
        self._seen: dict[int, Any] = {}
        self._open: list[int] = []
        self._roots: set[int] = set()
        self._compiled_seen: set[str] = set()
        # Items whose names do not lead to them, by identity, and how often one was met inside itself.
        self._identities: dict[int, list[bytes]] = {}
        self._cuts = 0
        # What reached code does anywhere: the attributes that it reads, and whether it computes their names.
        self._names: set[str] = set()
        self._computes = False
        # The classes of libraries that were reached.
        self._foreign: dict[int, type] = {}
        # Attributes without a stable key, which matter if they are read.
        self._doubts: list[tuple[str, Unkeyable]] = []

    def run(self) -> None:
        """Process all items that were reached, and all that those reach.

        Raises:
            Unkeyable: something that the code reads has no stable key.
        """
        while self._queue or self._reached_by_reflection():
            item, root = self._queue.pop()
            self.home = home_of(classify.home_name(item))
            if isinstance(item, FunctionType):
                self._function(item, root=root)
            elif isinstance(item, ModuleType):
                self._module(item)
            else:
                self._class(item)
        self._docstrings()
        for name, error in self._doubts:
            if name in self._names or (self._computes and not name.startswith("__")):
                raise error

    def _docstrings(self) -> None:
        """Record the docstrings of what was reached, if any of the code reads one."""
        if "__doc__" in self._names:
            for item in self._seen.values():
                for part in (item, *(classify.methods(item) if isinstance(item, type) else ())):
                    if isinstance(part.__doc__, str):
                        self.add("global", f"{_shown(part)}.__doc__", text(part.__doc__))

    def _reached_by_reflection(self) -> bool:
        """Add subclasses and submodules that only `__subclasses__()` and `getattr` by name reach."""
        for item in [*self._seen.values(), *self._foreign.values()]:
            if isinstance(item, type) and "__subclasses__" in self._names:
                self.subclasses(item)
            elif isinstance(item, ModuleType) and self._computes:
                self._submodules(item)
        return bool(self._queue)

    def subclasses(self, cls: type) -> None:
        """Record the user's own subclasses of a class."""
        known: list[type] = type.__subclasses__(cls)
        subclasses = [c for c in known if classify.kind_of_class(c) == "source"]
        parts = sorted(self.reference(subclass) for subclass in subclasses)
        self.add("class", f"{classify.class_name(cls)}.__subclasses__()", pack(b"S", *parts))

    def _submodules(self, module: ModuleType) -> None:
        for name, value in sorted(vars(module).items()):
            if isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{name}":
                self.reference(value)

    def note(self, reads: Reads, *, computes: bool = False) -> None:
        """Record which attributes are read of anything, and whether names of attributes are computed."""
        self._names.update(reads.names)
        self._computes = self._computes or computes

    # References to code, and tokens of values

    def reference(self, item: Any, *, root: bool = False, installed: bool = False) -> bytes:
        """Encode which function, class or module an item is; its content becomes components.

        Args:
            item: the item.
            root: leave out the defaults of a function's parameters.
            installed: leave out the distribution of a function or class of a library.
        """
        if kind_of(item) not in {"", "attribute"}:
            raise Unkeyable(f"{classify.qualname(item)}, which reaches code by a computed name,")
        if isinstance(item, FunctionType):
            return self._function_reference(item, root=root, installed=installed)
        if isinstance(item, ModuleType):
            return self._module_reference(item)
        if isinstance(item, type):
            return self._class_reference(item, installed=installed)
        name = f"{module_name(getattr(item, '__module__', None) or 'builtins')}.{classify.qualname(item)}"
        self._libraries(item)
        return pack(b"R", text(name))

    def _libraries(self, item: Any) -> None:
        for home in libraries_of(item):
            self.distribution(home)

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

    def _function_reference(self, fn: FunctionType, *, root: bool, installed: bool) -> bytes:
        kind = kind_of_function(fn)
        name = classify.function_name(fn)
        parts = [text(name)]
        if kind == "source":
            self._reach(fn, root=root)
            if not classify.leads_to(fn):
                parts += self._once(fn, lambda: self._identity(fn, name, root=root))
        else:
            if kind == "distribution" and not installed:
                self.distribution(fn.__globals__["__name__"])
            elif packages.is_resource(fn):
                self._data_beside()
            parts += [self.reference(inner) for inner in classify.inside(fn)]
        wrapped = classify.wrapped(fn)
        if wrapped is not None:
            parts.append(self.token(wrapped))
        return pack(b"R", *parts)

    def _identity(self, fn: FunctionType, name: str, *, root: bool) -> list[bytes]:
        """Encode what tells functions of one name apart; those of their own parameters are arguments."""
        parts = [function_unit(fn).digest]
        parts += [self._held(name, n, v) for n, v in classify.cells(fn)]
        if not root:
            parts += self._default_values(fn, name)
        parts += [text(n) + self._attribute(name, n, v) for n, v in attributes_of(fn)]
        if module_of(fn.__globals__) is None:
            # Functions that were executed apart may have one name and one code, and other globals.
            names = {chain[0] for chain in function_unit(fn).reads.globals} - IMPORT_NAMES
            held = [(n, fn.__globals__[n]) for n in sorted(names) if n in fn.__globals__]
            parts += [text(n) + self._attribute(name, n, v) for n, v in held]
        return parts

    def _once(self, item: Any, encode: Callable[[], list[bytes]]) -> list[bytes]:
        """Encode an item whose name does not lead to it; inside itself it counts by its name."""
        if id(item) in self._open:
            self._cuts += 1
            return []
        if id(item) in self._identities:
            return self._identities[id(item)]
        cuts = self._cuts
        self._open.append(id(item))
        try:
            parts = encode()
        finally:
            self._open.pop()
        if cuts == self._cuts or not self._open:
            self._identities[id(item)] = parts
        return parts

    def _held(self, reader: str, name: str, value: Any) -> bytes:
        try:
            return self.token(value)
        except Unkeyable as error:
            raise advise(error, reader, f"the captured value {name}") from None

    def _class_reference(self, cls: type, *, installed: bool = False) -> bytes:
        kind = classify.kind_of_class(cls)
        name = text(classify.class_name(cls))
        if registered := sorted({classify.class_name(other) for other in registered_with(cls)}):
            self.add("class", f"{classify.class_name(cls)}.register()", pack(b"S", *map(text, registered)))
        if kind == "source" and is_compiled_object(cls):
            self._libraries(cls)
            return pack(b"R", name)
        if kind == "source":
            self._reach(cls)
            if classify.leads_to(cls):
                return pack(b"R", name)
            return pack(b"R", name, *self._once(cls, lambda: self._class_identity(cls)))
        if installed:
            pass
        elif kind == "distribution":
            self.distribution(cls.__module__)
        elif classify.is_misnamed(cls) and (home := holder_of(cls)):
            self.distribution(home)
        self._chains.check(cls)
        if cls not in {object, type}:
            self._foreign[id(cls)] = cls
        return pack(b"R", name)

    def _class_identity(self, cls: type) -> list[bytes]:
        name, unit = classify.class_name(cls), class_unit(cls)
        parts = [] if unit is None else [unit.digest]
        for method in classify.methods(cls):
            parts += [self._held(classify.function_name(method), n, v) for n, v in classify.cells(method)]
        parts += [self.reference(base) for base in cls.__mro__[1:]]
        parts += [text(n) + self._attribute(name, n, v, cls=cls) for n, v in members_of(cls)]
        return parts

    def _module_reference(self, module: ModuleType) -> bytes:
        kind = module_kind(module)
        if kind == "source":
            self._reach(module)
        else:
            if kind == "distribution":
                self.distribution(loaded_name(module))
            self._chains.check(module)
        return pack(b"M", text(module.__name__))

    def distribution(self, name: str) -> None:
        """Record the distribution that a module belongs to, or the file of one's own compiled module."""
        distribution = distribution_of(name)
        if distribution.is_compiled:
            self._compiled(name, packages.checked(distribution))
            return
        self.add(
            "distribution", f"{distribution.name} {distribution.version}", distribution.identity.encode()
        )

    def missing(self, name: str) -> None:
        """Record that a module does not exist on this machine."""
        self.add("module", name, b"missing")

    def _compiled(self, name: str, distribution: Distribution) -> None:
        """Record a compiled module, and the user's code that it can reach by its names and globals."""
        if name in self._compiled_seen:
            return
        self._compiled_seen.add(name)
        self.add("module", distribution.name, distribution.identity.encode())
        for other in distribution.modules:
            self._module_reference(importlib.import_module(other))
        module = sys.modules.get(name)
        for attribute, value in sorted(vars(module).items() if module else ()):
            item = classify.task_function(value)
            if classify.is_code(item) and not attribute.startswith("__"):
                self.token(item)
            elif type(item) in packages.PLAIN and not attribute.startswith("__"):
                self.add("global", f"{name}.{attribute}", self.token(item))

    def _data_beside(self) -> None:
        """Record the data files of the package whose code is analysed."""
        if self.home is not None and (package := packages.package_around(self.home.file)) is not None:
            self.add("data", package.name, packages.place_data(package))

    def _data(self, codes: Iterable[CodeType], reads: Reads, module_globals: Mapping[str, Any]) -> None:
        for name, content in packages.data_read(codes, reads, module_globals):
            self.add("data", name, content)

    def add(self, kind: str, name: str, data: bytes) -> None:
        """Record a component."""
        self.components.add(Component(kind, name, digest_of(data)))

    def token(self, value: Any, *, root: bool = False) -> bytes:
        """Encode any object that code may refer to: code by reference, the rest by value."""
        written = value
        value = classify.task_function(value)
        if isinstance(value, classify.Versioned):
            self.add("version", value.name, value.version.encode())
            return pack(b"V", text(value.name), *held_by(value.task))
        token = self._token(value, root=root)
        if _wraps(written) and (own := attributes_of(written)):
            name = str(getattr(written, "__qualname__", type(written).__qualname__))
            return pack(b"A", token, *(text(n) + self._attribute(name, n, v) for n, v in own))
        return token

    def _token(self, value: Any, *, root: bool) -> bytes:
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

    def _attribute(self, owner: str, name: str, value: Any, *, cls: type | None = None) -> bytes:
        """Encode an attribute of a function, class or module; by its type if it has no stable key.

        The state of a lock is not data. Another value without a key is refused if code reads its name.
        """
        if is_unreadable(value):
            return pack(b"?", self.reference(type(value)))
        try:
            return self.token(value) if cls is None else self._member(value, cls)
        except Unkeyable as error:
            kind = type(value)
            if not hasattr(kind, "__get__") or classify.kind_of_class(kind) == "source":
                self._doubts.append((name, advise(error, owner, f"the attribute {name} of {owner}")))
            return pack(b"?", text(classify.class_name(type(value))))

    def _member(self, value: Any, cls: type) -> bytes:
        """Encode what a class holds under a name; what its own functions read counts with its source."""
        function = classify.task_function(value)
        if isinstance(function, FunctionType) and is_inside(function, cls) and class_unit(cls) is not None:
            name = classify.function_name(function)
            parts = [function_unit(function).digest, *self._default_values(function, name)]
            parts += [text(n) + self._attribute(name, n, v) for n, v in attributes_of(function)]
            return pack(b"m", text(type(value).__name__), *parts)
        inner: tuple[Any, ...] = ()
        if isinstance(value, (staticmethod, classmethod)):
            inner = (value.__func__,)
        elif isinstance(value, property):
            inner = (value.fget, value.fset, value.fdel)
        elif isinstance(value, functools.cached_property):
            inner = (value.func,)
        elif type(value) is classify.CACHED:
            inner = (classify.wrapped(value),)
        if inner:
            return pack(b"v", self.reference(type(value)), *(self._member(part, cls) for part in inner))
        return self.token(value)

    # Content of functions, classes and modules

    def _function(self, fn: FunctionType, *, root: bool) -> None:
        name = classify.function_name(fn)
        reader = Reader(name, fn.__code__.co_filename, fn.__globals__)
        unit = function_unit(fn)
        parts = [unit.digest]
        parts += self._decorators(unit, reader)
        parts += self._chains.reads(unit.reads, reader)
        parts += self._chains.closure(unit.reads, dict(classify.cells(fn)), reader)
        self._data([fn.__code__], unit.reads, fn.__globals__)
        self.add("function", name, b"".join(parts))
        for attribute, value in attributes_of(fn):
            self.add("global", f"{name}.{attribute}", self._attribute(name, attribute, value))
        if not root:
            self._defaults(fn)

    def _defaults(self, fn: FunctionType) -> None:
        name = classify.function_name(fn)
        parts = self._default_values(fn, name)
        if parts:
            self.add("function", name, b"defaults" + b"".join(parts))

    def _default_values(self, fn: FunctionType, name: str) -> list[bytes]:
        parts = []
        for parameter, value in sorted({**classify.defaults(fn), **(fn.__kwdefaults__ or {})}.items()):
            try:
                parts.append(text(parameter) + self.token(value))
            except Unkeyable as error:
                raise advise(error, name, f"the default of its parameter {parameter}") from None
        return parts

    def _class(self, cls: type) -> None:
        name = classify.class_name(cls)
        module = sys.modules.get(cls.__module__)
        parts = [self.reference(base) for base in cls.__mro__[1:]]
        if type(cls) is not type:
            parts.append(self.reference(type(cls)))
        fields = getattr(cls, "__dataclass_fields__", ())
        for attribute, value in members_of(cls):
            token = self._attribute(name, attribute, value, cls=cls)
            parts.append(text(attribute))
            if _is_data(attribute, value) and attribute not in fields:
                self.add("global", f"{name}.{attribute}", token)
            else:
                parts.append(token)
        unit = class_unit(cls)
        if unit is not None:
            file = str(getattr(module, "__file__", None) or "")
            reader = Reader(name, file, vars(module) if module else {})
            parts.append(unit.digest)
            parts += self._decorators(unit, reader)
            parts += self._chains.reads(unit.reads, reader)
            codes = [method.__code__ for method in classify.methods(cls)]
            self._data(codes, unit.reads, reader.globals)
            for method in classify.methods(cls):
                reads = function_unit(method).reads
                parts += self._chains.closure(reads, dict(classify.cells(method)), reader)
        self.add("class", name, b"".join(parts))

    def _module(self, module: ModuleType) -> None:
        file = getattr(module, "__file__", None)
        source = source_of(file, vars(module)) if file else None
        parts = [ast_digest(source.tree)] if source else []
        parts.append(self.whole(vars(module), Reader(module.__name__, str(file or ""), vars(module))))
        self.add("module", module.__name__, b"".join(parts))

    def whole(self, namespace: Mapping[str, Any], reader: Reader) -> bytes:
        """Encode all that a module's namespace holds: code by reference, data by value.

        Raises:
            Unkeyable: a value has no stable key.
        """
        module = module_of(namespace)
        if module is not None and vars(module) is not reader.globals:
            return self.reference(module)
        home = str(namespace.get("__name__", ""))
        parts = []
        for name, value in globals_of(namespace):
            own = isinstance(value, ModuleType) and value.__name__ == f"{home}.{name}"
            if own and module is not None and not _binds(module, name):
                continue  # loaded by an import elsewhere; counts if names of attributes are computed
            named = is_unreadable(value) or kind_of(value)
            token = b"?" if named else self._global(value, name, home, reader)
            parts.append(text(name) + token)
        return pack(b"N", *parts)

    def _global(self, value: Any, name: str, home: str, reader: Reader) -> bytes:
        try:
            return self.token(value)
        except Unkeyable as error:
            raise advise(error, reader.name, f"the global {home}.{name} (as all of its module)") from None

    def _decorators(self, unit: Unit, reader: Reader) -> list[bytes]:
        """Encode decorators, and annotations if code other than lightwork's may evaluate them."""
        others = [d for d in unit.decorators if not _of_lightwork(d, reader.globals)]
        parts = [decorator.digest for decorator in others]
        acting = [d.reads for d in others] + list(unit.annotations if others or unit.is_class else ())
        for reads in acting:
            parts += self._chains.reads(reads, reader, soft=True)
        return parts


def _shown(item: Any) -> str:
    if isinstance(item, FunctionType):
        return classify.function_name(item)
    return item.__name__ if isinstance(item, ModuleType) else classify.class_name(item)


def _of_lightwork(decorator: Decorator, module_globals: Mapping[str, Any]) -> bool:
    if not decorator.chain:
        return False
    value = module_globals.get(decorator.chain[0], _MISSING)
    if value is _MISSING:
        return decorator.chain[-1] in {"task", "pipeline"}
    for attribute in decorator.chain[1:]:
        value = getattr(value, attribute, None)
    return str(getattr(value, "__module__", "")).partition(".")[0] == "lightwork"


def _is_data(name: str, value: object) -> bool:
    """Tell whether an attribute of a class is data, which is a component of its own."""
    return not name.startswith(("_", "model_", "field ")) and not (
        hasattr(type(value), "__get__") or isinstance(value, type) or is_unreadable(value)
    )


def _binds(module: ModuleType, name: str) -> bool:
    """Tell whether a module's own source names a submodule, rather than that something has imported it."""
    source = source_of(str(module.__file__), vars(module)) if getattr(module, "__file__", None) else None
    return source is None or name in source.codes["<module>"][0].co_names


def _wraps(value: object) -> bool:
    """Tell whether a value other than a function wraps one, and may have attributes of its own."""
    return not isinstance(value, (FunctionType, ModuleType, type)) and (
        classify.task_function(value) is not value or classify.is_foreign_wrapper(value)
    )
