"""Limits of a session: how many calls of some tasks run at once, or start within a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightwork.errors import InputError, one_line

_RATE = re.compile(r"(\d{1,9})\s*/\s*(s|min|h)", re.ASCII)
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_EXPECTED = "a whole number of calls at once, 1 or more, or a rate such as '10/s', '100/min' or '1000/h'"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that several tasks may share.

    Attributes:
        name: its name, the option `limit` of a task.
        count: the number of calls.
        seconds: the time within which so many may start; 0 if so many may run at once.
    """

    name: str
    count: int
    seconds: float = 0.0

    def __str__(self) -> str:
        unit = {seconds: name for name, seconds in _UNITS.items()}.get(self.seconds)
        return f"{self.count}/{unit}" if unit else f"{self.count} at once"


def limits_of(where: str, given: Any) -> dict[str, Limit]:
    """Return limits as they are given: numbers, or texts such as `10/s`, by name.

    >>> limits_of("connect", {"gpu-api": 4, "weather": "10/s"})["weather"].seconds
    1.0

    Args:
        where: the beginning of a message.
        given: the limits.

    Raises:
        InputError: one of them is invalid.
    """
    if not isinstance(given, Mapping):
        raise InputError(
            f"{where}: limits={one_line(repr(given))[:80]}; expected limits by name, as in {{'api': 4}}"
        )
    return {name: _limit(where, name, value) for name, value in given.items()}


def _limit(where: str, name: Any, value: Any) -> Limit:
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{where}: limits: {one_line(repr(name))[:80]} is not the name of a limit; expected a text"
        )
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and int(match[1]) > 0:
        return Limit(name, int(match[1]), _UNITS[match[2]])
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Limit(name, value)
    raise InputError(f"{where}: limits: {name}={one_line(repr(value))[:80]}; expected {_EXPECTED}")


def parsed(where: str, text: str) -> dict[str, Limit]:
    """Return the limits in a text such as `gpu-api=4,weather=10/s`.

    Raises:
        InputError: it is of another form.
    """
    given: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (name and equals) or name in given:
            raise InputError(
                f"{where}: found {item[:80]!r}; expected NAME=NUMBER, for example gpu-api=4,weather=10/s"
            )
        given[name] = int(value) if re.fullmatch(r"\d{1,9}", value, re.ASCII) else value
    return limits_of(where, given)
