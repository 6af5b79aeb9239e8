"""What a rule is told of a resource, and how it finds its way in it."""

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
    """A value that only AWS will say. No rule judges it; it is judged when it is known."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One resource, as it is asked for.

    Attributes:
        type: its Pulumi type, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
        inputs: what it is made from, in Pulumi's spelling (`forceDestroy`); `UNKNOWN` where nobody knows yet.
        stack: the stack it is in.
        default_tags: the tags that its provider puts on whatever it makes.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    stack: StackName
    default_tags: Mapping[str, Any] = field(default_factory=dict)


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value within a value, itself first, behind the way to it."""
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for position, item in enumerate(value):
            yield from walk(item, (*path, position))


def listed(value: Any) -> list[Any]:
    """What may be written alone or as a list, as a list; nothing, as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def statements(subject: Subject) -> Iterator[Mapping[str, Any]]:
    """The statements of every policy document that is anywhere in an AWS resource, as a text or a mapping."""
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
            yield from (one for one in listed(document["Statement"]) if isinstance(one, Mapping))


def everybody(statement: Mapping[str, Any]) -> bool:
    """Whether a statement speaks of anybody at all, or of all but some."""
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    values = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in listed(value) for value in values)
