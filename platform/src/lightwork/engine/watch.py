"""Notices in this process that the code of a task, or what it reads, is no longer as its key says.

Between two results of a serial map the caller's own code runs, and may set a global that the task reads; the
task itself may fill a memo. A cheap look compares identities before and after each call. A full look compares
digests, before results are kept.
"""

from __future__ import annotations

import time
from itertools import chain
from operator import attrgetter, is_, itemgetter
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.engine.proof import changed_values
from lightwork.keys.reached.survey import bindings_of, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lightwork.keys.reached.survey import Survey

    _Read = tuple[Callable[[Any], Iterable[Any]], Any]

_MOST = 100
"""Items of a list, dict or object of which the cheap look compares each."""
_LONG = 0.2
"""Seconds of a full look, as at millions of values, from which there is none for the first call."""
_MOST_CONTAINERS = 30
"""Lists, dicts and objects of which it compares the items."""


class Watch:
    """Watches the code of a function, from the moment when its key was computed.

    Args:
        fn: the function.

    Attributes:
        seconds: how long a full look took.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._calls = 0
        self._looks = False
        self._own: set[tuple[str, str]] = set()
        self._look()
        self._start = self._places

    def _look(self) -> None:
        begin = time.perf_counter()
        found = survey(self._fn)
        self._places = found.places()
        self._targets = list(_targets(found))
        self._looked = time.perf_counter()
        self.seconds = self._looked - begin
        self._note()

    def _note(self) -> None:
        """Note the objects that the code reads, as they are now."""
        reads = [(read, target) for read, target in self._targets if _works(read, target)]
        values = [value for read, target in reads for value in read(target)]
        seen: set[int] = set()
        while values and len(seen) < _MOST_CONTAINERS:
            value = values.pop()
            found = None if id(value) in seen else _contents(value)
            if found is not None:
                seen.add(id(value))
                reads.append(found)
                values += found[0](found[1])
        self._reads = reads
        self._objects = [value for read, target in reads for value in read(target)]

    def moved(self) -> bool:
        """Return whether the cheap look finds other objects than at the last look."""
        now: list[Any] = []
        try:
            for read, target in self._reads:
                now += read(target)
        except (KeyError, AttributeError, ValueError, RuntimeError):
            return True  # a name was deleted, a cell emptied
        return len(now) != len(self._objects) or not all(map(is_, now, self._objects))

    def changed(self) -> list[str]:
        """Take a full look; return the names of what differs from the start, without what calls changed."""
        self._look()
        before, now = self._start, self._places
        places = {p for p in (before.keys() | now.keys()) - self._own if before.get(p) != now.get(p)}
        return sorted({name or kind for kind, name in places})

    def before_call(self) -> list[str]:
        """Take a full look before some calls, the first ones most often; return as `changed` does."""
        self._calls += 1
        rare = self._calls & (self._calls - 1) or time.perf_counter() - self._looked < 20 * self.seconds
        self._looks = not rare or (self._calls == 1 and self.seconds < _LONG)
        return self.changed() if self._looks else []

    def after_call(self) -> list[str]:
        """Look after a call, in which nothing but the function has run; return what it has changed."""
        if not self._looks:
            if self._own and self.moved():
                self._note()
            return []
        before = self._places
        self._look()
        changed = changed_values(before, self._places)
        if changed:  # with what is reached only through a changed value
            self._own |= {*changed, *(before.keys() ^ self._places.keys())}
        return [name for _, name in changed]


def _targets(found: Survey) -> Iterator[_Read]:
    """Yield what reads the objects that code is made of and reads, each with its target."""
    names: dict[int, tuple[Any, set[str]]] = {}
    for scope, read in bindings_of(found):
        names.setdefault(id(scope), (scope, set()))[1].update(read)
    for scope, read in names.values():
        present = [name for name in sorted(read) if name in scope]
        if present:
            yield itemgetter(present[0], *present), scope
    for item in found.reached:
        if isinstance(item, FunctionType):
            yield from _parts(item)
        elif isinstance(item, type):
            yield _values, vars(item)
            for value in list(vars(item).values()):
                function = getattr(value, "__func__", value)
                if isinstance(function, FunctionType):
                    yield from _parts(function)


def _parts(fn: FunctionType) -> Iterator[_Read]:
    yield attrgetter("__code__", "__defaults__", "__kwdefaults__"), fn
    if vars(fn):
        yield _values, vars(fn)
    for cell in fn.__closure__ or ():
        yield attrgetter("cell_contents", "cell_contents"), cell


def _works(read: Callable[[Any], Iterable[Any]], target: Any) -> bool:
    try:
        read(target)
    except (KeyError, AttributeError, ValueError):
        return False
    return True


def _contents(value: Any) -> _Read | None:
    """Return what reads the items of a small container or object; None for anything else."""
    kind = type(value)
    if kind in (list, set, tuple) and len(value) <= _MOST:
        return iter, value
    if kind is dict and len(value) <= _MOST:
        return _items, value
    fields = getattr(value, "__dict__", None)
    if type(fields) is not dict or isinstance(value, (FunctionType, ModuleType, type)):
        return None
    return (_items, fields) if len(fields) <= _MOST else None


def _values(namespace: Any) -> Iterable[Any]:
    return namespace.values()  # type: ignore[no-any-return]


def _items(items: dict[Any, Any]) -> Iterable[Any]:
    return chain(items, items.values())
