"""Intervals of time that runs work on: cut by a schedule, or by a step such as `1d`.

An interval is half-open: it has its start, and not its end. The run that a schedule starts has the interval
that ends with its firing.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.errors import InputError, one_line
from lightwork.tenants import firings

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 10_000
"""The most intervals at once; more are taken for a mistake in the dates."""
_STEP = re.compile(r"([1-9]\d{0,5})(m|h|d|w)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of time.

    Attributes:
        start: its first moment, in the schedule's time zone.
        end: the first moment after it.
    """

    start: dt.datetime
    end: dt.datetime

    @property
    def key(self) -> tuple[dt.datetime, dt.datetime]:
        """Both in UTC, by which intervals are compared: the clock of a time zone may show a time twice."""
        return self.start.astimezone(dt.UTC), self.end.astimezone(dt.UTC)

    def texts(self) -> tuple[str, str]:
        """Return both as ISO 8601, as runs get them."""
        return self.start.isoformat(), self.end.isoformat()

    def __str__(self) -> str:
        return " – ".join(f"{moment:%Y-%m-%d %H:%M%z}" for moment in (self.start, self.end))


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What cuts intervals.

    Attributes:
        zone: the time zone's name.
        cron: the schedule, as five fields; empty if a step cuts them.
        step: such as `1d`; empty if a schedule cuts them.
    """

    zone: str
    cron: str = ""
    step: str = ""

    def __str__(self) -> str:
        return f"{f'the schedule {self.cron!r}' if self.cron else f'every {self.step}'} in {self.zone}"


def of_firing(cron: str, zone: str, moment: dt.datetime) -> Interval:
    """Return the interval that ends with a firing, or with the last one before a moment that is none.

    Raises:
        InputError: the schedule has not fired twice before.
    """
    end = firings.before(cron, zone, moment.astimezone(dt.UTC) + dt.timedelta(seconds=1))
    start = end and firings.before(cron, zone, end)
    if end is None or start is None:
        raise InputError(f"the schedule {cron!r} has no two firings before {moment.isoformat()}")
    return Interval(start, end)


def cut(rhythm: Rhythm, begin: dt.datetime, end: dt.datetime) -> list[Interval]:
    """Return the intervals that start in a span of time; the last one may end after it.

    Args:
        rhythm: what cuts them.
        begin: an aware datetime; a step begins here.
        end: an aware datetime, which is not in the span any more.

    Raises:
        InputError: there are none, or too many.
    """
    begin, end = begin.astimezone(dt.UTC), end.astimezone(dt.UTC)
    starts = _firings(rhythm, begin) if rhythm.cron else _steps(rhythm, begin)
    pairs = (Interval(*pair) for pair in itertools.pairwise(starts))
    started = itertools.takewhile(lambda interval: interval.key[0] < end, pairs)
    intervals = list(itertools.islice(started, MOST + 1))
    span = f"between {begin.isoformat()} and {end.isoformat()}"
    if not intervals:
        raise InputError(f"no interval starts {span} by {rhythm}")
    if len(intervals) > MOST:
        raise InputError(f"more than {MOST:,} intervals start {span} by {rhythm}; expected fewer at once")
    return intervals


def _firings(rhythm: Rhythm, begin: dt.datetime) -> Iterator[dt.datetime]:
    return firings.after(rhythm.cron, rhythm.zone, begin - dt.timedelta(seconds=1))


def _steps(rhythm: Rhythm, begin: dt.datetime) -> Iterator[dt.datetime]:
    """Yield moments a step apart: days and weeks by the clock, hours and minutes as time passes."""
    match = _STEP.fullmatch(rhythm.step)
    if match is None:
        raise InputError(f"--every {rhythm.step}: expected a number and m, h, d or w, for example 1d")
    tz = zoneinfo.ZoneInfo(rhythm.zone)
    unit = {"m": dt.timedelta(minutes=1), "h": dt.timedelta(hours=1)}.get(match[2])
    days = dt.timedelta(days=int(match[1]) * (7 if match[2] == "w" else 1))
    first = begin.astimezone(tz)
    yield first
    for number in itertools.count(1):
        if unit is not None:
            moment = first.astimezone(dt.UTC) + number * int(match[1]) * unit
        else:
            moment = (first.replace(tzinfo=None) + number * days).replace(tzinfo=tz).astimezone(dt.UTC)
        yield moment.astimezone(tz)


def moment(name: str, text: str, zone: str) -> dt.datetime:
    """Return a date or a time that a person gives, in a time zone unless it has an offset of its own.

    Args:
        name: what it is called in a message, such as `--from`.
        text: ISO 8601, such as `2026-11-24` or `2026-11-24T06:30`.
        zone: the time zone's name.

    Raises:
        InputError: it is neither.
    """
    tz = zoneinfo.ZoneInfo(zone)
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{name} {one_line(text)!r}: expected a date or a time, such as 2026-11-24 or 2026-11-24T06:30"
        ) from None
    return (value if value.tzinfo else value.replace(tzinfo=tz)).astimezone(dt.UTC).astimezone(tz)


def parse(texts: object) -> tuple[dt.datetime, dt.datetime] | None:
    """Return the two moments of an interval in UTC from its texts; None if they are not an interval's."""
    if not isinstance(texts, (list, tuple)) or len(texts) != 2:
        return None
    try:
        start, end = (dt.datetime.fromisoformat(str(text)) for text in texts)
    except ValueError:
        return None
    if start.tzinfo is None or end.tzinfo is None:
        return None
    return start.astimezone(dt.UTC), end.astimezone(dt.UTC)
