"""The key of a task's code."""

from __future__ import annotations

import functools
import types
from hashlib import blake2b
from typing import Any

from lightwork.functions.callables import name_of
from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins.origin import home_of
from lightwork.keys.components import CodeKey, Component
from lightwork.keys.reached.named import held_by, held_by_function
from lightwork.keys.reached.walk import Walk, digest_of
from lightwork.keys.source import classify
from lightwork.keys.values.canonical import STATE, Scope, pack, text
from lightwork.keys.values.objects import CODE_HOOKS, forget_own_types


def code_key(fn: Any, *, version: str | None = None) -> CodeKey:
    """Return the key of a task's code: of its function and of all the user's code that it reaches.

    The key depends on helpers, on the globals and captured values that are read, and on the versions of the
    distributions that are used. It does not depend on comments, docstrings, line numbers or folders. Defaults
    of the function's own parameters do not count here: they are part of a call's key, as arguments.

    >>> scale = 2
    >>> def scaled(x):
    ...     return scale * x
    >>> before = code_key(scaled)
    >>> scale = 3
    >>> code_key(scaled) == before
    False

    Args:
        fn: the function, or the task.
        version: replaces the code: the key then depends on it, on the function's name, and on the values
            that the function has captured.

    Raises:
        Unkeyable: the code reads a value without a stable key; the message says which, and what to do.
    """
    task = fn if isinstance(fn, TaskFunction) else None
    called = fn.fn if isinstance(fn, (TaskFunction, Pipeline)) else fn
    if version is None and task is not None:
        version = task.options.version
    forget_own_types()
    if version is None:
        return analyse(called, root=True, task=task)
    name = name_of(called) if task is None else task.name
    held = held_by_function(called) if task is None else held_by(task)
    components = [Component("version", name, digest_of(text(version)))]
    if held:
        components.append(Component("captured", name, digest_of(pack(b"h", *held))))
    return CodeKey(digest_of(pack(b"version", text(name), text(version), *held)), tuple(sorted(components)))


def analyse(item: Any, *, root: bool = False, task: TaskFunction[Any, Any] | None = None) -> CodeKey:
    """Return the key of a function, class or other callable.

    Args:
        item: the callable.
        root: leave out the defaults of its parameters.
        task: the task that calls it, whose `ignore` may name what it holds.
    """
    walk = Walk()
    walk.home = home_of(classify.home_name(_inside(item)))
    before, STATE.walk = STATE.walk, walk
    try:
        with Scope():
            token = _token(walk, item, task) if root else walk.token(item)
            walk.run()
    finally:
        STATE.walk = before
    components = tuple(sorted(walk.components))
    state = blake2b(token, digest_size=16)
    for component in components:
        state.update(text(component.kind) + text(component.name) + bytes.fromhex(component.digest))
    return CodeKey(state.hexdigest(), components)


def _inside(item: Any) -> Any:
    while type(item) is functools.partial:
        item = item.func
    return item


def _token(walk: Walk, item: Any, task: TaskFunction[Any, Any] | None) -> bytes:
    """Encode what a task calls; the defaults of the function inside are arguments of each call."""
    ignored = () if task is None else task.options.ignore
    if isinstance(item, (TaskFunction, Pipeline)) and not isinstance(
        classify.task_function(item), classify.Versioned
    ):
        return _token(walk, item.fn, task)
    if type(item) is functools.partial:
        keywords = {key: value for key, value in item.keywords.items() if key not in ignored}
        return pack(b"P", _token(walk, item.func, None), walk.token(item.args), walk.token(keywords))
    if type(item) is types.MethodType:
        ignores = task is not None and task.instance_ignored
        owner = type(item.__self__) if ignores else item.__self__
        return pack(b"k", walk.token(owner), _token(walk, item.__func__, None))
    return walk.token(item, root=True)


def _code_digest(item: Any) -> str:
    return analyse(item).digest


CODE_HOOKS.digest = _code_digest
