"""Say where a value contains itself, once encoding it did not come to an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.keys.unkeyable import Unkeyable

if TYPE_CHECKING:
    from collections.abc import Iterator


def cycle(value: object) -> Unkeyable:
    """The error for a value that contains itself, or that is nested too deeply."""
    path: dict[int, str] = {id(value): ""}
    stack: list[tuple[object, Iterator[tuple[str, Any]]]] = [(value, _children(value))]
    finished: set[int] = set()
    while stack:
        holder, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            finished.add(id(holder))
            del path[id(holder)]
        elif id(child[1]) in path:
            return Unkeyable("a structure that contains itself", path[id(holder)] + child[0])
        elif id(child[1]) not in finished:
            path[id(child[1])] = path[id(holder)] + child[0]
            stack.append((child[1], _children(child[1])))
    return Unkeyable("a structure that is nested too deeply")


def _children(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]" if isinstance(key, (str, int, float)) else "[…]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield "{…}", item
    else:
        for name, item in getattr(value, "__dict__", {}).items():
            yield f".{name}", item
