"""What differs between the records of two runs: parameters, code, versions, elements, results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

COMPARED = ("pipeline", "status", "parameters", "code_keys", "git_commit", "versions", "elements", "result")
"""The fields of a record that are compared, in the order in which they are shown."""
LACKING = object()
"""In place of a value that one of the two runs does not have."""
_LONGEST = 300
"""Characters of a value that are shown."""


class Difference(NamedTuple):
    """A value that differs: its path in the record, joined by dots, and what each run has there."""

    field: str
    first: Any
    second: Any


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two records."""
    one, other = (_flat({key: record.get(key) for key in COMPARED}) for record in (first, second))
    names = sorted({*one, *other}, key=lambda name: (COMPARED.index(name.partition(".")[0]), name))
    pairs = [Difference(name, one.get(name, LACKING), other.get(name, LACKING)) for name in names]
    return [pair for pair in pairs if pair.first != pair.second]


def _flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return the values inside mappings by their path, joined by dots; a list is one value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{start}{key}.")
        else:
            found[f"{start}{key}"] = value
    return found


def text(value: Any) -> str:
    """Return a value as it is shown: only the start of a long one, nothing for one that a run lacks."""
    if value is LACKING:
        return ""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
