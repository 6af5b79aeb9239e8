"""The calls by which the provider makes each type of resource, in the terms of botocore's models.

A type without an entry is an error, and so is an input that its entry does not read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Call:
    """A call of AWS: the service as botocore names it, the operation, and its parameters."""

    service: str
    operation: str
    parameters: dict[str, Value]


class Given:
    """The inputs of a resource. It knows which of them nobody has read."""

    def __init__(self, inputs: Mapping[str, Value]) -> None:
        self._inputs, self._unread = inputs, set(inputs)

    def __call__(self, name: str) -> Value:
        self._unread.discard(name)
        return self._inputs.get(name)

    def named(self, *names: str) -> dict[str, Value]:
        """Return inputs under their own names."""
        return {name: self(name) for name in names}

    def pascal(self, *names: str) -> dict[str, Value]:
        """Return inputs, and their members, as AWS's older services write their names."""
        return {pascal(name): upper(self(name)) for name in names}

    def skip(self, *names: str) -> None:
        """Read inputs that only the provider itself uses."""
        self._unread.difference_update(names)

    @property
    def unread(self) -> set[str]:
        """The inputs that have not been read."""
        return self._unread


Calls: TypeAlias = Iterator[Call]
PARTS = (
    "network_calls",
    "cluster_calls",
    "identity_calls",
    "storage_calls",
    "service_calls",
    "page_calls",
)
"""The modules with the entries."""
ENTRIES: dict[str, Callable[[Given], Calls]] = {}
"""The calls of each type."""


def calls(type_: str, inputs: Mapping[str, Value]) -> list[Call]:
    """Return the calls that make a resource.

    Raises:
        AssertionError: the type has no entry, or an input is not in any of its calls.
    """
    for part in PARTS:
        importlib.import_module(f"tests.infra.models.{part}")
    assert type_ in ENTRIES, f"{type_}: add its create operation to tests/infra/models/calls.py"
    given = Given(inputs)
    made = [
        Call(call.service, call.operation, _without_none(call.parameters)) for call in ENTRIES[type_](given)
    ]
    assert not given.unread, (
        f"{type_}: {sorted(given.unread)} are in no call; add them to tests/infra/models/calls.py"
    )
    return made


def entry(type_: str) -> Callable[[Callable[[Given], Calls]], Callable[[Given], Calls]]:
    """Register the calls of a type."""

    def register(function: Callable[[Given], Calls]) -> Callable[[Given], Calls]:
        ENTRIES[type_] = function
        return function

    return register


def pascal(name: str) -> str:
    """Return a name with its first letter in upper case."""
    return name[:1].upper() + name[1:]


def upper(value: Value) -> Value:
    """Return a value with the names of all members as AWS's older services write them."""
    if isinstance(value, Mapping):
        return {pascal(name): upper(item) for name, item in value.items()}
    return [upper(item) for item in value] if isinstance(value, list) else value


def tags(given: Given) -> list[dict[str, str]]:
    """Return the tags as a list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in (given("tags") or {}).items()]


def tagged(given: Given, kind: str) -> list[dict[str, Value]]:
    """Return the tags of a new resource in EC2's form."""
    return [{"ResourceType": kind, "Tags": tags(given)}]


def _without_none(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
