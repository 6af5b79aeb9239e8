"""Just enough of IAM's evaluation to judge a request; what it does not know is an error."""

from __future__ import annotations

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
    """Whether a request is allowed: some statement allows it, and none denies it.

    Args:
        documents: all the policies that have a say.
        action: what is asked for.
        resource: of what.
        context: what else is known of the request; a list where a key has several values.
        principal: who asks, `{"Service": "..."}` and the like, for documents that name principals.
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
    """Whether a role may do it: it is granted, and its boundary has it as well."""
    return decide([boundary], action, resource, context) and decide(grants, action, resource, context)


def _principal(named: Any, asking: Mapping[str, str] | None) -> bool:
    if named is None or named == "*" or asking is None:
        return True
    return any(kind in asking and _any(names, asking[kind]) for kind, names in named.items())


def _any(patterns: str | list[str], value: str, *, lower: bool = False) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(
        _like(pattern.lower(), value.lower()) if lower else _like(pattern, value) for pattern in patterns
    )


def _like(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` is anything, `?` any one character; nothing else is special."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _holds(operator: str, key: str, wanted: str | list[str], context: Mapping[str, str | list[str]]) -> bool:
    values = [str(value) for value in wanted] if isinstance(wanted, list) else [str(wanted)]
    base = operator.removeprefix("ForAnyValue:").removesuffix("IfExists")
    found = context.get(key)
    if base == "Null":
        return (found is None) == (values == ["true"])
    if operator.startswith("ForAnyValue:"):
        several = [] if found is None else [found] if isinstance(found, str) else found
        return any(_compare(base, value, values) for value in several)
    if found is None:
        # A negated operator holds for a key that the request does not have; the others do not.
        return operator != base or base.startswith(("StringNot", "ArnNot"))
    assert isinstance(found, str), f"{key} has several values: {operator} is not for it"
    return _compare(base, found, values)


def _compare(operator: str, found: str, values: list[str]) -> bool:
    match operator:
        case "Bool" | "StringEquals":
            return found in values
        case "StringNotEquals":
            return found not in values
        case "StringLike" | "ArnLike" | "ArnEquals":
            return any(_like(value, found) for value in values)
        case "ArnNotEquals":
            return not any(_like(value, found) for value in values)
        case "NumericLessThan":
            return all(float(found) < float(value) for value in values)
    raise AssertionError(f"the evaluator does not know {operator}")
