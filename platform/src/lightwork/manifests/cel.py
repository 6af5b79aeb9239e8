"""Expressions of admission policies, in CEL: pieces that the policies about people share. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def rule(expression: str, message: str, found: str = "") -> dict[str, str]:
    """Return a validation.

    Args:
        expression: what must be true.
        message: why it is refused.
        found: an expression of a text that follows the message.
    """
    rule = {"expression": expression, "message": message}
    if found:
        rule["messageExpression"] = f"{text(message + ': ')} + {found}"
    return rule


def text(value: str) -> str:
    """Return a text as a literal of CEL."""
    return json.dumps(value, ensure_ascii=False)


def names(values: Iterable[str]) -> str:
    """Return texts as a list of CEL."""
    return f"[{', '.join(map(text, values))}]"


def others(mapping: str, allowed: Iterable[str]) -> str:
    """Return an expression of the keys of a mapping that are not allowed, as one text."""
    return f"{mapping}.filter(key, !(key in {names(allowed)})).join(', ')"


def only(mapping: str, allowed: Iterable[str]) -> str:
    """Return an expression of whether a mapping has allowed keys only."""
    return f"{mapping}.all(key, key in {names(allowed)})"


def or_empty(owner: str, field: str, empty: str) -> str:
    """Return an expression of a field, or of what stands for it if it is missing."""
    return f"has({owner}.{field}) ? {owner}.{field} : {empty}"


def same(new: str, old: str, but: str) -> str:
    """Return an expression of whether two mappings are the same, but for some keys."""
    return (
        f"{new}.all(key, {but} || (key in {old} && {new}[key] == {old}[key]))"
        f" && {old}.all(key, {but} || key in {new})"
    )


def unchanged(field: str, new: str, old: str) -> str:
    """Return an expression of whether a field is the same in two objects, or missing in both."""
    return (
        f"has({new}.{field}) == has({old}.{field}) && (!has({new}.{field}) || {new}.{field} == {old}.{field})"
    )


def unchanged_owners() -> str:
    """Return an expression of whether finalizers and owners of an object stay as they were."""
    new, old = "object.metadata", "oldObject.metadata"
    return " && ".join(
        f"({or_empty(new, field, '[]')}) == ({or_empty(old, field, '[]')})"
        for field in ("finalizers", "ownerReferences")
    )
