"""Finding pipelines: installed packages name themselves in the entry point group `lightwork.pipelines`.

Each entry point's value is a package; its modules and sub-packages are imported, and every pipeline
that they define is offered under its name. A new module needs no reinstall.
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

from lightwork.errors import InputError, near
from lightwork.functions.decorated import Pipeline, TaskFunction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

GROUP = "lightwork.pipelines"
_SKIPPED = re.compile(r"_|test_|conftest|tests$")


@dataclass(slots=True)
class Found:
    """What a scan found: pipelines by name, and why modules could not be imported, by module."""

    pipelines: dict[str, Pipeline[..., Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def pipelines() -> Mapping[str, Pipeline[..., Any]]:
    """All pipelines by name, sorted.

    Raises:
        InputError: two pipelines have the same name.
    """
    return scan().pipelines


def broken() -> Mapping[str, str]:
    """The modules that could not be imported, each with its reason in one line."""
    return scan().broken


def find(name: str) -> Pipeline[..., Any]:
    """The pipeline of this name.

    Raises:
        InputError: there is none; says so if that may be because a module could not be imported.
    """
    found = scan()
    if name in found.pipelines:
        return found.pipelines[name]
    wanted = name.replace("-", "_")
    for module, reason in found.broken.items():
        if wanted in module.split("."):
            raise InputError(f"pipeline {name!r}: its module {module} cannot be imported: {reason}")
    if not found.pipelines and not found.broken:
        raise InputError(
            f"there is no pipeline {name!r}: no installed package names its pipelines in the entry point"
            f" group {GROUP!r}; install one, for example with `pip install --editable FOLDER`"
        )
    hint = f" (not imported: {', '.join(found.broken)})" if found.broken else ""
    raise InputError(f"there is no pipeline {name!r}{near(name, found.pipelines)}{hint}")


def named(name: str) -> Pipeline[..., Any] | None:
    """The pipeline of this name, if the module that is called like it has it; nothing else is imported.

    For who wants an answer at once: `find` also knows pipelines that live in a module of another name.
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
    """The tasks that a pipeline can reach by name, under their short names.

    These are the ones in its own module, imported ones included, and in the modules of its folder.
    """
    import_name = pipeline.module
    modules = [importlib.import_module(import_name)]
    if (parent := import_name.rpartition(".")[0]) and parent not in packages():
        names = _members(importlib.import_module(parent))
        modules += [module for name in names if (module := _import(f"{parent}.{name}", {})) is not None]
    found: dict[str, TaskFunction[..., Any]] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, TaskFunction):
                found.setdefault(value.fn.__name__, value)
    return dict(sorted(found.items()))


def packages() -> list[str]:
    """The names of the packages that the entry points give, sorted."""
    return sorted({point.value for point in importlib.metadata.entry_points(group=GROUP)})


@functools.cache
def scan() -> Found:
    """Import everything and collect the pipelines; once in a process (`scan.cache_clear()` forgets it).

    Raises:
        InputError: two pipelines have the same name.
    """
    found = Found()
    importlib.invalidate_caches()
    for package in packages():
        for module in _modules(package, found.broken):
            for value in vars(module).values():
                if isinstance(value, Pipeline) and f"{value.module}.".startswith(f"{package}."):
                    _add(found.pipelines, value)
    found.pipelines = dict(sorted(found.pipelines.items()))
    return found


def _add(known: dict[str, Pipeline[..., Any]], new: Pipeline[..., Any]) -> None:
    old = known.setdefault(new.name, new)
    if old is not new:
        raise InputError(
            f"two pipelines are named {new.name!r}: {_where(old)} and {_where(new)}; rename one of them"
        )


def _where(pipeline: Pipeline[..., Any]) -> str:
    return f"{pipeline.module}.{pipeline.fn.__name__}"


def _modules(name: str, problems: dict[str, str]) -> Iterator[ModuleType]:
    """A module and all those inside it, each imported; the ones that cannot be are noted as problems."""
    module = _import(name, problems)
    if module is None:
        return
    yield module
    for member in _members(module):
        yield from _modules(f"{name}.{member}", problems)


def _members(package: ModuleType) -> list[str]:
    """The modules directly inside a package, also folders of modules without an `__init__.py`."""
    folders = [str(folder) for folder in getattr(package, "__path__", ())]
    names = {info.name for info in pkgutil.iter_modules(folders)}
    for folder in map(Path, folders):
        if folder.is_dir():
            names |= {item.name for item in folder.iterdir() if item.is_dir() and any(item.glob("*.py"))}
    return [name for name in sorted(names) if name.isidentifier() and not _SKIPPED.match(name)]


def _import(name: str, problems: dict[str, str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a module raises, the others go on)
        problems[name] = _reason(error)
        return None


def _reason(error: BaseException) -> str:
    """What was raised and where, in one line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError) or len(frames) < 2:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
