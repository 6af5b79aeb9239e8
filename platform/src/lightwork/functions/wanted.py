"""The tasks that a pipeline's code names, and what they ask for: resources of workers, limits of the run."""

from __future__ import annotations

import contextlib
import types
from typing import TYPE_CHECKING, Any

from lightwork.functions.decorated import TaskFunction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.functions.decorated import Pipeline


def resources(pipeline: Pipeline[..., Any]) -> dict[str, Mapping[str, float]]:
    """Return what tasks of a pipeline ask of workers: numbers by the names of resources, by task."""
    wanted = {name: task.options.resources for name, task in tasks(pipeline).items()}
    return {name: item for name, item in wanted.items() if item}


def limits(pipeline: Pipeline[..., Any]) -> dict[str, str]:
    """Return the names of the limits that tasks of a pipeline wait for, by task."""
    wanted = {name: task.options.limit for name, task in tasks(pipeline).items()}
    return {name: item for name, item in wanted.items() if item}


def tasks(pipeline: Pipeline[..., Any]) -> dict[str, TaskFunction[..., Any]]:
    """Return the tasks that a pipeline's code names, and functions and tasks named there, by short name.

    Options of one call site (`with_options`), and tasks that are found otherwise, are known in a run only.
    """
    package = pipeline.module.partition(".")[0]
    seen: set[int] = set()
    found: dict[str, TaskFunction[..., Any]] = {}
    left: list[Any] = [pipeline.fn]
    while left:
        item = left.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, TaskFunction):
            found.setdefault(item.__name__, item)
            left.append(item.fn)
        elif _is_of(package, item):
            left += _named(item)
    return dict(sorted(found.items()))


def _is_of(package: str, item: Any) -> bool:
    """Return whether an item is a function or a class of a package."""
    kinds = (types.FunctionType, types.MethodType, type)
    return isinstance(item, kinds) and str(item.__module__).partition(".")[0] == package


def _named(item: Any) -> Iterator[Any]:
    """Yield what the code of a function names, or what a class has."""
    if isinstance(item, type):
        yield from vars(item).values()
        return
    function = getattr(item, "__func__", item)
    names = list(_names(function.__code__))
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # nothing is bound yet
            yield from _with_attributes(cell.cell_contents, names)
    for name in names:
        yield from _with_attributes(function.__globals__.get(name), names)


def _with_attributes(value: Any, names: list[str]) -> Iterator[Any]:
    """Yield a value; of a module, what it has under some names."""
    if isinstance(value, types.ModuleType):
        yield from (vars(value)[name] for name in names if name in vars(value))
    else:
        yield value


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes in code, and in functions that it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
