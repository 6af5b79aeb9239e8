"""The key of a task's code."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from lightwork.functions.origin import home_of, module_name
from lightwork.keys import classify
from lightwork.keys.components import CodeKey, Component
from lightwork.keys.objects import CODE_HOOKS
from lightwork.keys.values import STATE, Scope, pack, text
from lightwork.keys.walk import Walk, digest_of


def code_key(fn: Any, *, version: str | None = None) -> CodeKey:
    """The key of a task's code: of its function and of all of one's own code that it reaches.

    Comments, docstrings, line numbers and folders do not change it; an edit of a helper does, and so do the
    values of globals and closures that are read, and the versions of the distributions that are used. The
    defaults of the function's own parameters do not count here: they reach a call's key as arguments.

    Args:
        fn: the function, or the task.
        version: if given, the key is of the function's name and this alone; nothing is looked at.

    Raises:
        Unkeyable: the code reads something that has no stable key; the text says what, and what to do.
    """
    task = classify.task_function(fn)
    if isinstance(task, classify.Versioned):
        version = task.version if version is None else version
        task = fn.fn
    if version is None:
        return analyse(task, root=True)
    home = getattr(task, "__module__", "")
    name = f"{module_name(home)}.{classify.qualname(task)}".replace("<locals>.", "")
    data = pack(b"version", text(name), text(version))
    return CodeKey(digest_of(data), (Component("version", name, digest_of(text(version))),))


def analyse(item: Any, *, root: bool = False) -> CodeKey:
    """The key of a function, class or anything callable; as `root` without its parameters' defaults."""
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
