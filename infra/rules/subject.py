"""The description of a resource that rules are given, and functions to search it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.config.stack import StackName

Path = tuple["str | int", ...]


class Unknown:
    """A value that is not known before the deployment. Rules ignore it until it is known."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A resource to check.

    Attributes:
        type: its Pulumi type, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
        inputs: its inputs in Pulumi's spelling (`forceDestroy`), with `UNKNOWN` for values not known yet.
        stack: its stack.
        default_tags: the tags that its provider adds to every resource.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    stack: StackName
    default_tags: Mapping[str, Any] = field(default_factory=dict)


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield a value and all values nested in it, each with its path."""
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for position, item in enumerate(value):
            yield from walk(item, (*path, position))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def undecided(value: Any) -> bool:
    """Return whether a value, or one nested in it, is not known yet."""
    return any(item is UNKNOWN for _, item in walk(value))


def listed(value: Any) -> list[Any]:
    """Return a list as it is, a single value as a list of one, and None as an empty list."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def statements(subject: Subject) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of all policy documents in an AWS resource, whether JSON texts or mappings."""
    if not subject.type.startswith("aws:"):
        return
    for _, value in walk(subject.inputs):
        document = value
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                document = json.loads(value)
            except ValueError:
                continue
        if isinstance(document, Mapping) and "Statement" in document:
            yield from (entry for entry in listed(document["Statement"]) if isinstance(entry, Mapping))


def everybody(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement applies to every principal, or to all but some."""
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    values = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in listed(value) for value in values)
