"""The origin of code: the standard library, an installed distribution, or the user's own source."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
import sysconfig
from dataclasses import dataclass
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

Kind = Literal["stdlib", "distribution", "source"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution; its key is made of `identity`."""

    name: str
    version: str
    identity: str


def module_name(name: str) -> str:
    """Return the name under which others import a module; for `python -m package.module` not `__main__`."""
    if name == "__main__":
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        return spec.name.removesuffix(".__main__") if spec else name
    return name


def file_of(module: ModuleType) -> str | None:
    """Return the module's file, or the folder of a package without one."""
    file = getattr(module, "__file__", None)
    if file:
        return str(file)
    return next((str(folder) for folder in getattr(module, "__path__", ())), None)


@dataclass(frozen=True, slots=True)
class Home:
    """A module's file, and the folder that contains its top-level package."""

    file: Path
    root: Path


@functools.cache
def _home(name: str, file: str) -> Home:
    levels = name.count(".") + (1 if Path(file).name == "__init__.py" else 0)
    path = Path(file).resolve()
    return Home(path, path.parents[levels])


def home_of(name: str) -> Home | None:
    """Return the location of a module; None if it has no file."""
    module = sys.modules.get(name)
    file = None if module is None else getattr(module, "__file__", None)
    return _home(module_name(name), file) if file else None


def module_kind(module: ModuleType) -> Kind:
    """Return the origin of a module."""
    return _kind(module.__name__, file_of(module))


def kind_of_name(name: str | None) -> Kind:
    """Return the origin of a module by its name."""
    if not name:
        return "source"
    module = sys.modules.get(name)
    if module is None:
        # The invented names of exec'd code have no module.
        return "source" if _top(name) not in sys.stdlib_module_names else "stdlib"
    return module_kind(module)


def kind_of_function(fn: FunctionType) -> Kind:
    """Return the origin of a function's code, regardless of decorators."""
    name = fn.__globals__.get("__name__")
    if fn.__code__.co_filename.startswith("<") and name == "builtins":
        return "source"
    return kind_of_name(name)


@functools.cache
def _kind(name: str, file: str | None) -> Kind:
    if _top(name) == "lightwork":
        return "distribution"
    if file is None:
        if name == "__main__":
            return "source"
        return "stdlib" if _top(name) in sys.stdlib_module_names else "source"
    path = Path(file)
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return "distribution"
    if any(path.is_relative_to(folder) for folder in _standard_folders()):
        return "stdlib"
    if any(path.is_relative_to(folder) for folder in _installed_folders()):
        return "distribution"
    return "source" if path.suffix in {".py", ".pyc", ""} or path.is_dir() else "distribution"


@functools.cache
def _standard_folders() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset(str(Path(paths[key]).resolve()) for key in ("stdlib", "platstdlib")) | frozenset(
        paths[key] for key in ("stdlib", "platstdlib")
    )


@functools.cache
def _installed_folders() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset(paths[key] for key in ("purelib", "platlib"))


def holder_of(value: object, names: str = "") -> str:
    """Return the module that holds an object under its name, as pickle finds it; empty if none does.

    Ufuncs and objects of compiled modules often do not name their module, or name another one.

    Args:
        value: the object.
        names: its name with dots, if it is not its `__qualname__` or `__name__`.
    """
    owner = getattr(value, "__objclass__", None)
    if isinstance(owner, type):
        return holder_of(owner)
    names = names or str(getattr(value, "__qualname__", None) or getattr(value, "__name__", ""))
    scope = getattr(value, "__self__", None)
    for home in (
        getattr(value, "__module__", None),
        getattr(scope, "__name__", None),
        type(value).__module__,
    ):
        if isinstance(home, str) and _leads(home, names, value):
            return home
    entry = _HOLDERS.get(id(value))
    if entry is None or not _leads(entry[1], names, value):
        homes = [name for name in _modules() if _leads(name, names, value)]
        entry = (value, min(homes, key=_rank, default=""))
        if entry[1]:
            _HOLDERS[id(value)] = entry
    return entry[1]


# Objects without a module of their own, by identity; each is kept, so that its identity stays its own.
_HOLDERS: dict[int, tuple[object, str]] = {}


def _modules() -> list[str]:
    return [name for name in list(sys.modules) if kind_of_name(name) == "distribution"]


def _rank(name: str) -> tuple[bool, str]:
    """Rank the compiled module that makes an object before the modules that only import it."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return (not file.endswith(tuple(EXTENSION_SUFFIXES)), name)


def _leads(home: str, names: str, value: object) -> bool:
    """Tell whether a name, looked up in a loaded module, leads to the value; nothing is imported."""
    target: object = sys.modules.get(home)
    for name in names.split("."):  # in `__dict__`, as `getattr` might load a module's names
        scope = getattr(target, "__dict__", {})
        if name not in scope:
            return False
        target = scope[name]
    return target is value


def _top(name: str) -> str:
    return name.partition(".")[0]


def distribution_of(name: str) -> Distribution:
    """Return the distribution that a third-party module belongs to."""
    module = sys.modules.get(name) or sys.modules.get(_top(name))
    return _distribution(_top(name), None if module is None else file_of(module))


@functools.cache
def _distribution(top: str, file: str | None) -> Distribution:
    installed = _installed(top, file)
    if installed is not None:
        name, version = installed
        return Distribution(name, version, version)
    stated = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(stated, str):
        return Distribution(top, stated, stated)
    digest = blake2b(digest_size=16)
    if file and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    return Distribution(top, "without a version", digest.hexdigest())


def _installed(top: str, file: str | None) -> tuple[str, str] | None:
    """Return name and version of the distribution that has the module; its own name, tried first, is fast."""
    try:
        distribution = importlib.metadata.distribution(top)
        if top == "lightwork" or _has(distribution, top):
            return distribution.metadata["Name"], distribution.version
    except importlib.metadata.PackageNotFoundError:
        pass
    names = sorted(set(importlib.metadata.packages_distributions().get(top, ())))
    candidates = [importlib.metadata.distribution(name) for name in names]
    if len(candidates) > 1 and file:
        candidates = [d for d in candidates if _lists(d, file)] or candidates
    if not candidates:
        return None
    return "+".join(d.metadata["Name"] for d in candidates), "+".join(d.version for d in candidates)


def _has(distribution: importlib.metadata.Distribution, top: str) -> bool:
    record = distribution.read_text("RECORD") or ""
    return f"\n{top}/" in f"\n{record}" or f"\n{top}.py" in f"\n{record}"


def _lists(distribution: importlib.metadata.Distribution, file: str) -> bool:
    return any(Path(str(distribution.locate_file(path))) == Path(file) for path in distribution.files or ())
