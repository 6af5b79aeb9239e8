"""The options of a task, and the check that refuses wrong ones in one line."""

from __future__ import annotations

import dataclasses
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from lightwork.errors import InputError, near, public
from lightwork.functions.checks import (
    ABOVE_ZERO,
    AMOUNTS,
    FLAG,
    FROM_ONE,
    FROM_ZERO,
    NAME,
    NAMES,
    SECONDS,
    TEXT,
    Kind,
    check,
    either,
    maybe,
    one_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OnError = Literal["raise", "skip", "collect"]
LONGEST_DELAY = 60.0
"""Seconds that a retry is delayed at most, unless `backoff` says otherwise."""
_JITTER = 0.2
_DOUBLINGS = 64
_TOGETHER = 16
"""Coroutines of a batch that run at once, unless the task says otherwise."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before retries that double, up to a limit; `backoff` makes one.

    Attributes:
        first: seconds before the first retry.
        most: seconds before any retry, at most, apart from the jitter.
        jitter: the part of a delay by which it varies at random, up and down.
    """

    first: float
    most: float = LONGEST_DELAY
    jitter: float = _JITTER

    def seconds(self, retry: int) -> float:
        """Return the delay before a retry, of which the first is 1."""
        delay = min(self.most, self.first * 2.0 ** min(retry - 1, _DOUBLINGS))
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311


@public
def backoff(first: float = 0.5, most: float = LONGEST_DELAY, jitter: float = _JITTER) -> Backoff:
    """Return delays before retries that double, for the option `retry_delay` of a task.

    >>> from lightwork import backoff, task
    >>> @task(retries=5, retry_on=OSError, retry_delay=backoff(first=1, most=10, jitter=0))
    ... def square(number: int) -> int:
    ...     return number * number
    >>> [square.options.retry_delay.seconds(retry) for retry in range(1, 6)]
    [1.0, 2.0, 4.0, 8.0, 10.0]

    Args:
        first: seconds before the first retry.
        most: seconds before any retry, at most, apart from the jitter.
        jitter: the part of a delay by which it varies at random, up and down, from 0 to 1. Without it,
            elements that failed together are retried together.

    Raises:
        InputError: a value is invalid, or `most` is less than `first`.
    """
    given = {"first": first, "most": most, "jitter": jitter}
    check("backoff", given, {"first": SECONDS, "most": SECONDS, "jitter": _PART})
    if most < first:
        raise InputError(f"backoff: most={most!r} is less than first={first!r}")
    return Backoff(first, most, jitter)


_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhdw])", re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds_of(age: str) -> float | None:
    """Return the seconds of an age such as `45s`, `30m`, `12h`, `7d` or `2w`; None if it is none."""
    match = _AGE.fullmatch(age)
    return None if match is None else float(match[1]) * _UNITS[match[2]]


_EXPIRES = Kind(
    "an age of 1 s or more, such as 7d, 12h, 30m or 45s",
    lambda value: isinstance(value, str) and (seconds_of(value) or 0.0) >= 1,
)
_PART = Kind("a number from 0 to 1", lambda value: SECONDS.accepts(value) and value <= 1)
_BACKOFF = Kind("backoff(...)", lambda value: type(value) is Backoff)
_ERRORS = Kind(
    "classes of exceptions",
    lambda value: (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in value)
    ),
)


class Options(TypedDict, total=False):
    """The options of a task as they are given; `task` explains each."""

    cache: bool
    version: str | None
    ignore: str | Iterable[str]
    retries: int
    retry_delay: float | Backoff
    on_error: OnError
    batch: int | None
    retry_on: type[BaseException] | Iterable[type[BaseException]] | None
    timeout: float | None
    ordered: bool
    expires: str | None
    refresh: bool
    limit: str | None
    resources: Mapping[str, float] | None
    concurrency: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options of a task; `task` explains each."""

    cache: bool = True
    version: str | None = None
    ignore: tuple[str, ...] = ()
    retries: int = 0
    retry_delay: float | Backoff = 0.5
    on_error: OnError = "raise"
    batch: int | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    timeout: float | None = None
    ordered: bool = True
    expires: str | None = None
    refresh: bool = False
    limit: str | None = None
    resources: Mapping[str, float] | None = None
    concurrency: int | None = None

    @property
    def most_together(self) -> int:
        """The number of coroutines of a batch that run at once."""
        return self.concurrency or _TOGETHER

    @property
    def lifetime(self) -> float | None:
        """Seconds after which a result counts no more; None if it always does."""
        return None if self.expires is None else seconds_of(self.expires)

    @property
    def delays(self) -> Backoff:
        """The delays before retries."""
        delay = self.retry_delay
        return delay if isinstance(delay, Backoff) else Backoff(delay)

    def retries_on(self, error: BaseException) -> bool:
        """Return whether an element that raised this may be tried again."""
        # Not `isinstance`, which asks the exception for its class.
        return self.retry_on is None or issubclass(type(error), self.retry_on)

    def given(self) -> list[str]:
        """Return the options that differ from their defaults, as they are written."""
        values = {
            field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)
        }
        return [f"{name}={_written(value)}" for name, (value, default) in values.items() if value != default]

    def check(self, where: str) -> None:
        """Check each option.

        Args:
            where: the beginning of the message: what has the options.

        Raises:
            InputError: one of them is invalid.
        """
        check(where, {name: getattr(self, name) for name in _KINDS}, _KINDS)

    def __reduce__(self) -> Any:
        # By name, and only what was given: a pickle in a lake may be read by a version with more options.
        given = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not field.default
        }
        return _options, (given,)

    def __setstate__(self, state: list[Any]) -> None:
        # From a pickle of a version that wrote the options by their order, and had fewer of them.
        for number, field in enumerate(dataclasses.fields(self)):
            object.__setattr__(self, field.name, state[number] if number < len(state) else field.default)


def _written(value: Any) -> str:
    """Return the value of an option as it is written."""
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple):
        return _written(value[0]) if len(value) == 1 else f"({', '.join(map(_written, value))})"
    if isinstance(value, Backoff):
        return f"backoff({value.first:g}, {value.most:g}, {value.jitter:g})"
    return repr(value)


_KINDS = {
    "cache": FLAG,
    "version": maybe(TEXT),
    "ignore": NAMES,
    "retries": FROM_ZERO,
    "retry_delay": either(SECONDS, _BACKOFF),
    "on_error": one_of(*get_args(OnError)),
    "batch": maybe(FROM_ONE),
    "retry_on": maybe(_ERRORS),
    "timeout": maybe(ABOVE_ZERO),
    "ordered": FLAG,
    "expires": maybe(_EXPIRES),
    "refresh": FLAG,
    "limit": maybe(NAME),
    "resources": maybe(AMOUNTS),
    "concurrency": maybe(FROM_ONE),
}
_MANY = ("ignore", "retry_on")
"""The options that may be given as one value, or as several in any iterable."""


def _options(given: Mapping[str, Any]) -> TaskOptions:
    """Return options from a pickle, without those of a newer version."""
    return TaskOptions(**{name: value for name, value in given.items() if name in _KINDS})


def options_of(where: str, given: Mapping[str, Any], before: TaskOptions | None = None) -> TaskOptions:
    """Return options as somebody gave them.

    Args:
        where: the beginning of a message: what has the options.
        given: the options by name.
        before: those that are not given are as in this one; by default they have their defaults.

    Raises:
        InputError: there is no such option.
    """
    unknown = next((name for name in given if name not in _KINDS), None)
    if unknown is not None:
        raise InputError(f"{where}: there is no option {unknown!r}{near(unknown, _KINDS)}")
    values = {name: _several(value) if name in _MANY else value for name, value in given.items()}
    return dataclasses.replace(before or TaskOptions(), **values)


def _several(value: Any) -> Any:
    """Return one value or several as a tuple; as it is if it is neither, so that the check refuses it."""
    if isinstance(value, (str, type)):
        return (value,)
    try:
        return value if value is None else tuple(value)
    except TypeError:
        return value
