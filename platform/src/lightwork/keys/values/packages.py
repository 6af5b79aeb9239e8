"""Data files of one's own packages, which count if code that is reached can find them.

Code finds the files beside it by `__file__`, `__path__`, `__spec__` and the like, by `importlib.resources` or
`pkgutil.get_data`, and by paths that were made of these. Which of them it reads is not followed: all files of
the top-level package count that are not code; for a module outside any package those directly in its folder.
Files and folders around these count if the code names them in a text.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.functions.origins.compiled import file_digest, root_of
from lightwork.functions.origins.installed import is_packages_folder
from lightwork.functions.origins.origin import (
    ENV_FIRST_PARTY,
    Distribution,
    distribution_of,
    file_of,
    kind_of_import,
    locate,
    module_kind,
    module_name,
)
from lightwork.keys.components import Unkeyable
from lightwork.keys.values.canonical import encode, finish_parts, sequence, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lightwork.keys.source.reads import Chain, Import, Reads

MOST_FILES = 10_000
MOST_BYTES = 256 * 2**20
PLAIN = frozenset({int, str, float, bool, bytes})
LARGE = 16 * 2**20
"""A larger file counts by its size and modification time."""

_TOO_MANY = (
    "the data {shown} (over 10,000 files or 256 MiB in {path}, and code that finds its own folder may read"
    " any of them; pass the file as a pathlib.Path, or give the task a version=)"
)
_ABOVE = 3
_SOURCES = frozenset({"src", "lib", "python"})
_LONGEST = 200
# Names by which code finds its own folder, or the files in it.
_MARKS = frozenset(
    {
        "__file__",
        "__path__",
        "__spec__",
        "__loader__",
        "__package__",
        "__cached__",
        "co_filename",
        "submodule_search_locations",
        "getfile",
        "getsourcefile",
        "getabsfile",
        "find_spec",
        "PackageLoader",
        "resource_filename",
        "resource_stream",
        "resource_string",
        "resource_listdir",
    }
)
_RESOURCES = ("importlib.resources", "importlib_resources", "pkg_resources")
_PKGUTIL = frozenset({"get_data", "get_loader", "find_loader"})
_CODE = frozenset({".py", ".pyc", ".pyo", ".pyi", ".pyx", ".pxd"})
_MODULES = tuple(suffix for suffix in EXTENSION_SUFFIXES if suffix.count(".") > 1)
# What tools keep beside code, which no code reads as its data.
_KEPT = frozenset(
    {
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".lightwork",
        ".venv",
        ".tox",
        ".nox",
        ".idea",
        ".vscode",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".ipynb_checkpoints",
        "node_modules",
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module of one's own lies.

    Attributes:
        name: the top-level package, or the module itself if it is in no package.
        root: the folder that contains it.
        folder: the package's folder; None for a module in no package.
    """

    name: str
    root: Path
    folder: Path | None


@dataclass(slots=True)
class _Found:
    """What the code of one function or class may read.

    Attributes:
        places: packages with their data.
        folders: folders that its values lead to.
        by_resources: whether it uses `importlib.resources` or the like.
    """

    places: set[Place] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    by_resources: bool = False


def data_read(codes: Iterable[CodeType], reads: Reads, scope: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return the data files that code can find, as names and encodings of their content.

    Args:
        codes: the compiled code.
        reads: the names that it reads.
        scope: the globals of its module.

    Raises:
        Unkeyable: there are too many of them.
    """
    names, texts = _written(codes)
    home = place_of(str(scope.get("__name__", "")), scope.get("__file__"))
    found = _Found(by_resources=any(_imports_resources(item) for item in reads.imports))
    for chain in reads.globals:
        _follow(chain, scope, home, found)
    if not (found.by_resources or found.folders) and _MARKS.isdisjoint(names | texts):
        return []
    bases = set(found.folders)
    if home is not None:
        found.places.add(home)
        bases |= _around(home, str(scope["__file__"]))
    texts |= set(_texts(reads.globals, scope))
    found.places |= {place for name in texts if (place := _named_place(name, found)) is not None}
    return list(_data(found, bases, texts))


# By identity, as in `units`.
_known: dict[int, tuple[CodeType, set[str], set[str]]] = {}
_MANY = 20_000


def _written(codes: Iterable[CodeType]) -> tuple[set[str], set[str]]:
    """Return the names and the texts in code, and in the code inside it."""
    names: set[str] = set()
    texts: set[str] = set()
    for code in codes:
        if id(code) not in _known:
            if len(_known) > _MANY:
                _known.clear()
            _known[id(code)] = (code, *_written_in(code))
        _, some_names, some_texts = _known[id(code)]
        names |= some_names
        texts |= some_texts
    return names, texts


def _written_in(code: CodeType) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    texts: set[str] = set()
    waiting: list[Any] = [code]
    while waiting:
        item = waiting.pop()
        if isinstance(item, CodeType):
            names.update(item.co_names)
            waiting.extend(item.co_consts)
        elif isinstance(item, (tuple, frozenset)):
            waiting.extend(item)
        elif isinstance(item, str):
            texts.add(item)
    return names, texts


def _texts(chains: Iterable[Chain], scope: Mapping[str, Any]) -> Iterator[str]:
    for chain in chains:
        if type(value := scope.get(chain[0])) is str:
            yield value


def _follow(chain: Chain, scope: Mapping[str, Any], home: Place | None, found: _Found) -> None:
    """Record the packages and folders that a chain of names leads to."""
    value: Any = scope.get(chain[0])
    for depth in range(1, len(chain) + 1):
        if is_resource(value):
            found.by_resources = True
            return
        if not isinstance(value, ModuleType):
            break
        following = chain[depth] if depth < len(chain) else None
        if (following is None or following in _MARKS) and module_kind(value) == "source":
            place = place_of(value.__name__, file_of(value))
            found.places |= {place} if place else set()
        value = vars(value).get(following) if following else None
    if isinstance(value, (str, Path)) and (folder := _folder_of_code(value, home)) is not None:
        found.folders.add(folder)


def is_resource(value: object) -> bool:
    """Tell whether a value is a module or function that reads data files of packages."""
    if isinstance(value, ModuleType):
        return value.__name__.startswith(_RESOURCES)
    home = getattr(value, "__module__", None) if isinstance(value, (FunctionType, type)) else None
    if not isinstance(home, str):
        return False
    return home.startswith(_RESOURCES) or (home == "pkgutil" and getattr(value, "__name__", "") in _PKGUTIL)


def _imports_resources(item: Import) -> bool:
    inner = item.module.partition(".")[0] if item.attribute == "." else item.module
    path = ".".join(part for part in (inner, item.attribute.strip("."), *item.chain) if part)
    if path.startswith(_RESOURCES) or item.module.startswith(_RESOURCES):
        return True
    return path.startswith("pkgutil.") and path.split(".")[1] in _PKGUTIL


def library_of(module: str) -> Distribution:
    """Return what a module counts as that counts as a whole.

    Raises:
        Unkeyable: it is compiled, and its file is no longer the one that this process loaded.
    """
    return checked(distribution_of(module))


def checked(distribution: Distribution) -> Distribution:
    """Return the same, if it can have a key.

    Raises:
        Unkeyable: it is compiled, and its file is no longer the one that this process loaded.
    """
    if distribution.replaced:
        raise Unkeyable(
            f"the compiled module {distribution.name} (its file was replaced after this process loaded it:"
            " start the program again)"
        )
    return distribution


# Places


def place_of(name: str, file: object) -> Place | None:
    """Return where a module of one's own lies, by its name and file; None if it has no file."""
    if not isinstance(file, str) or not file or file.startswith("<"):
        return None
    return _place(module_name(name), file)


@functools.cache
def _place(name: str, file: str) -> Place | None:
    path = Path(file).absolute()
    top = name.partition(".")[0]
    if path.is_dir():  # a namespace package
        folder = path.parents[name.count(".") - 1] if "." in name else path
        return Place(top, folder.parent.resolve(), folder.resolve())
    root = root_of(name, path).resolve()
    inside = "." in name or path.name.partition(".")[0] == "__init__"
    return Place(top, root, root / top if inside else None)


def places() -> tuple[Place, ...]:
    """Return where the loaded modules of one's own lie, by their top-level packages."""
    global _loaded
    modules = list(sys.modules.items())
    files = [getattr(module, "__file__", None) for name, module in modules if "." not in name]
    key = (len(modules), files, os.environ.get(ENV_FIRST_PARTY, ""))
    if _loaded[0] != key:
        found = {*_places(modules)}
        _loaded = (key, tuple(sorted(found, key=lambda place: (str(place.root), place.name))))
    return _loaded[1]


_loaded: tuple[Any, tuple[Place, ...]] = (None, ())


def _places(loaded: list[tuple[str, ModuleType]]) -> Iterator[Place]:
    namespaces = {name for name, module in loaded if getattr(module, "__file__", None) is None}
    for name, module in loaded:
        top, _, inner = name.partition(".")
        file = getattr(module, "__file__", None)
        if (inner and top not in namespaces) or top in sys.stdlib_module_names or not isinstance(file, str):
            continue
        try:
            is_own = top not in {"__main__", "__mp_main__"} and module_kind(module) == "source"
        except (OSError, ValueError, AttributeError):
            continue  # an odd stand-in for a module
        if is_own and (place := place_of(name, file)) is not None:
            yield place


def package_around(path: Path) -> Place | None:
    """Return the own package whose folder contains a path, or is it."""
    around = [place for place in places() if place.folder is not None and path.is_relative_to(place.folder)]
    return max(around, key=lambda place: len(place.root.parts), default=None)


def _folder_of_code(value: str | Path, home: Place | None) -> Path | None:
    """Return the folder that a path or a URL of a file names, if own code lies directly in it or below it."""
    written = str(value)
    is_url = not written.startswith("/") and ":///" in written
    if not (written.startswith("/") or is_url):
        return None
    path = Path(os.path.realpath("/" + written.partition(":///")[2].lstrip("/") if is_url else written))
    if is_url or path.suffix in _CODE:
        path = path if path.is_dir() else path.parent
    if len(path.parts) < 2 or not path.is_dir():
        return None
    for place in {*places(), *([home] if home else [])}:
        folder = place.folder or place.root
        inside = path.is_relative_to(folder) and (is_url or _holds_code(path))
        if inside or folder.is_relative_to(path):
            return path
    return None


# Content


def _data(found: _Found, bases: set[Path], texts: set[str]) -> Iterator[tuple[str, bytes]]:
    for folder in found.folders:
        if (package := package_around(folder)) is not None:
            found.places.add(package)
        else:
            # Without its name: it may be the folder of the source tree, which may be anywhere.
            yield "around the code", files_token(folder, f"in {folder}", deep=False)
    for place in found.places:
        yield place.name, place_data(place)
    whole = [place.folder for place in found.places if place.folder is not None]
    targets = {target for base in bases for name in texts if (target := _target(base, name)) is not None}
    for target in targets:
        if not any(target.is_relative_to(folder) for folder in whole):
            yield target.name, files_token(target, f"in {target}")


def _around(place: Place, file: str) -> set[Path]:
    """Return the folders from a module's up to its project's, in which its code may name files."""
    here = Path(file).resolve().parent
    folders = [folder for folder in (here, *here.parents) if folder.is_relative_to(place.root)]
    folders.append(place.root)
    if not is_packages_folder(place.root):
        above = list(place.root.parents[:_ABOVE])
        projects = [depth for depth, folder in enumerate(above, 1) if _is_project(folder)]
        folders += above[: max(projects, default=1 if place.root.name in _SOURCES else 0)]
    return set(folders)


def _is_project(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("pyproject.toml", "setup.py", ".git"))


def _named_place(name: str, found: _Found) -> Place | None:
    """Return the place of the own module or package that a text names; None if it names none."""
    if len(name) > _LONGEST or not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        home, file = locate(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if not file or (Path(file).is_dir() and not found.by_resources) or kind_of_import(name) != "source":
        return None
    return place_of(home, file)


def _target(base: Path, name: str) -> Path | None:
    """Return the existing file or folder that a text names below a folder; of a longer path its folder."""
    relative = name.strip(os.sep)
    if not relative or len(relative) > _LONGEST or "\0" in relative or "\n" in relative:
        return None
    for candidate in (relative, relative.rpartition(os.sep)[0]):
        if not candidate.strip("./"):
            continue
        path = Path(os.path.normpath(base / candidate))
        try:
            if path.exists() and path.suffix not in _CODE:
                return path
        except OSError:
            continue
    return None


def place_data(place: Place) -> bytes:
    """Encode the data files of a package, or those in the folder of a module outside any package.

    Raises:
        Unkeyable: there are too many of them.
    """
    if place.folder is None:
        return files_token(place.root, f"beside the module {place.name}", deep=False)
    return files_token(place.folder, f"of the package {place.name}")


def files_token(path: Path, shown: str, *, deep: bool = True) -> bytes:
    """Encode a data file, or all data files below a folder, or directly in it.

    Raises:
        Unkeyable: there are over MOST_FILES, or over MOST_BYTES in files that are not LARGE.
    """
    entries: list[tuple[str, bytes]] = []
    total = 0
    for name, file in [("", path)] if path.is_file() else _files(path, deep=deep):
        try:
            status = file.stat()
            small = status.st_size <= LARGE
            total += status.st_size if small else 0
            if len(entries) >= MOST_FILES or total > MOST_BYTES:
                raise Unkeyable(_TOO_MANY.format(shown=shown, path=path))
            times = (status.st_size, status.st_mtime_ns)
            data = encode(file_digest(file)) if small else sequence(b"t", times)
        except OSError:
            data = b"N"  # a broken link, or a file that was deleted a moment ago
        entries.append((name, data))
    parts = (text(name) + data for name, data in sorted(entries))
    return finish_parts(b"data%d:" % len(entries), parts)


def _files(folder: Path, *, deep: bool) -> Iterator[tuple[str, Path]]:
    """Yield the data files below a folder, through links too, by their relative names."""
    waiting = [("", folder)]
    seen: set[Path] = set()
    while waiting:
        prefix, current = waiting.pop()
        real = current.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            listing = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in listing:
            if entry.name in _KEPT:
                continue
            name = f"{prefix}{entry.name}"
            if entry.is_dir():
                if deep:
                    waiting.append((f"{name}/", current / entry.name))
            elif not is_code_file(entry.name):
                yield name, current / entry.name


def is_code_file(name: str) -> bool:
    """Tell whether a file is code, which counts by what is reached."""
    return Path(name).suffix in _CODE or name.endswith(_MODULES)


def data_behind(path: Path, package: Place) -> bytes | None:
    """Encode the data of a package if a path in it leads to code or to a folder with code; else None.

    Raises:
        Unkeyable: there are too many files.
    """
    leads = path == package.folder or _holds_code(path) if path.is_dir() else is_code_file(path.name)
    return place_data(package) if leads else None


def _holds_code(folder: Path) -> bool:
    return any(item.suffix == ".py" for item in folder.iterdir())
