"""Discovery of pipelines through the entry point group `lightwork.pipelines`.

Each entry point names a package. Its modules and sub-packages are imported, and every pipeline that they
define is available under its name. A new module needs no reinstall.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, near, one_line
from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

GROUP = installed.GROUP
_SKIPPED = re.compile(r"_|test_|conftest|tests$")


@dataclass(slots=True)
class Scan:
    """The result of a scan.

    Attributes:
        pipelines: the pipelines by name.
        broken: for each module that could not be imported, the reason in one line.
    """

    pipelines: dict[str, Pipeline[..., Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def pipelines() -> Mapping[str, Pipeline[..., Any]]:
    """Return all pipelines by name, sorted.

    Raises:
        InputError: two pipelines have the same name.
    """
    return scan().pipelines


def broken() -> Mapping[str, str]:
    """Return the modules that could not be imported, each with the reason in one line."""
    return scan().broken


def find(name: str) -> Pipeline[..., Any]:
    """Return the pipeline of this name.

    Raises:
        InputError: there is none; the message names modules that could not be imported.
    """
    result = scan()
    if name in result.pipelines:
        return result.pipelines[name]
    module_name = name.replace("-", "_")
    for module, reason in result.broken.items():
        if module_name in module.split("."):
            raise InputError(f"pipeline {name!r}: its module {module} cannot be imported: {reason}")
    if not result.pipelines and not result.broken:
        raise InputError(
            f"there is no pipeline {name!r}: no installed package names its pipelines in the entry point"
            f" group {GROUP!r}; install one, for example with `pip install --editable FOLDER`"
        )
    hint = f" (not imported: {', '.join(result.broken)})" if result.broken else ""
    raise InputError(f"there is no pipeline {name!r}{near(name, result.pipelines)}{hint}")


def named(name: str) -> Pipeline[..., Any] | None:
    """Return the pipeline of this name if the module of the same name defines it, without a full scan.

    This is faster than `find`, which also knows pipelines in modules of other names.
    """
    module_name = name.replace("-", "_")
    for package in packages():
        parent = _import(package, {})
        if parent is None or module_name not in _members(parent):
            continue
        for module in _modules(f"{package}.{module_name}", {}):
            for value in vars(module).values():
                if isinstance(value, Pipeline) and value.name == name:
                    return value
    return None


def tasks(pipeline: Pipeline[..., Any]) -> dict[str, TaskFunction[..., Any]]:
    """Return the tasks in a pipeline's module, imported ones included, and in its folder, by short name."""
    modules = [importlib.import_module(pipeline.module)]
    if (parent := pipeline.module.rpartition(".")[0]) and parent not in packages():
        names = _members(importlib.import_module(parent))
        modules += [module for name in names if (module := _import(f"{parent}.{name}", {})) is not None]
    by_name: dict[str, TaskFunction[..., Any]] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, TaskFunction):
                by_name.setdefault(value.__name__, value)
    return dict(sorted(by_name.items()))


def packages() -> list[str]:
    """Return the packages that the entry points name, sorted."""
    return sorted({point.value for point in importlib.metadata.entry_points(group=GROUP)})


@functools.cache
def scan() -> Scan:
    """Import all modules of the packages and collect their pipelines, once in a process.

    Raises:
        InputError: two pipelines have the same name.
    """
    result = Scan()
    importlib.invalidate_caches()
    for package in packages():
        for module in _modules(package, result.broken):
            for value in vars(module).values():
                if isinstance(value, Pipeline) and f"{value.module}.".startswith(f"{package}."):
                    _add(result.pipelines, value)
    result.pipelines = dict(sorted(result.pipelines.items()))
    return result


def _add(by_name: dict[str, Pipeline[..., Any]], new: Pipeline[..., Any]) -> None:
    old = by_name.setdefault(new.name, new)
    if old is not new:
        raise InputError(
            f"two pipelines are named {new.name!r}: {_where(old)} and {_where(new)}; rename one of them"
        )


def _where(pipeline: Pipeline[..., Any]) -> str:
    return f"{pipeline.module}.{pipeline.fn.__name__}"


def _modules(name: str, problems: dict[str, str]) -> Iterator[ModuleType]:
    """Import a module and all modules inside it; record in `problems` those that fail."""
    module = _import(name, problems)
    if module is None:
        return
    yield module
    for member in _members(module):
        yield from _modules(f"{name}.{member}", problems)


def _members(package: ModuleType) -> list[str]:
    return members(map(Path, getattr(package, "__path__", ())))


def members(folders: Iterable[Path]) -> list[str]:
    """Return the modules directly inside a package, including folders of modules without an `__init__.py`.

    Args:
        folders: the folders of the package.
    """
    names: set[str] = set()
    for folder in folders:
        names |= {info.name for info in pkgutil.iter_modules([str(folder)])}
        if folder.is_dir():
            names |= {item.name for item in folder.iterdir() if item.is_dir() and any(item.glob("*.py"))}
    return [name for name in sorted(names) if name.isidentifier() and not _SKIPPED.match(name)]


def _import(name: str, problems: dict[str, str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (one broken module must not hide the others)
        problems[name] = _reason(error)
        return None


def _reason(error: BaseException) -> str:
    """Return what was raised, and where, in one line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    text = one_line(f"{type(error).__name__}: {error}")
    if isinstance(error, SyntaxError) or len(frames) < 2:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
