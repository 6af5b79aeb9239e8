"""Whether the lake has the result of a call, and how it is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.engine.calls import kept
from lightwork.errors import InputError
from lightwork.keys import Unkeyable, call_key
from lightwork.store import segments
from lightwork.store.results import MISSING, results_folder

if TYPE_CHECKING:
    from lightwork.engine.runner import Runner
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey


def is_cached(
    runner: Runner, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Return whether the lake has the result of a call.

    Raises:
        InputError: the arguments do not fit the function.
    """
    found = _key(runner, task, args, kwargs, "is_cached")
    return found is not None and _find(runner, task, *found) is not MISSING


def forget(
    runner: Runner, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Forget the result of a call: `MISSING` takes its place; return whether there was one.

    Raises:
        InputError: the arguments do not fit the function, or have no key.
    """
    found = _key(runner, task, args, kwargs, "forget")
    if found is None:
        raise InputError(f"{task.name}.forget: this call has no key under which a result could be kept")
    code, key = found
    if _find(runner, task, code, key) is MISSING:
        return False
    results = runner.results_of(task, code, newest=True)
    results.commit(key, segments.to_blocks([MISSING]), results.next_generation())
    results.refresh()
    return True


def forget_all(runner: Runner, task: TaskFunction[..., Any]) -> int:
    """Delete all results of a task; return the number of files deleted."""
    runner.commit_calls()
    paths = [entry.path for entry in runner.lake.entries(f"{results_folder(task.name)}/")]
    runner.lake.delete(paths)
    runner.forget_results(task)
    return len(paths)


def _key(
    runner: Runner, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], method: str
) -> tuple[CodeKey, bytes] | None:
    try:
        task.check_arguments(args, kwargs)
    except TypeError as error:
        where = f"{task.name}.{method}"
        raise InputError(f"{where}: {error}; the function is {task.__name__}{task.signature}") from None
    code = runner.code_of(task)
    if code is None:
        return None
    try:
        key = call_key(task.fn, code, args, kwargs, task.options.ignore)
    except Unkeyable:
        return None
    return None if key is None else (code, key)


def _find(runner: Runner, task: TaskFunction[..., Any], code: CodeKey, key: bytes) -> Any:
    """Return what the lake has now."""
    runner.commit_calls()
    runner.results_of(task, code, newest=True)
    return kept(runner, task, code, key)
