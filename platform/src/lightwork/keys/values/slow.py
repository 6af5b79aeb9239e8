"""Values that take long to encode: each is named once, with what to do about it."""

from __future__ import annotations

import time

from lightwork.logs import get_logger

LONG = 0.5
"""Seconds from which on a value is named."""
_named: set[str] = set()

GLOBAL = (
    "make it a tuple or a frozenset of numbers and texts, which is read once; or pass it in shared=, which "
    "is read once for each map; or pass the Path of a file that holds it"
)
ARGUMENT = "pass the Path of a file that holds it, or what it is made from"


class noticing:  # noqa: N801 - reads as a statement
    """Warn if what is inside the `with` block takes long, once for each name.

    Args:
        name: what is encoded, such as `the global script.TABLE`.
        advice: what to do instead.
    """

    __slots__ = ("_advice", "_begin", "_name")

    def __init__(self, name: str, advice: str) -> None:
        self._name = name
        self._advice = advice

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = time.perf_counter() - self._begin
        if took > LONG and self._name not in _named:
            _named.add(self._name)
            get_logger("lightwork").warning(
                f"{self._name} takes {took:.1f} s to read for the key of each call; {self._advice}"
            )
