"""Values as bytes and back, also those whose classes live in a script or in a module that workers lack."""

from __future__ import annotations

import io
import pickle
import re
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TO_RESOLVE = re.compile(rb"_make_skeleton_|lightwork\.")
_MOVED = {
    "lightwork.artifacts": "lightwork.store.artifacts",
    "lightwork.discovery": "lightwork.functions.discovery",
    "lightwork.engine.fleet": "lightwork.cluster.fleet",
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
    "lightwork.run": "lightwork.runs.run",
    "lightwork.segments": "lightwork.store.segments",
    "lightwork.session": "lightwork.runs.session",
    "lightwork.store": "lightwork.store.results",
    "lightwork.tasks": "lightwork.runs.tasks",
    "lightwork.tasks._named": "lightwork.functions.decorated",
    "lightwork.tenants.types": "lightwork.tenants.fields",
    "lightwork.workflows": "lightwork.kube.status",
}
"""Where modules, and names of them, went after 0.1.0: results that it kept name the old ones."""
_held: dict[str, int] = {}
_held_lock = threading.Lock()
_pattern: tuple[frozenset[str], re.Pattern[bytes] | None] = (frozenset(), None)


def dump(value: Any) -> bytes:
    """Pickle a value: by the standard pickle where that is enough, else by cloudpickle."""
    try:
        data = pickle.dumps(value, protocol=5)
        if b"__main__" not in data and not _names_one_held(data):
            return data
    except Exception:  # noqa: BLE001, S110 - cloudpickle knows more types, and its error is the clearer one
        pass
    import cloudpickle

    return bytes(cloudpickle.dumps(value, protocol=5))


def load(data: bytes | memoryview) -> Any:
    """Unpickle what `dump` gave; a class that was sent by value is the living one, where there is one.

    So a result from the lake is an instance of the very class that the script defines, and an enum's member
    is the script's own, although another process pickled it. What names a module of lightwork by an old path
    finds it at the new one.
    """
    if _TO_RESOLVE.search(data) is None:
        return pickle.loads(data)
    return _Loader(io.BytesIO(data)).load()


class _Loader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._living: set[int] = set()

    def find_class(self, module: str, name: str) -> Any:
        home = _MOVED.get(f"{module}.{name}") or _MOVED.get(module, module)
        found = super().find_class(home, name)
        if not module.startswith("cloudpickle"):
            return found
        if name == "_make_skeleton_class":
            return lambda *args: self._alive(args[3].get("__module__"), args[1]) or found(*args)
        if name == "_make_skeleton_enum":
            return lambda *args: self._alive(args[4], args[2]) or found(*args)
        if name == "_class_setstate":
            return lambda made, state: made if id(made) in self._living else found(made, state)
        return found

    def _alive(self, module: str | None, name: str) -> type | None:
        """The class of this name in a loaded module."""
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or found.__module__ != module or found.__qualname__ != name:
            return None
        self._living.add(id(found))
        return found


# Modules that the workers of a remote scheduler may lack are sent by value, as a script's own code is.


def own_packages() -> set[str]:
    """The top-level modules loaded here whose source is neither installed nor Python's own."""
    from lightwork.functions.origin import module_kind

    found = set()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in found or top in ("__main__", "__mp_main__", "lightwork") or top in sys.stdlib_module_names:
            continue
        if name == top and module is not None and getattr(module, "__spec__", None) is not None:
            try:
                if module_kind(module) == "source":
                    found.add(top)
            except Exception:  # noqa: BLE001, S112 - an odd stand-in for a module is not ours to send
                continue
    return found


def hold(names: set[str]) -> None:
    """Send these modules by value until they are released as often."""
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
    """Send no module by value in here."""
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
    """Whether this module, or a package that it is in, is sent by value."""
    return bool(_held) and module.partition(".")[0] in _held


def _names_one_held(data: bytes) -> bool:
    """Whether a pickle may name something of a module that is sent by value."""
    global _pattern
    if not _held:
        return False
    names = frozenset(_held)
    if _pattern[0] != names:
        either = b"|".join(re.escape(name.encode()) for name in sorted(names))
        # A short text as pickle writes it (its length in a byte), up to its end or a dot.
        _pattern = (names, re.compile(rb"\x8c.(?:" + either + rb")[.\x94]", re.DOTALL))
    return _pattern[1] is not None and _pattern[1].search(data) is not None


def find(module: str, qualname: str) -> Callable[..., Any]:
    """The function of the task of this name, in a process that has its module."""
    import importlib

    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = getattr(found, "fn", found)
    return function
