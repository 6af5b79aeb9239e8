"""The origin of code: the standard library, an installed distribution, or the user's own source."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from dataclasses import dataclass
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Literal

from lightwork.errors import InputError
from lightwork.functions.origins.compiled import compiled, is_compiled, root_of
from lightwork.functions.origins.installed import is_packages_folder, owner_of, pipeline_packages
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["stdlib", "distribution", "source"]
"""Whose code a module is. `source` is the user's own, which is followed function by function. `distribution`
is code that counts as a whole: by the version of its distribution, or, if it is the user's own but compiled,
by the hash of its file."""

ENV_FIRST_PARTY = "LIGHTWORK_FIRST_PARTY"
"""Modules and packages that are the user's own however they are installed, separated by commas."""

_DESCRIPTORS = (MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a module counts as if it counts as a whole.

    Attributes:
        name: of the distribution, or of a compiled module of one's own.
        version: its version.
        identity: what its key is made of.
        is_compiled: whether it is a compiled module of one's own.
        modules: the user's Python modules that the compiled module names.
        replaced: whether the compiled module's file is no longer the one that this process loaded.
    """

    name: str
    version: str
    identity: str
    is_compiled: bool = False
    modules: tuple[str, ...] = ()
    replaced: bool = False


def first_party() -> frozenset[str]:
    """Return the modules and packages that LIGHTWORK_FIRST_PARTY names.

    Raises:
        InputError: one of them is not a module's name.
    """
    return _first_party(os.environ.get(ENV_FIRST_PARTY, ""))


@functools.cache
def _first_party(text: str) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            likely = name.replace("-", "_")
            hint = f"; did you mean {likely!r}?" if likely.isidentifier() else ""
            raise InputError(
                f"{ENV_FIRST_PARTY}: {name!r} is not a module's name; expected names as in `import`,"
                f" separated by commas, for example our_lib,our_models{hint}"
            )
    return frozenset(names)


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
    path = Path(file).absolute()
    root = root_of(name, path)
    real = root.resolve()  # of the folder, as installers may link single files to a cache
    return Home(real / path.relative_to(root), real)


def home_of(name: str) -> Home | None:
    """Return the location of a module; None if it has no file."""
    module = sys.modules.get(name)
    file = None if module is None else getattr(module, "__file__", None)
    return _home(module_name(name), file) if file else None


def loaded_name(module: ModuleType) -> str:
    """Return the name under which a module was loaded; compiled ones may call themselves otherwise."""
    spec = getattr(module, "__spec__", None)
    name = spec.name if isinstance(spec, ModuleSpec) else module.__name__
    return name if sys.modules.get(name) is module else module.__name__


def module_kind(module: ModuleType) -> Kind:
    """Return the origin of a module."""
    return _kind(module.__name__, file_of(module), os.environ.get(ENV_FIRST_PARTY, ""))


def kind_of_name(name: str | None) -> Kind:
    """Return the origin of a module by its name."""
    if not name:
        return "source"
    module = sys.modules.get(name)
    if module is None:
        # The invented names of exec'd code have no module.
        return "source" if _top(name) not in sys.stdlib_module_names else "stdlib"
    return module_kind(module)


def kind_of_import(name: str) -> Kind:
    """Return the origin of a module without importing it.

    Raises:
        ModuleNotFoundError: the top-level module does not exist.
    """
    home, file = locate(name)
    return _kind(home, file, os.environ.get(ENV_FIRST_PARTY, ""))


def locate(name: str, *, inside: bool = False) -> tuple[str, str | None]:
    """Return the name and file of a module, or of the first package around it that has a file.

    Args:
        name: the module's name.
        inside: look in packages that have a file too.

    Raises:
        ModuleNotFoundError: the top-level module does not exist.
    """
    parts = name.split(".")
    file: str | None = None
    folders: list[str] = []
    for depth in range(1, len(parts) + 1):
        inner = ".".join(parts[:depth])
        if (module := sys.modules.get(inner)) is not None:
            file, folders = file_of(module), list(getattr(module, "__path__", ()))
            has_file = bool(getattr(module, "__file__", None))
        else:
            spec = importlib.util.find_spec(inner) if depth == 1 else PathFinder.find_spec(inner, folders)
            if spec is None and depth == 1:
                raise ModuleNotFoundError(inner)
            if spec is None:  # a name in the package around it
                return ".".join(parts[: depth - 1]), file
            file, folders = _file_in(spec), list(spec.submodule_search_locations or ())
            has_file = spec.has_location
        if (has_file and not inside) or not folders:
            return inner, file
    return name, file


def _file_in(spec: ModuleSpec) -> str | None:
    if spec.has_location:
        return spec.origin
    return next(iter(spec.submodule_search_locations or ()), None)


def kind_of_function(fn: FunctionType) -> Kind:
    """Return the origin of a function's code, regardless of decorators."""
    name = fn.__globals__.get("__name__")
    if fn.__code__.co_filename.startswith("<") and name == "builtins":
        return "source"
    return kind_of_name(name)


@functools.cache
def _kind(name: str, file: str | None, chosen: str) -> Kind:
    name = module_name(name)
    if _top(name) == "lightwork":
        return "distribution"
    if file is None:
        own = name == "__main__" or _top(name) not in sys.stdlib_module_names
        return "source" if own else "stdlib"
    path = Path(file).absolute()
    # What is chosen is looked for last, as it takes a look at every distribution.
    if not _is_standard(path):
        if path.is_dir():
            return "source"  # a namespace package: the modules in it may be anybody's
        if not _is_own(name, path) and not _is_chosen(name, chosen):
            return "distribution"
    elif _top(name) in sys.stdlib_module_names or not _is_chosen(name, chosen):
        return "stdlib"
    return "distribution" if is_compiled(path.name) else "source"


def _is_own(name: str, path: Path) -> bool:
    owner = owner_of(path, root_of(name, path))
    return owner is None or owner.own


def _is_chosen(name: str, chosen: str) -> bool:
    names = _first_party(chosen) | pipeline_packages()
    return any(name == own or name.startswith(f"{own}.") for own in names)


def _is_standard(path: Path) -> bool:
    for folder in _standard_folders():
        if path.is_relative_to(folder):
            return not is_packages_folder(folder / path.relative_to(folder).parts[0])
    return False


@functools.cache
def _standard_folders() -> frozenset[Path]:
    folders = [Path(sysconfig.get_paths()[key]) for key in ("stdlib", "platstdlib")]
    return frozenset(folders) | frozenset(folder.resolve() for folder in folders)


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
    stated = ""
    for home in (
        getattr(value, "__module__", None),
        getattr(scope, "__name__", None),
        type(value).__module__,
    ):
        if isinstance(home, str) and _leads(home, names, value):
            if kind_of_name(home) == "source" and is_compiled_object(value):
                stated = home  # it only passes on what a compiled module holds
                continue
            return home
    entry = _HOLDERS.get(id(value))
    if entry is None or not _leads(entry[1], names, value):
        homes = [name for name in _modules() if _leads(name, names, value)]
        entry = (value, min(homes, key=_rank, default=""))
        if entry[1]:
            _HOLDERS[id(value)] = entry
    return entry[1] or stated


def is_compiled_object(value: object) -> bool:
    """Tell whether a class, or what has a value as its instance, was not written in Python."""
    if isinstance(value, (FunctionType, ModuleType)):
        return False
    cls = value if isinstance(value, type) else type(value)
    for attribute in vars(cls).values():
        if isinstance(attribute, _DESCRIPTORS) and attribute.__objclass__ is cls:
            return True
        if isinstance(attribute, BuiltinFunctionType) and attribute.__self__ is cls:
            return True
    return False


def libraries_of(value: object) -> list[str]:
    """Return the modules that count as a whole and hold a compiled object; one, unless that is unknown.

    A class or function of a compiled module may name any other module or none, and need not be exported. If
    no module holds it, the compiled modules of the package that it names count, or else all of one's own.
    """
    home = holder_of(value) or getattr(value, "__module__", None)
    if isinstance(home, str) and (kind := kind_of_name(home)) != "source":
        return [home] if kind == "distribution" else []
    is_bare = isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, type)
    return _compiled_near(value, home or "") if home or is_bare else []


def _compiled_near(value: object, home: str) -> list[str]:
    if not is_compiled_object(value):
        return []
    names = [name for name in _modules() if _compiled_file(name) is not None]
    holding = [name for name in names if any(value is held for held in _held_in(sys.modules[name]))]
    inside = [name for name in names if _top(name) == _top(home)]
    alike = [name for name in names if name.rpartition(".")[2] == home.rpartition(".")[2]]
    return sorted(holding or inside or alike or names)


def _held_in(module: ModuleType) -> Iterator[object]:
    """Yield what a module holds, and what its classes hold."""
    for item in list(vars(module).values()):
        yield item
        if isinstance(item, type):
            for inner in list(vars(item).values()):
                yield getattr(inner, "__func__", inner)


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
    """Return the distribution that a third-party module belongs to, or the compiled module of one's own.

    Raises:
        OSError: the file of a compiled module cannot be read.
    """
    file = _compiled_file(name)
    if file is not None:
        part = compiled(module_name(name), file)
        return Distribution(
            name,
            f"compiled {part.identity[:8]}",
            part.identity,
            is_compiled=True,
            modules=part.modules,
            replaced=part.replaced,
        )
    module = sys.modules.get(name)
    if module is None:
        try:
            return _distribution(_top(name), locate(name)[1])
        except (ImportError, ValueError):
            return _distribution(_top(name), None)
    return _distribution(_top(name), file_of(module))


def _compiled_file(name: str) -> Path | None:
    """Return the file of a module if it is compiled and the user's own."""
    module = sys.modules.get(name)
    if module is not None:
        file = file_of(module)
    else:
        try:
            home, file = locate(name, inside=True)
        except (ImportError, ValueError):
            return None
        if home != name:
            return None
    if not file or not is_compiled(file):
        return None
    return _own_file(name, file, os.environ.get(ENV_FIRST_PARTY, ""))


@functools.cache
def _own_file(name: str, file: str, chosen: str) -> Path | None:
    path = Path(file).absolute()
    if _top(name) == "lightwork" or (_is_standard(path) and not _is_chosen(name, chosen)):
        return None
    return path if _is_chosen(name, chosen) or _is_own(name, path) else None


@functools.cache
def _distribution(top: str, file: str | None) -> Distribution:
    if top == "lightwork":
        return _lightwork()
    path = None if file is None else Path(file).absolute()
    owner = None if path is None else owner_of(path, root_of(top, path))
    if owner is not None:
        return Distribution(owner.name, owner.version, owner.version)
    stated = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(stated, str):
        return Distribution(top, stated, stated)
    digest = blake2b(digest_size=16)
    if file and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    return Distribution(top, "without a version", digest.hexdigest())


def _lightwork() -> Distribution:
    try:
        installed = importlib.metadata.distribution("lightwork")
        return Distribution(installed.metadata["Name"], installed.version, installed.version)
    except importlib.metadata.PackageNotFoundError:
        return Distribution("lightwork", __version__, __version__)
