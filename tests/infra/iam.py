"""Just enough of IAM's evaluation to judge a request; what it does not know is an error."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def decide(
    documents: list[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    """Whether a request is allowed: some statement allows it, and none denies it."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if _any(statement["Action"], action.lower(), lower=True)
        and _any(statement["Resource"], resource)
        and all(
            _holds(operator, key, str(wanted), context)
            for operator, pairs in statement.get("Condition", {}).items()
            for key, wanted in pairs.items()
        )
    }
    return "Allow" in effects and "Deny" not in effects


def _any(patterns: str | list[str], value: str, *, lower: bool = False) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(value, pattern.lower() if lower else pattern) for pattern in patterns)


def _holds(operator: str, key: str, wanted: str, context: Mapping[str, str]) -> bool:
    base = operator.removesuffix("IfExists")
    found = context.get(key)
    if base == "Null":
        return (found is None) == (wanted == "true")
    if found is None:
        # A negated operator holds for a key that the request does not have; the others do not.
        return operator != base or base.startswith(("StringNot", "ArnNot"))
    match base:
        case "Bool" | "StringEquals":
            return found == wanted
        case "StringNotEquals" | "ArnNotEquals":
            return found != wanted
        case "NumericLessThan":
            return float(found) < float(wanted)
    raise AssertionError(f"the evaluator does not know {operator}")
