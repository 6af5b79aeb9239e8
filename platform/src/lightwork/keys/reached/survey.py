"""A look at the code that a function reaches, in the process that runs it: what two processes compare.

A code key is refused where a value has no stable key. A survey goes on, leaves that value out, and says so.
"""

from __future__ import annotations

import ast
import importlib
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.functions.origins.origin import (
    distribution_of,
    file_of,
    kind_of_function,
    kind_of_name,
    locate,
    module_kind,
)
from lightwork.keys.components import Component, Unkeyable
from lightwork.keys.reached.chains import Chains
from lightwork.keys.reached.walk import Walk, digest_of
from lightwork.keys.source import classify
from lightwork.keys.source.computed import Reader
from lightwork.keys.source.namespaces import IMPORT_NAMES
from lightwork.keys.source.originals import bindings
from lightwork.keys.source.reads import ast_digest
from lightwork.keys.source.units import class_unit, expression_unit, function_unit, source_of
from lightwork.keys.values.canonical import STATE, Scope, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lightwork.keys.source.reads import Call, Chain, Import

HOLE = ""
"""The digest of a component whose content has no stable key."""
ABSENT = "no such module"
_MISSING = object()
_Place = tuple[str, str]


class Name(NamedTuple):
    """Something that code finds by name: a module, or what the names lead to from it.

    Attributes:
        module: the module's full name.
        names: attributes, joined by dots; empty for the module itself.
    """

    module: str
    names: str

    def __str__(self) -> str:
        return f"{self.module}.{self.names}" if self.names else self.module


class Library(NamedTuple):
    """A distribution that code uses: a module of it, its name, version, and what identifies its content."""

    module: str
    name: str
    version: str
    identity: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at some code found.

    Attributes:
        digest: 32 hexadecimal digits; it changes if anything changes that has a stable key.
        components: everything that was reached.
        read: what functions read through first-party modules that they hold as globals, as in `conf.UNIT`.
        imported: what functions read by an `import` inside their code.
        libraries: modules of distributions that are used.
        holes: the components without a stable key, by kind and name.
        reached: the first-party functions, classes and modules that were reached.
    """

    digest: str
    components: frozenset[Component]
    read: frozenset[Name]
    imported: frozenset[Name]
    libraries: tuple[Library, ...]
    holes: frozenset[_Place]
    reached: tuple[Any, ...]

    def places(self) -> dict[_Place, frozenset[str]]:
        """Return the digests of the components, by kind and name."""
        places: dict[_Place, frozenset[str]] = {}
        for item in self.components:
            key = (item.kind, item.name)
            places[key] = places.get(key, frozenset()) | {item.digest}
        return places


def survey(item: Any) -> Survey:
    """Look at the code that an object reaches: a function with its defaults, a bound method, a class."""
    walk = _SurveyWalk({})
    return _finish(walk, lambda: walk.hold("item", "", item))


def survey_names(names: Iterable[Name], given: Mapping[_Place, str] | None = None) -> Survey:
    """Import what some names stand for, and look at the code that it reaches.

    Args:
        names: the names, in any order.
        given: digests to take for these components in place of a look at them.
    """
    walk = _SurveyWalk(given or {})

    def look() -> None:
        for name in sorted(names):
            found = resolve(name)
            if found is _MISSING:
                walk.components.add(Component("name", str(name), "missing"))
            else:
                walk.hold("name", str(name), found)

    return _finish(walk, look)


def resolve(name: Name) -> Any:
    """Return what a name stands for in this process; a private mark if there is nothing of that name."""
    try:
        target: Any = importlib.import_module(name.module)
        for part in name.names.split(".") if name.names else ():
            target = _step(target, part)
    except Exception:  # noqa: BLE001 - a module may raise anything when it is imported
        return _MISSING
    return getattr(target, "fn", target) if classify.is_lightwork(target) else target


def exists(name: Name) -> bool:
    """Return whether a name stands for anything in this process."""
    return resolve(name) is not _MISSING


def bindings_of(found: Survey) -> Iterator[tuple[Mapping[str, Any], set[str]]]:
    """Yield each namespace that surveyed code reads, and names that are read of it."""
    for item in found.reached:
        if isinstance(item, FunctionType):
            yield item.__globals__, {chain[0] for chain in function_unit(item).reads.globals}
        elif isinstance(item, ModuleType):
            yield vars(item), set(vars(item)) - IMPORT_NAMES
        elif (unit := class_unit(item)) is not None and item.__module__ in sys.modules:
            yield vars(sys.modules[item.__module__]), {chain[0] for chain in unit.reads.globals}
    for name in found.read | found.imported:
        if name.names and name.module in sys.modules:
            yield vars(sys.modules[name.module]), {name.names.partition(".")[0]}


def library(module: str) -> Library:
    """Return the distribution of a module, as this process has it."""
    if not _is_there(module):
        return Library(module, module, "not installed", "")
    item = distribution_of(module)
    return Library(module, item.name, item.version, item.identity)


def _is_there(module: str) -> bool:
    try:
        locate(module)
    except (ImportError, ValueError):
        return False
    return True


def whereabouts(name: str) -> str:
    """Return where this process has an object from, by its name: a file, or a library's name and version."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:end]))
        if module is not None:
            file = file_of(module) or "no file"
            if module_kind(module) == "distribution":
                item = distribution_of(module.__name__)
                return f"{file}, {item.name} {item.version}"
            return file
    return ABSENT


def _step(target: Any, part: str) -> Any:
    """Return an attribute, or a submodule that has yet to be imported."""
    if isinstance(target, ModuleType) and not hasattr(target, part):
        return importlib.import_module(f"{target.__name__}.{part}")
    return getattr(target, part)


def _finish(walk: _SurveyWalk, look: Callable[[], None]) -> Survey:
    before, STATE.walk = STATE.walk, walk
    try:
        with Scope():
            look()
            with suppress(Unkeyable):  # what is read of it is a hole already
                walk.run()
    finally:
        STATE.walk = before
    components = frozenset(walk.components)
    state = blake2b(digest_size=16)
    for item in sorted(components):
        state.update(text(item.kind) + text(item.name) + text(item.digest))
    libraries = tuple(sorted({library(module) for module in walk.tops}))
    return Survey(
        digest=state.hexdigest(),
        components=components,
        read=frozenset(walk.names.read),
        imported=frozenset(walk.names.imported),
        libraries=libraries,
        holes=frozenset(walk.holes),
        reached=walk.reached(),
    )


class _SurveyWalk(Walk):
    """A walk that leaves out what has no stable key, and notes what is read through modules.

    Args:
        given: digests to take for these components in place of a look at them.
    """

    def __init__(self, given: Mapping[_Place, str]) -> None:
        super().__init__()
        self.names = self._chains = _SurveyChains(self)
        self.tops: set[str] = set()
        self.holes: set[_Place] = set()
        self._given = given
        self._defined: set[str] = set()
        self._added: list[Component] = []

    def reached(self) -> tuple[Any, ...]:
        """Return the first-party functions, classes and modules that were reached."""
        return tuple(self._seen.values())

    def hold(self, kind: str, name: str, value: Any) -> None:
        """Add a component for a value, and reach the code in it."""
        with self.or_hole(kind, name) as known:
            if not known:
                self.add(kind, name, self.token(value))

    def is_given(self, kind: str, name: str) -> bool:
        """Return whether the digest of a component is given."""
        return (kind, name) in self._given

    def distribution(self, name: str) -> None:
        super().distribution(name)
        top = name.partition(".")[0]
        # Of a namespace package, and of one's own with compiled modules, the parts count.
        self.tops.add(top if kind_of_name(top) == "distribution" else name)

    def missing(self, name: str) -> None:
        super().missing(name)
        if not _is_there(top := name.partition(".")[0]):
            self.tops.add(top)  # what a worker must not have either

    def add(self, kind: str, name: str, data: bytes) -> None:
        # Code that is not first-party counts by its library, which is compared on its own.
        if kind == "distribution":
            return
        place = (kind, name)
        digest = self._given.get(place)
        if digest is None:
            digest = HOLE if place in self.holes else digest_of(data)
        item = Component(kind, name, digest)
        if item not in self.components:
            self.components.add(item)
            self._added.append(item)
        if digest == HOLE:
            self.holes.add(place)
            self._define(kind, name)

    def _define(self, kind: str, name: str) -> None:
        """Record how a module makes a global of which the content has no stable key."""
        home, _, attribute = name.rpartition(".")
        module = sys.modules.get(home)
        if kind != "global" or name in self._defined or module is None or module_kind(module) != "source":
            return
        self._defined.add(name)
        file = str(getattr(module, "__file__", None) or "")
        source = source_of(file, vars(module)) if file else None
        nodes = bindings(source.tree.body).get(attribute, []) if source else []
        reader, parts = Reader(name, file, vars(module)), []
        read, imported = set(self.names.read), set(self.names.imported)
        for node in nodes:
            if isinstance(node, ast.expr):
                unit = expression_unit(node)
                parts.append(unit.digest)
                with suppress(Unkeyable):
                    parts += self._chains.reads(unit.reads, reader, soft=True)
            elif node is not None:
                parts.append(ast_digest(node))
        # Only the import of the module has read these: a worker that has it has read its own.
        self.names.read, self.names.imported = read, imported
        self.add("definition", name, b"".join(parts))

    @contextmanager
    def or_hole(self, kind: str, name: str) -> Iterator[bool]:
        """Make a hole of what has no stable key; yield whether it is one that is given already."""
        if self._given.get((kind, name)) == HOLE:
            self.add(kind, name, b"")
            yield True
            return
        queued, added = len(self._queue), len(self._added)
        try:
            yield False
        except (Unkeyable, RecursionError):
            # What was reached on the way to it may be in no other process's survey.
            for item, _ in self._queue[queued:]:
                self._seen.pop(id(item), None)
            del self._queue[queued:]
            self.components.difference_update(self._added[added:])
            del self._added[added:]
            self.holes.add((kind, name))
            self.add(kind, name, b"")

    def _attribute(self, owner: str, name: str, value: Any, *, cls: type | None = None) -> bytes:
        doubts = len(self._doubts)
        token = super()._attribute(owner, name, value, cls=cls)
        if len(self._doubts) > doubts:
            self.holes.add(("global", f"{owner}.{name}"))
        return token

    def _function(self, fn: FunctionType, *, root: bool) -> None:
        with self.or_hole("function", classify.function_name(fn)) as known:
            if not known:
                super()._function(fn, root=root)

    def _class(self, cls: type) -> None:
        with self.or_hole("class", classify.class_name(cls)) as known:
            if not known:
                super()._class(cls)

    def _module(self, module: ModuleType) -> None:
        with self.or_hole("module", module.__name__) as known:
            if not known:
                super()._module(module)


class _SurveyChains(Chains):
    """Chains of names, of which those that lead through modules are noted."""

    def __init__(self, walk: _SurveyWalk) -> None:
        super().__init__(walk)
        self.read: set[Name] = set()
        self.imported: set[Name] = set()
        self._walk = walk
        self._importing = False

    def name(
        self, kind: str, reader: Reader, shown: str, value: Any, chain: Chain, calls: Sequence[Call] = ()
    ) -> bytes:
        for name in _through_modules(value, chain[1:]):
            (self.imported if self._importing else self.read).add(name)
            if name.names:
                kind, shown = "global", str(name)
        with self._walk.or_hole(kind, shown) as known:
            if not known:
                token = super().name(kind, reader, shown, value, chain, calls)
                if not self._walk.is_given(kind, shown):
                    return token
                # It is another value than the one that counts, and may lead to the same code.
                self._walk.add(kind, shown, b"")
        return text(".".join(chain))

    def check(self, scope: type | ModuleType) -> None:
        before = len(self._walk.components)
        super().check(scope)
        if len(self._walk.components) > before:
            home = scope.__module__ if isinstance(scope, type) else scope.__name__
            self.imported.add(Name(home, scope.__qualname__ if isinstance(scope, type) else ""))

    def _import(self, item: Import, reader: Reader, calls: Sequence[Call]) -> bytes:
        before, self._importing = self._importing, True
        try:
            return super()._import(item, reader, calls)
        finally:
            self._importing = before


def _through_modules(value: Any, attributes: Sequence[str]) -> Iterator[Name]:
    """Yield the names of the first object on a chain that is not a module, from each own module on it."""
    names = list(attributes)
    homes: list[Name] = []
    while isinstance(value, ModuleType) and value.__name__ != "__main__":
        homes.append(Name(value.__name__, ""))
        if not names or names[0] in IMPORT_NAMES or names[0] == "__dict__":
            break
        attribute, *names = names
        homes = [Name(home, f"{rest}.{attribute}".lstrip(".")) for home, rest in homes]
        inner = sys.modules.get(f"{value.__name__}.{attribute}")
        is_own = kind_of_name(value.__name__) == "source"  # a library might load what is asked for
        value = getattr(value, attribute, inner) if is_own else vars(value).get(attribute, inner)
    # A function of one's own may stand in a library's place.
    yield from (home for home in homes if kind_of_name(home.module) == "source" or _is_own(value))


def _is_own(value: Any) -> bool:
    value = classify.task_function(value)
    if isinstance(value, FunctionType):
        return kind_of_function(value) == "source"
    return isinstance(value, type) and kind_of_name(value.__module__) == "source"
