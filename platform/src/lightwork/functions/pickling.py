"""Pickling of values, including those whose classes live in a script or in a module that workers lack."""

from __future__ import annotations

import functools
import io
import pickle
import re
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightwork.functions import mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    "lightwork.keys.origin": "lightwork.functions.origin",
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
    "lightwork.session": "lightwork.runs.session",
    "lightwork.store": "lightwork.store.results",
    "lightwork.tasks": "lightwork.runs.tasks",
    "lightwork.tasks._named": "lightwork.functions.decorated",
    "lightwork.tenants.dag": "lightwork.tenants.graph",
    "lightwork.tenants.types": "lightwork.tenants.fields",
    "lightwork.workflows": "lightwork.kube.status",
}
"""Where modules, and names in them, moved after 0.1.0; results kept by it use the old names."""
_held: dict[str, int] = {}
_held_lock = threading.Lock()
_pattern: tuple[frozenset[str], re.Pattern[bytes] | None] = (frozenset(), None)


def dump(value: Any) -> bytes:
    """Pickle a value, with cloudpickle only if the standard pickle is not enough."""
    try:
        data = _dumped(value, pickle.dumps)
        if b"__main__" not in data and not _mentions_held(data):
            return data
    except Exception:  # noqa: BLE001, S110 - cloudpickle knows more types, and its error is clearer
        pass
    import cloudpickle

    return _dumped(value, cloudpickle.dumps)


def _dumped(value: Any, dumps: Callable[..., bytes]) -> bytes:
    return mapped.dump_writable(value, dumps) if mapped.USED else dumps(value, protocol=5)


def dump_apart(value: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle a value as `dump` does, without its large buffers.

    Returns:
        The pickle, and the buffers, which are those of the value itself, not copies.
    """
    try:
        data, views = mapped.dump_apart(value, pickle.dumps)
        if b"__main__" not in data and not _mentions_held(data):
            return data, views
    except Exception:  # noqa: BLE001, S110 - cloudpickle knows more types, and its error is clearer
        pass
    import cloudpickle

    return mapped.dump_apart(value, cloudpickle.dumps)


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
    """Return the names of loaded top-level modules that are neither installed nor part of Python."""
    from lightwork.functions.origin import module_kind

    packages = set()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if (
            top in packages
            or top in ("__main__", "__mp_main__", "lightwork")
            or top in sys.stdlib_module_names
        ):
            continue
        if name == top and module is not None and getattr(module, "__spec__", None) is not None:
            try:
                if module_kind(module) == "source":
                    packages.add(top)
            except Exception:  # noqa: BLE001, S112 - an odd stand-in for a module is not sent
                continue
    return packages


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
    return bool(_held) and module.partition(".")[0] in _held


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
    import importlib

    item = resolve(importlib.import_module(module), qualname)
    function: Callable[..., Any] = getattr(item, "fn", item)
    return function
