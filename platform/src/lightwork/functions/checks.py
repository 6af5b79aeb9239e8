"""Checks of the options of `task`, `pipeline` and `connect`: a wrong one is refused in one line."""

from __future__ import annotations

import math
import numbers
import os
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightwork.errors import InputError, one_line


@dataclass(frozen=True, slots=True)
class Kind:
    """What an option may be: its description in messages, and a test of a value."""

    expected: str
    accepts: Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


FLAG = Kind("True or False", lambda value: isinstance(value, bool))
TEXT = Kind("a text", lambda value: isinstance(value, str))
NAME = Kind("a name", lambda value: isinstance(value, str) and bool(value))
FROM_ZERO = Kind("a whole number, 0 or more", lambda value: _is_count(value) and value >= 0)
FROM_ONE = Kind("a whole number, 1 or more", lambda value: _is_count(value) and value >= 1)
SECONDS = Kind("seconds, 0 or more", lambda value: _is_finite(value) and value >= 0)
ABOVE_ZERO = Kind("seconds, more than 0", lambda value: _is_finite(value) and value > 0)
NAMES = Kind(
    "names of parameters",
    lambda value: isinstance(value, tuple) and all(isinstance(name, str) for name in value),
)
TASKS = Kind(
    "names of tasks",
    lambda value: (
        isinstance(value, (list, tuple, set, frozenset))
        and all(isinstance(name, str) and name for name in value)
    ),
)
BY_NAME = Kind(
    "a dict with names as keys",
    lambda value: isinstance(value, Mapping) and all(isinstance(name, str) for name in value),
)
AMOUNTS = Kind(
    "numbers above 0 by the names of resources, such as {'GPU': 1}",
    lambda value: (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and name for name in value)
        and all(_is_finite(number) and number > 0 for number in value.values())
    ),
)
PATH = Kind("a path or an address", lambda value: isinstance(value, (str, os.PathLike)))


def one_of(*names: str) -> Kind:
    """Return the kind of an option that is one of some texts."""
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def either(one: Kind, other: Kind) -> Kind:
    """Return the kind of an option that is of one of two kinds."""
    return Kind(
        f"{one.expected}, or {other.expected}", lambda value: one.accepts(value) or other.accepts(value)
    )


def maybe(kind: Kind) -> Kind:
    """Return the kind of an option that may be None too."""
    return Kind(f"{kind.expected}, or None", lambda value: value is None or kind.accepts(value))


def check(where: str, options: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Check options by name.

    Args:
        where: the beginning of the message: what has the options.
        options: their values.
        kinds: what each may be; others are not checked.

    Raises:
        InputError: one of them is something else.
    """
    for name, kind in kinds.items():
        value = options[name]
        if not kind.accepts(value):
            shown = one_line(reprlib.repr(value))
            raise InputError(f"{where}: {name}={shown}; expected {kind.expected}")
