"""Pickling of values, including those whose classes live in a script or in a module that workers lack."""

from __future__ import annotations

import copyreg
import functools
import importlib
import io
import pickle
import re
import sys
import threading
import types
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.functions import mapped
from lightwork.functions.computed_globals import computed_globals, subclasses_read
from lightwork.functions.origins.compiled import is_compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

_TO_RESOLVE = re.compile(rb"_make_skeleton_|lightwork\.")
_MOVED = {
    "lightwork.artifacts": "lightwork.store.artifacts",
    "lightwork.artifacts_read": "lightwork.store.tables_reading",
    "lightwork.artifacts_write": "lightwork.store.tables_writing",
    "lightwork.discovery": "lightwork.functions.discovery",
    "lightwork.engine.cluster": "lightwork.cluster.cluster",
    "lightwork.engine.connection": "lightwork.cluster.connection",
    "lightwork.engine.fleet": "lightwork.cluster.fleet",
    "lightwork.engine.keeper": "lightwork.cluster.keeper",
    "lightwork.futures": "lightwork.engine.calls",
    "lightwork.forwarding": "lightwork.kube.forwarding",
    "lightwork.housekeeping": "lightwork.store.usage",
    "lightwork.jsonable": "lightwork.runs.jsonable",
    "lightwork.keys.origin": "lightwork.functions.origins.origin",
    "lightwork.keys.unkeyable": "lightwork.keys.components",
    "lightwork.kube_api": "lightwork.kube.api",
    "lightwork.lake.s3_client": "lightwork.lake.s3_connection",
    "lightwork.manifests.common": "lightwork.manifests.base",
    "lightwork.parameter_types": "lightwork.functions.parameter_types",
    "lightwork.parameters": "lightwork.functions.parameters",
    "lightwork.pickling": "lightwork.functions.pickling",
    "lightwork.pipelines": "lightwork.functions.decorated",
    "lightwork.progress": "lightwork.engine.progress",
    "lightwork.remote": "lightwork.kube.runs",
    "lightwork.report.report": "lightwork.runs.report.report",
    "lightwork.results": "lightwork.engine.mapping",
    "lightwork.run": "lightwork.runs.run",
    "lightwork.scaffold": "lightwork.functions.scaffold",
    "lightwork.segments": "lightwork.store.segments",
    "lightwork.run.RunResult": "lightwork.runs.outcome",
    "lightwork.runs.run.RunResult": "lightwork.runs.outcome",
    "lightwork.session": "lightwork.runs.session",
    "lightwork.store": "lightwork.store.results",
    "lightwork.tasks": "lightwork.runs.tasks",
    "lightwork.tasks._named": "lightwork.functions.decorated",
    "lightwork.tenants.dag": "lightwork.tenants.graph",
    "lightwork.tenants.types": "lightwork.tenants.fields",
    "lightwork.workflows": "lightwork.kube.status",
}
"""Where modules, and names in them, moved after 0.1.0; results kept by it use the old names."""
SUBCLASSES = "<subclasses>"
"""The global under which subclasses go with a function that looks them up."""
_held: dict[str, int] = {}
_held_lock = threading.Lock()
_pattern: tuple[frozenset[str], re.Pattern[bytes] | None] = (frozenset(), None)


def dump(value: Any) -> bytes:
    """Pickle a value, with cloudpickle only if the standard pickle is not enough."""
    noted = _noting.names
    try:
        names: set[tuple[str, str]] = set()
        data = _dumped(value, mapped.PLAIN if noted is None else mapped.Way(_Pickler, names))
        if b"__main__" not in data and not _mentions_held(data):
            if noted is not None:
                noted |= names
            return data
    except Exception:  # noqa: BLE001, S110 - cloudpickle knows more types, and its error is clearer
        pass
    return dump_code(value, set() if noted is None else noted)


def dump_code(value: Any, names: set[tuple[str, str]]) -> bytes:
    """Pickle a value with cloudpickle: code of a script, and of modules that are held, goes by value.

    Args:
        value: the value.
        names: the module and qualified name of each first-party function, class and task that goes by name
            is added here; of a module its name and an empty text.
    """
    return _dumped(value, code_way(names))


def code_way(names: set[tuple[str, str]]) -> mapped.Way:
    """Return the way in which `dump_code` pickles."""
    return mapped.Way(_code_pickler(), names)


class _Noting(threading.local):
    """The names that this thread notes; None if it notes none."""

    names: set[tuple[str, str]] | None = None


_noting = _Noting()


@contextmanager
def noting(names: set[tuple[str, str]]) -> Iterator[None]:
    """Add the first-party names to a set that `dump` writes in this thread, inside the `with` block."""
    before, _noting.names = _noting.names, names
    try:
        yield
    finally:
        _noting.names = before


class _Pickler(pickle.Pickler):
    """The standard pickler, which notes what it writes by name."""

    def __init__(self, file: io.BytesIO, names: set[tuple[str, str]], buffer_callback: Any = None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._names = names

    def reducer_override(self, obj: Any) -> Any:
        return _note(obj, self._names)


@functools.cache
def _code_pickler() -> Any:
    import cloudpickle

    class CodePickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Cloudpickle's pickler, which notes what it writes by name.

        Compiled modules of a package that goes by value, and what they hold, go by name: they cannot be sent.
        """

        def __init__(
            self, file: io.BytesIO, names: set[tuple[str, str]], buffer_callback: Any = None
        ) -> None:
            super().__init__(file, protocol=5, buffer_callback=buffer_callback)
            self._names = names
            self._trying = False

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is _CACHED and not _is_found(obj):
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            if _held and isinstance(obj, (type, types.ModuleType)) and _is_held_compiled(obj):
                return _by_import(obj)
            reduced = super().reducer_override(obj)
            if reduced is NotImplemented:
                return _note(obj, self._names)
            if isinstance(obj, types.FunctionType) and not self._trying:
                self._add_globals(obj, reduced)
            return reduced

        def _add_globals(self, fn: types.FunctionType, reduced: Any) -> None:
            """Add what the function finds by computed names and as subclasses, if that can be sent."""
            sent = reduced[2][1]["__globals__"]
            for name, value in computed_globals(fn).items():
                if name not in sent and self._can_send(value):
                    sent[name] = value
            known = [c for c in subclasses_read(fn) if c.__module__ == "__main__" or _is_own(c.__module__)]
            if known and self._can_send(known):
                sent[SUBCLASSES] = known  # they exist where the function runs, then

        def _can_send(self, value: Any) -> bool:
            attempt = CodePickler(io.BytesIO(), set())
            attempt._trying = True
            try:
                attempt.dump(value)
            except Exception:  # noqa: BLE001 - a lock, an open file: a worker that needs it fails by its name
                return False
            return True

    return CodePickler


def _is_held_compiled(item: type | ModuleType) -> bool:
    from lightwork.functions.origins.origin import is_compiled_object

    home = item.__module__ if isinstance(item, type) else item.__name__
    if not is_held(home):
        return False
    return is_compiled_object(item) or is_compiled(_file(sys.modules.get(home)))


def _by_import(item: type | ModuleType) -> Any:
    from lightwork.functions.origins.origin import holder_of, loaded_name

    if isinstance(item, ModuleType):
        return importlib.import_module, (loaded_name(item),)
    home = holder_of(item)  # compiled classes may name another module
    return (find, (home, item.__qualname__)) if home else NotImplemented


def _note(obj: Any, names: set[tuple[str, str]]) -> Any:
    """Note an object that pickle writes by its name; return what a pickler's `reducer_override` returns."""
    kind = type(obj)
    if kind in _SILENT:
        return NotImplemented
    if isinstance(obj, (type, types.FunctionType)) or kind is _CACHED:
        if _is_own(obj.__module__):
            names.add((obj.__module__, obj.__qualname__))
    elif isinstance(obj, types.ModuleType):
        if _is_own(obj.__name__) and not is_held(obj.__name__):
            names.add((obj.__name__, ""))
    elif hasattr(kind, "by_name"):  # a task, or what stands for one
        if (name := obj.by_name()) is not None:
            names.add(name)
    elif _reduces_itself(kind):
        reduced = obj.__reduce_ex__(5)
        if isinstance(reduced, str):  # it says that it is found by this name
            names.add((str(pickle.whichmodule(obj, reduced)), reduced))  # type: ignore[attr-defined]
        return reduced
    elif "<" not in kind.__qualname__ and kind.__module__ != "__main__":
        _SILENT.add(kind)
    return NotImplemented


# Types of which instances are not found by name; those that a script makes are not added.
_SILENT: set[type] = set()


def _reduces_itself(kind: type) -> bool:
    """Tell whether a first-party class has its own way of being pickled."""
    methods = [(getattr(kind, n), getattr(object, n)) for n in ("__reduce__", "__reduce_ex__")]
    own = any(method is not usual for method, usual in methods)
    return own and kind not in copyreg.dispatch_table and _is_own(kind.__module__)


def _is_own(module: str | None) -> bool:
    """Tell whether a module is first-party and may be imported by other processes."""
    from lightwork.functions.origins.origin import kind_of_name

    if module is None or module == "__main__" or module not in sys.modules:
        return False
    return kind_of_name(module) == "source"


def _dumped(value: Any, way: mapped.Way) -> bytes:
    return mapped.dump_writable(value, way) if mapped.USED else way.dumps(value)


def dump_apart(value: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle a value as `dump` does, without its large buffers.

    Returns:
        The pickle, and the buffers, which are those of the value itself, not copies.
    """
    noted = _noting.names
    try:
        names: set[tuple[str, str]] = set()
        data, views = mapped.dump_apart(value, mapped.PLAIN if noted is None else mapped.Way(_Pickler, names))
        if b"__main__" not in data and not _mentions_held(data):
            if noted is not None:
                noted |= names
            return data, views
    except Exception:  # noqa: BLE001, S110 - cloudpickle knows more types, and its error is clearer
        pass
    return mapped.dump_apart(value, code_way(set() if noted is None else noted))


_CACHED: Any = type(functools.lru_cache(len))


def _is_found(item: Any) -> bool:
    """Tell whether other processes find an object by its name."""
    module = sys.modules.get(item.__module__)
    if module is None or item.__module__ in ("__main__", "__mp_main__") or is_held(item.__module__):
        return False
    try:
        return resolve(module, item.__qualname__) is item
    except AttributeError:
        return False


def _cached(fn: Any, parameters: dict[str, Any]) -> Any:
    """Return a function with an empty cache of its own; pickles hold the name of this function."""
    return functools.lru_cache(**parameters)(fn)


def load(data: bytes | memoryview, buffers: Sequence[memoryview] | None = None) -> Any:
    """Unpickle what `dump` returned, or `dump_apart` with its buffers.

    A class that was pickled by value becomes the class of that name in this process, if there is one: a
    result from the lake is an instance of the class that the script defines, although another process
    pickled it. Old paths of lightwork's modules lead to the new ones.
    """
    if _TO_RESOLVE.search(data) is None:
        return pickle.loads(data, buffers=buffers)
    return _Loader(io.BytesIO(data), buffers=buffers).load()


class _Loader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, buffers: Sequence[memoryview] | None) -> None:
        super().__init__(file, buffers=buffers)
        self._existing: set[int] = set()

    def find_class(self, module: str, name: str) -> Any:
        home = _MOVED.get(f"{module}.{name}") or _MOVED.get(module, module)
        item = super().find_class(home, name)
        if not module.startswith("cloudpickle"):
            return item
        if name == "_make_skeleton_class":
            return lambda *args: self._existing_class(args[3].get("__module__"), args[1]) or item(*args)
        if name == "_make_skeleton_enum":
            return lambda *args: self._existing_class(args[4], args[2]) or item(*args)
        if name == "_class_setstate":
            return lambda cls, state: cls if id(cls) in self._existing else item(cls, state)
        return item

    def _existing_class(self, module: str | None, name: str) -> type | None:
        """Return the class of this name from a module that is loaded."""
        try:
            cls = resolve(sys.modules.get(module or ""), name)
        except AttributeError:
            return None
        if not isinstance(cls, type) or cls.__module__ != module or cls.__qualname__ != name:
            return None
        self._existing.add(id(cls))
        return cls


# The workers of a remote scheduler may lack some modules: these are sent by value, like a script's own code.


def own_packages() -> set[str]:
    """Return the names of the loaded packages and modules of one's own, the outermost ones.

    A namespace package, such as `acme`, is one if all that is loaded of it is one's own; else the packages in
    it are, such as `acme.own`. A compiled module is not, since it cannot be sent.
    """
    packages: set[str] = set()
    others: set[str] = set()
    for name, module in sorted(sys.modules.items()):
        top = name.partition(".")[0]
        if top in _NEVER_SENT or top in sys.stdlib_module_names or _is_in(name, packages):
            continue
        outer = name.rpartition(".")[0]
        if getattr(module, "__spec__", None) is None or (outer and _file(sys.modules.get(outer))):
            continue  # a part of a package that is not one's own
        if _file(module):
            (packages if _is_own_module(module) else others).add(name)
    namespaces = {name.partition(".")[0] for name in packages if "." in name}
    mixed = {name.partition(".")[0] for name in others if "." in name}
    return {name for name in packages if name.partition(".")[0] not in namespaces - mixed} | (
        namespaces - mixed
    )


def _file(module: ModuleType | None) -> str:
    return getattr(module, "__file__", None) or ""


def _is_own_module(module: ModuleType) -> bool:
    from lightwork.functions.origins.origin import module_kind

    try:
        return module_kind(module) == "source"
    except Exception:  # noqa: BLE001 - an odd stand-in for a module is not sent
        return False


_NEVER_SENT = frozenset({"__main__", "__mp_main__", "lightwork"})


def _is_in(name: str, packages: Container[str]) -> bool:
    """Tell whether a module, or a package around it, is among some packages."""
    while name:
        if name in packages:
            return True
        name = name.rpartition(".")[0]
    return False


def hold(names: set[str]) -> None:
    """Send these modules by value until `release` has been called as often."""
    import cloudpickle

    with _held_lock:
        for name in names:
            if not _held.get(name):
                cloudpickle.register_pickle_by_value(sys.modules[name])
            _held[name] = _held.get(name, 0) + 1


def release(names: set[str]) -> None:
    """Undo `hold`."""
    import cloudpickle

    with _held_lock:
        for name in names:
            _held[name] -= 1
            if not _held[name]:
                del _held[name]
                if name in sys.modules and name in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.unregister_pickle_by_value(sys.modules[name])


@contextmanager
def by_name() -> Iterator[None]:
    """Send no module by value inside the `with` block."""
    import cloudpickle

    with _held_lock:
        names = [name for name in _held if name in sys.modules]
        for name in names:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])
        try:
            yield
        finally:
            for name in names:
                cloudpickle.register_pickle_by_value(sys.modules[name])


def is_held(module: str) -> bool:
    """Tell whether this module, or the package around it, is sent by value."""
    return bool(_held) and _is_in(module, _held)


def _mentions_held(data: bytes) -> bool:
    """Tell whether a pickle may refer to a module that is sent by value."""
    global _pattern
    if not _held:
        return False
    names = frozenset(_held)
    if _pattern[0] != names:
        alternatives = b"|".join(re.escape(name.encode()) for name in sorted(names))
        # Pickle writes a short text as \x8c, its length in one byte, and the text.
        _pattern = (names, re.compile(rb"\x8c.(?:" + alternatives + rb")[.\x94]", re.DOTALL))
    return _pattern[1] is not None and _pattern[1].search(data) is not None


def resolve(owner: object, qualname: str) -> Any:
    """Return what a qualified name, such as `Class.method`, stands for in a module or class.

    >>> import json
    >>> resolve(json, "JSONDecoder.decode").__name__
    'decode'

    Raises:
        AttributeError: a part of the name does not exist.
    """
    return functools.reduce(getattr, qualname.split("."), owner)


def find(module: str, qualname: str) -> Callable[..., Any]:
    """Return the function of a task by its name, in a process that has its module."""
    item = resolve(importlib.import_module(module), qualname)
    function: Callable[..., Any] = getattr(item, "fn", item)
    return function
