"""Resolution of the names that code reads, in live modules and classes."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from lightwork.functions.origins.origin import (
    holder_of,
    kind_of_name,
    loaded_name,
    module_kind,
    module_name,
)
from lightwork.keys.components import Unkeyable
from lightwork.keys.reached.libraries import (
    Broken,
    counts,
    counts_of_class,
    find,
    is_bound_method,
    is_constant,
    stand_in,
)
from lightwork.keys.source import classify
from lightwork.keys.source.computed import REVEALING, Reader, kind_of, refusal
from lightwork.keys.source.namespaces import (
    IMPORT_NAMES,
    brought_into,
    builtin,
    is_brought,
    is_replaced,
)
from lightwork.keys.source.originals import PLAIN
from lightwork.keys.source.reads import NOTHING, Import, Name, reads_of
from lightwork.keys.values import slow
from lightwork.keys.values.canonical import finish, pack, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.keys.source.reads import Call, Chain, Reads

MISSING = object()
_ADVICE = (
    "{reader} reads {name}: {{}}; pass it as an argument that ignore= names, or give the task a version=,"
    " which then replaces its code in the key"
)
_BY_NAME = ("getattr", "hasattr", "setattr", "delattr", "vars")


class Follower(Protocol):
    """The part of an analysis, `walk.Walk`, that resolving a name needs."""

    def token(self, value: Any, *, root: bool = False) -> bytes:
        """Encode any object that code may refer to."""

    def reference(self, item: Any, *, root: bool = False, installed: bool = False) -> bytes:
        """Encode which function, class or module an item is; an installed one without its distribution."""

    def whole(self, namespace: Mapping[str, Any], reader: Reader) -> bytes:
        """Encode all that a module's namespace holds."""

    def distribution(self, name: str) -> None:
        """Record the distribution that a module belongs to."""

    def missing(self, name: str) -> None:
        """Record that a module does not exist on this machine."""

    def add(self, kind: str, name: str, data: bytes) -> None:
        """Record a component."""

    def subclasses(self, cls: type) -> None:
        """Record the user's own subclasses of a class."""

    def note(self, reads: Reads, *, computes: bool = False) -> None:
        """Record which attributes are read of anything, and whether names of attributes are computed."""


class Chains:
    """The names that the code of one analysis reads.

    Args:
        follower: the analysis.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._tokens: dict[int, tuple[Any, bytes, bool]] = {}
        self._checked: set[int] = set()
        self._is_inside = False

    def reads(self, reads: Reads, reader: Reader, *, soft: bool = False) -> list[bytes]:
        """Encode the globals and imports that code reads; with `soft` those that exist."""
        self._follower.note(reads)
        parts: list[bytes] = []
        for chain in reads.globals:
            parts += self._global(chain, reads, reader, soft=soft)
        parts += [self._import(item, reader, reads.calls.get(item, ())) for item in reads.imports]
        if any(name in reader.globals for name in _BY_NAME):
            for chain in reads.whole:
                parts += self._global(chain, reads, reader, soft=True)
        for name in reads.mentioned:
            if name in reader.globals:
                parts += self._global((name,), reads, reader, soft=True)
        for name, does in REVEALING.items():
            if name in reads.names:
                raise refusal(reader, reads.names[name], f"{does} (.{name})")
        if "__globals__" in reads.names and not _reads_globals_of_names(reads):
            raise refusal(reader, reads.names["__globals__"], "reads __globals__ of a value")
        return parts

    def closure(self, reads: Reads, cells: Mapping[str, Any], reader: Reader) -> list[bytes]:
        """Encode the captured values that code reads."""
        parts = []
        for chain in reads.closure:
            value, shown = cells.get(chain[0], MISSING), f"{reader.name}.{chain[0]}"
            parts.append(self.name("closure", reader, shown, value, chain, reads.calls.get(chain, ())))
        return parts

    def _global(self, chain: Chain, reads: Reads, reader: Reader, *, soft: bool) -> list[bytes]:
        name = chain[0]
        if name in IMPORT_NAMES:
            self._docstring(name, reader.globals)
            return []
        value = reader.globals.get(name, MISSING)
        shown = f"{module_name(str(reader.globals.get('__name__', '')))}.{name}"
        calls = reads.calls.get(chain, ())
        if value is MISSING and (held := builtin(name, reader.globals)):
            if not is_replaced(name, held[0]):
                return self._computed(held[0], (), calls, reader)
            value, shown = held[0], f"builtins.{name}"
        if value is MISSING and soft:
            return []
        return [self.name("global", reader, shown, value, chain, calls)]

    def _docstring(self, name: str, module_globals: Mapping[str, Any]) -> None:
        """Record the docstring of a module of one's own whose code reads it."""
        value = module_globals.get(name)
        home = str(module_globals.get("__name__", ""))
        if name == "__doc__" and isinstance(value, str) and kind_of_name(home) == "source":
            self._follower.add("global", f"{module_name(home)}.__doc__", text(value))

    def name(
        self, kind: str, reader: Reader, shown: str, value: Any, chain: Chain, calls: Sequence[Call] = ()
    ) -> bytes:
        """Encode what a chain of names refers to: the first object on it that is not a module."""
        attributes = list(chain[1:])
        written = text(".".join(chain))
        while isinstance(value, ModuleType) and attributes:
            if attributes[0] == "__dict__":
                attributes.clear()
                break
            if attributes[0] in IMPORT_NAMES:
                self._docstring(attributes[0], vars(value))
                return written
            if module_kind(value) != "source":
                parts = self._in_library(value, attributes, reader, calls)
                return pack(b"H", written, *parts) if parts or not self._is_inside else b""
            attribute = attributes.pop(0)
            kind, shown = "global", f"{value.__name__}.{attribute}"
            value = self._attribute(value, attribute)
        if value is MISSING:
            self._follower.add(kind, shown, b"missing")
            return written
        if kind_of(value):
            return pack(b"H", written, *self._computed(value, attributes, calls, reader))
        if "__globals__" in attributes:
            if not isinstance(value, FunctionType):
                line = calls[0].line if calls else 0
                raise refusal(reader, line, f"reads __globals__ of {'.'.join(chain[:-1])}")
            return pack(b"H", written, self._follower.whole(value.__globals__, reader))
        try:
            with slow.noticing(f"the {kind} {shown}, which {reader.name} reads,", slow.GLOBAL):
                token, named = self._token_once(value)
            if isinstance(value, type) and attributes:
                self._of_class(value, attributes)
        except Unkeyable as error:
            raise advise(error, reader.name, f"the {kind} {shown}") from None
        if not isinstance(value, (type, FunctionType)):
            self.check(type(value))
        if named:
            return written + token
        self._follower.add(kind, shown, token)
        return written

    def _attribute(self, module: ModuleType, attribute: str) -> Any:
        names = vars(module)
        if attribute not in names and "__getattr__" in names:
            token = self._follower.token(names["__getattr__"])
            self._follower.add("global", f"{module.__name__}.__getattr__", token)
        if type(module) is not ModuleType:
            self._follower.reference(type(module))
        return getattr(module, attribute, sys.modules.get(f"{module.__name__}.{attribute}", MISSING))

    def _of_class(self, cls: type, attributes: Sequence[str]) -> None:
        """Record what is read of a library's class; a class of the user's counts by its namespace."""
        if classify.kind_of_class(cls) == "source":
            return
        if "__subclasses__" in attributes:
            self._follower.subclasses(cls)
        name = attributes[0]
        if (data := classify.data(cls, name)) and counts_of_class(cls, name, *data, inside=self._is_inside):
            shown = f"{classify.class_name(cls)}.{name}"
            self._follower.add("global", shown, self._follower.token(data[0]))

    def _token_once(self, value: Any) -> tuple[bytes, bool]:
        """Return the token of a value, and whether its name identifies it; computed once for all readers."""
        entry = self._tokens.get(id(value))
        if entry is None:
            entry = (value, self._follower.token(value), classify.is_named(value))
            self._tokens[id(value)] = entry
        return entry[1:]

    # Objects in a library's module, where the user may have put something else

    def _in_library(
        self, module: ModuleType, attributes: list[str], reader: Reader, calls: Sequence[Call]
    ) -> list[bytes]:
        value: Any = module
        path: list[tuple[ModuleType, str]] = []
        while isinstance(value, ModuleType):
            if module_kind(value) == "source":
                chain = (value.__name__, *attributes)
                return [self.name("global", reader, value.__name__, value, chain, calls)]
            if module_kind(value) == "distribution" and not self._is_inside:
                self._follower.distribution(loaded_name(value))
            if not attributes or attributes[0] == "__dict__":
                self.check(value)
                return []
            attribute, attributes = attributes[0], attributes[1:]
            shown = f"{value.__name__}.{attribute}"
            if attribute in IMPORT_NAMES:
                return []
            path.append((value, attribute))
            value = vars(value).get(attribute, sys.modules.get(shown, MISSING))
        return [] if value is MISSING else self._held(path, value, attributes, reader, calls)

    def _held(
        self,
        path: list[tuple[ModuleType, str]],
        value: Any,
        attributes: list[str],
        reader: Reader,
        calls: Sequence[Call],
    ) -> list[bytes]:
        """Encode an object in a library's module, unless it comes with the library.

        Args:
            path: the modules that lead to it, each with the name that is read of it.
            value: the object.
            attributes: the names that are read of the object.
            reader: the code that reads them.
            calls: how it uses them.
        """
        home, name = path[-1]
        shown = f"{home.__name__}.{name}"
        if kind_of(value):
            return self._computed(value, attributes, calls, reader)
        try:
            if is_brought(value):
                self._follower.add("global", shown, self._token_once(value)[0])
            elif not counts(path, value, inside=self._is_inside):
                if isinstance(value, (type, FunctionType)):
                    self._follower.reference(value, installed=True)
                if isinstance(value, type) and attributes:
                    self._of_class(value, attributes)
            elif isinstance(value, (type, FunctionType)):
                self._follower.reference(value)
                if isinstance(value, type) and attributes:
                    self._of_class(value, attributes)
                return stand_in(shown, value)
            elif callable(value) and hasattr(value, "__name__") and not is_bound_method(value):
                if kind_of_name(holder := holder_of(value)) == "distribution":
                    self._follower.distribution(holder)
                return stand_in(shown, value)
            elif not attributes and (is_constant(home, value) or (self._is_inside and type(value) in PLAIN)):
                self._follower.add("global", shown, self._follower.token(value))
        except Unkeyable as error:
            raise advise(error, reader.name, f"the global {shown}") from None
        return []

    def check(self, scope: type | ModuleType) -> None:
        """Record the user's own functions that a library's class, or module as a whole, now holds."""
        if id(scope) in self._checked:
            return
        self._checked.add(id(scope))
        for part in scope.__mro__ if isinstance(scope, type) else (scope,):
            if isinstance(part, type) and (
                not part.__flags__ & classify.HEAP_TYPE or classify.kind_of_class(part) == "source"
            ):
                continue
            home = part.__name__ if isinstance(part, ModuleType) else classify.class_name(part)
            for name, value in brought_into(part):
                self._follower.add("global", f"{home}.{name}", self._follower.token(value))

    # Imports inside functions

    def _import(self, item: Import, reader: Reader, calls: Sequence[Call]) -> bytes:
        written = finish(b"from%d:" % item.level + text(item.module) + text(item.attribute))
        try:
            name, kind, module = find(item, reader.globals)
        except ImportError:
            self._follower.missing(item.module)
            return written
        except Broken as error:
            raise refusal(reader, calls[0].line if calls else 0, f"imports {error}") from None
        if kind == "distribution":
            self._follower.distribution(name)
        if module is None:
            return written
        before, self._is_inside = self._is_inside, kind != "source"
        try:
            return written + self._of_import(item, name, module, reader, calls)
        finally:
            self._is_inside = before

    def _of_import(
        self, item: Import, name: str, module: ModuleType, reader: Reader, calls: Sequence[Call]
    ) -> bytes:
        if item.attribute == ".":
            top = name.partition(".")[0]
            return self.name("global", reader, top, sys.modules[top], (top, *item.chain), calls)
        chain = (name, item.attribute, *item.chain) if item.attribute else (name, *item.chain)
        return self.name("global", reader, name, module, chain, calls)

    # Names that are computed at run time

    def _computed(
        self, value: Any, attributes: Sequence[str], calls: Sequence[Call], reader: Reader
    ) -> list[bytes]:
        """Encode what a call may reach by a computed name.

        Raises:
            Unkeyable: it may reach any code.
        """
        kind = kind_of(value)
        if not kind:
            return []
        if kind == "attribute":
            self._attribute_by_name(calls)
            return []
        if not calls:
            raise refusal(reader, 0, "reaches code by a computed name")
        parts: list[bytes] = []
        for call in calls:
            if kind in {"globals", "text", "exec"}:
                parts += self._evaluated(kind, call, reader)
            elif kind == "modules":
                parts += self._from_modules(attributes, call, reader)
            elif kind == "import":
                parts.append(self._imported(value.__name__, call, reader))
            else:
                does = f"calls {value.__module__}.{value.__qualname__}"
                if kind == "source":
                    raise refusal(reader, call.line, does, "but keys leave out comments and lines")
                raise refusal(reader, call.line, does.replace("_frozen_importlib_external", "importlib.util"))
        return parts

    def _attribute_by_name(self, calls: Sequence[Call]) -> None:

        for call in calls:
            names = call.arguments or (None,)
            if not any(isinstance(name, str) for name in names):
                self._follower.note(NOTHING, computes=True)

    def _evaluated(self, kind: str, call: Call, reader: Reader) -> list[bytes]:
        if kind == "globals":
            if call.arguments == () and isinstance(call.key, str):
                chain = (call.key, *call.rest)
                if call.key in IMPORT_NAMES:
                    return []
                value = reader.globals.get(call.key, MISSING)
                home = module_name(str(reader.globals.get("__name__", "")))
                return [self.name("global", reader, f"{home}.{call.key}", value, chain)]
            return [self._follower.whole(reader.globals, reader)]
        source = (call.arguments or (None,))[0]
        if isinstance(source, str):
            try:
                code = compile(source, "<text>", "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                return []
            return self.reads(reads_of(code), reader, soft=True)
        if kind == "exec":
            raise refusal(reader, call.line, "executes a text that is made at run time")
        return [self._follower.whole(reader.globals, reader)]

    def _from_modules(self, attributes: Sequence[str], call: Call, reader: Reader) -> list[bytes]:
        key, rest = call.key, call.rest
        if list(attributes) == ["get"] and call.arguments:
            key = call.arguments[0]
        elif attributes:
            key = None
        if call.is_tested:
            return []
        if key == Name(("__name__",)):
            key = str(reader.globals.get("__name__", ""))
        if not isinstance(key, str):
            raise refusal(reader, call.line, "reads sys.modules by a computed name")
        return [self.name("global", reader, key, sys.modules.get(key, MISSING), (key, *rest))]

    def _imported(self, function: str, call: Call, reader: Reader) -> bytes:
        arguments = list(call.arguments or ())
        named = dict(zip(call.keywords, arguments[len(arguments) - len(call.keywords) :], strict=False))
        positional = arguments[: len(arguments) - len(named)]
        name = positional[0] if positional else named.get("name")
        package = positional[1] if len(positional) > 1 else named.get("package", Name(("__package__",)))
        level = len(name) - len(name.lstrip(".")) if isinstance(name, str) else 0
        if isinstance(package, Name) and package.chain == ("__name__",) and "__path__" in reader.globals:
            package = Name(("__package__",))
        if level and package not in (Name(("__package__",)), reader.globals.get("__package__")):
            name = None
        if function == "__import__" and len(arguments) > 1:
            name = None
        if not isinstance(name, str):
            raise refusal(reader, call.line, "imports a module by a computed name")
        attribute = "." if function == "__import__" else ""
        return self._import(Import(name[level:], level, attribute, call.rest), reader, ())


def _reads_globals_of_names(reads: Reads) -> bool:
    chains = [*reads.globals, *reads.closure, *(item.chain for item in reads.imports)]
    return any("__globals__" in chain for chain in chains)


def advise(error: Unkeyable, reader: str, name: str) -> Unkeyable:
    """Return an error about a value with its reader and advice, unless it has them."""
    if error.context:
        return error
    return Unkeyable(error.what, error.where, _ADVICE.format(reader=reader, name=name))
