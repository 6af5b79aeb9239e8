"""The key of a task's code."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from lightwork.functions.origin import home_of, module_name
from lightwork.keys import classify
from lightwork.keys.components import CodeKey, Component
from lightwork.keys.objects import CODE_HOOKS, forget_own_types
from lightwork.keys.values import STATE, Scope, pack, text
from lightwork.keys.walk import Walk, digest_of


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
        version: replaces the code: the key then depends on it and on the function's name alone.

    Raises:
        Unkeyable: the code reads a value without a stable key; the message says which, and what to do.
    """
    task = classify.task_function(fn)
    if isinstance(task, classify.Versioned):
        version = task.version if version is None else version
        task = fn.fn
    forget_own_types()
    if version is None:
        return analyse(task, root=True)
    home = getattr(task, "__module__", "")
    name = f"{module_name(home)}.{classify.qualname(task)}".replace("<locals>.", "")
    data = pack(b"version", text(name), text(version))
    return CodeKey(digest_of(data), (Component("version", name, digest_of(text(version))),))


def analyse(item: Any, *, root: bool = False) -> CodeKey:
    """Return the key of a function, class or other callable; with `root` without its parameters' defaults."""
    walk = Walk()
    walk.home = home_of(classify.home_name(item))
    before, STATE.walk = STATE.walk, walk
    try:
        with Scope():
            token = walk.token(item, root=root)
            walk.run()
    finally:
        STATE.walk = before
    components = tuple(sorted(walk.components))
    state = blake2b(token, digest_size=16)
    for component in components:
        state.update(text(component.kind) + text(component.name) + bytes.fromhex(component.digest))
    return CodeKey(state.hexdigest(), components)


def _code_digest(item: Any) -> str:
    return analyse(item).digest


CODE_HOOKS.digest = _code_digest
