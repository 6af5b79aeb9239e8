"""A small IAM policy evaluator for the tests; unknown operators are errors."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def decide(
    documents: list[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Mapping[str, str | list[str]],
    *,
    principal: Mapping[str, str] | None = None,
) -> bool:
    """Tell whether a request is allowed: at least one statement allows it, and none denies it.

    Args:
        documents: all policies that apply.
        action: the requested action.
        resource: the resource of the request.
        context: the request's condition keys; a list for a key with several values.
        principal: the caller, such as `{"Service": "..."}`, for documents that name principals.
    """
    effects = {
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if _any(statement["Action"], action, lower=True)
        and _any(statement.get("Resource", "*"), resource)
        and _principal(statement.get("Principal"), principal)
        and all(
            _holds(operator, key, wanted, context)
            for operator, pairs in statement.get("Condition", {}).items()
            for key, wanted in pairs.items()
        )
    }
    return "Allow" in effects and "Deny" not in effects


def within(
    boundary: Mapping[str, Any],
    grants: list[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Mapping[str, str | list[str]],
) -> bool:
    """Tell whether a role may do something: both its grants and its boundary allow it."""
    return decide([boundary], action, resource, context) and decide(grants, action, resource, context)


def _principal(named: Any, caller: Mapping[str, str] | None) -> bool:
    if named is None or named == "*" or caller is None:
        return True
    return any(kind in caller and _any(names, caller[kind]) for kind, names in named.items())


def _any(patterns: str | list[str], value: str, *, lower: bool = False) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(
        _like(pattern.lower(), value.lower()) if lower else _like(pattern, value) for pattern in patterns
    )


def _like(pattern: str, value: str) -> bool:
    """Match IAM's wildcards: `*` is any text, `?` any one character."""
    return pattern == value or _expression(pattern).fullmatch(value) is not None


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _holds(operator: str, key: str, wanted: str | list[str], context: Mapping[str, str | list[str]]) -> bool:
    values = [str(value) for value in wanted] if isinstance(wanted, list) else [str(wanted)]
    base = operator.removeprefix("ForAnyValue:").removeprefix("ForAllValues:").removesuffix("IfExists")
    actual = context.get(key)
    if base == "Null":
        return (actual is None) == (values == ["true"])
    if operator.startswith(("ForAnyValue:", "ForAllValues:")):
        several = [] if actual is None else [actual] if isinstance(actual, str) else actual
        matched = (_compare(base, value, values) for value in several)
        return any(matched) if operator.startswith("ForAnyValue:") else all(matched)
    if actual is None:
        # For a key that the request lacks, negated operators hold and the others do not.
        return operator != base or base.startswith(("StringNot", "ArnNot"))
    assert isinstance(actual, str), f"{key} has several values: {operator} needs a single one"
    return _compare(base, actual, values)


def _compare(operator: str, actual: str, values: list[str]) -> bool:
    match operator:
        case "Bool" | "StringEquals":
            return actual in values
        case "StringNotEquals":
            return actual not in values
        case "StringLike" | "ArnLike" | "ArnEquals":
            return any(_like(value, actual) for value in values)
        case "ArnNotEquals":
            return not any(_like(value, actual) for value in values)
        case "NumericLessThan":
            return all(float(actual) < float(value) for value in values)
    raise AssertionError(f"unknown operator {operator}")
