"""The moments at which Argo fires a schedule, to the second, also where clocks change.

Argo uses robfig/cron, whose walk through a calendar is followed here step by step, because it has habits of
its own. It reads `*/2` among the days as a list of days, so that `0 6 */2 * 1` fires on odd days and on
Mondays. Where a clock change skips midnight, as in Cairo and Santiago, it leaves a day out or fires on
another one. What is said about the next runs, and where intervals are cut, is what Argo does.

The fields of a schedule are read by cronsim.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cronsim import CronSim

if TYPE_CHECKING:
    from collections.abc import Iterator

YEARS = 5
"""Argo gives up if a schedule does not fire for so many years."""
_SECOND = dt.timedelta(seconds=1)
_LOOK_BACK = (dt.timedelta(hours=2), *(dt.timedelta(days=days) for days in (2, 9, 40, 400, 366 * YEARS)))


@dataclass(frozen=True, slots=True)
class _Fields:
    """The times that a schedule names.

    Attributes:
        minutes: 0 to 59.
        hours: 0 to 23.
        days: 1 to 31.
        months: 1 to 12.
        weekdays: 0 (Sunday) to 6.
        both: whether day and weekday must match; else one of them suffices.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both: bool

    def on(self, day: dt.date) -> bool:
        """Return whether it fires on a day of one of its months."""
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_day and by_weekday) if self.both else (by_day or by_weekday)


@functools.lru_cache(256)
def _fields(cron: str) -> _Fields:
    """Return the times that a schedule of five fields names, as Argo reads it."""
    # A range of one number and a step is that number; cronsim goes on to the end of the field.
    parts = re.sub(r"\b(\w+)-\1/\d+", r"\1", cron).split()
    read = CronSim(" ".join(parts), dt.datetime(2024, 1, 1))  # noqa: DTZ001 - only its fields are used
    return _Fields(
        frozenset(read.minutes),
        frozenset(read.hours),
        frozenset(read.days),
        frozenset(read.months),
        frozenset(day for day in read.weekdays if isinstance(day, int) and day < 7),
        any(_is_any(part) for part in (parts[2], parts[4])),
    )


def _is_any(field: str) -> bool:
    """Return whether a field of days says nothing: a star, alone or with the step 1."""
    return any(re.fullmatch(r"\*(/0*1)?", item) for item in field.split(","))


def after(cron: str, zone: str, moment: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the moments after another one at which a schedule fires, in its time zone.

    Args:
        cron: the schedule, as five fields.
        zone: the time zone's name.
        moment: an aware datetime.
    """
    fields, tz = _fields(cron), zoneinfo.ZoneInfo(zone)
    firing = _next(fields, tz, moment)
    while firing is not None:
        yield firing
        firing = _next(fields, tz, firing)


def before(cron: str, zone: str, moment: dt.datetime) -> dt.datetime | None:
    """Return the last moment before another one at which a schedule fires; None if there is none.

    Arguments as for `after`.
    """
    moment = moment.astimezone(dt.UTC)  # as times of one zone are compared by its clock, which may repeat
    for span in _LOOK_BACK:
        last = None
        for firing in after(cron, zone, moment - span):
            if firing.astimezone(dt.UTC) >= moment:
                break
            last = firing
        if last is not None:
            return last
    return None


def _next(fields: _Fields, tz: zoneinfo.ZoneInfo, moment: dt.datetime) -> dt.datetime | None:
    """Return the first firing after a moment; None if there is none for YEARS.

    From the largest unit to the smallest, each is moved on until it matches. Where that wraps around, the
    larger ones are looked at again.
    """
    time = (moment.astimezone(dt.UTC).replace(microsecond=0) + _SECOND).astimezone(tz)
    last_year = time.year + YEARS
    walk = _Walk(fields, tz, time)
    while walk.time.year <= last_year:
        if not (walk.months() and walk.days() and walk.hours() and walk.minutes()):
            continue
        if walk.time.second == 0:
            return walk.time
        walk.next_minute()
    return None


class _Walk:
    """A walk through the calendar; each method returns False if its unit has wrapped around."""

    def __init__(self, fields: _Fields, tz: zoneinfo.ZoneInfo, time: dt.datetime) -> None:
        self.time = time
        self._fields = fields
        self._tz = tz
        self._moved = False

    def months(self) -> bool:
        while self.time.month not in self._fields.months:
            self._cut(day=1, hour=0)
            year, month = divmod(self.time.year * 12 + self.time.month, 12)
            first = self.time.replace(tzinfo=None, year=year, month=month + 1, day=1)
            self.time = self._at(first + dt.timedelta(days=self.time.day - 1))
            if self.time.month == 1:
                return False
        return True

    def days(self) -> bool:
        while not self._fields.on(self.time):
            self._cut(hour=0)
            self.time = self._at(self.time.replace(tzinfo=None) + dt.timedelta(days=1))
            if hour := self.time.hour:  # this day has no midnight
                self._add(hours=24 - hour if hour > 12 else -hour)
            if self.time.day == 1:
                return False
        return True

    def hours(self) -> bool:
        while self.time.hour not in self._fields.hours:
            self._cut(hour=self.time.hour)
            self._add(hours=1)
            if self.time.hour == 0:
                return False
        return True

    def minutes(self) -> bool:
        while self.time.minute not in self._fields.minutes:
            self._moved = True
            self.time = self.time.replace(second=0)
            self._add(minutes=1)
            if self.time.minute == 0:
                return False
        return True

    def next_minute(self) -> None:
        self._moved = True
        self._add(seconds=60 - self.time.second)

    def _cut(self, *, hour: int, day: int | None = None) -> None:
        """Set the smaller units to their beginning, before the first one is moved."""
        if not self._moved:
            self._moved = True
            naive = dt.datetime(self.time.year, self.time.month, day or self.time.day, hour)  # noqa: DTZ001
            self.time = self._at(naive)

    def _add(self, *, hours: int = 0, minutes: int = 0, seconds: int = 0) -> None:
        """Let so much time pass."""
        passed = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
        self.time = (self.time.astimezone(dt.UTC) + passed).astimezone(self._tz)

    def _at(self, naive: dt.datetime) -> dt.datetime:
        """Return when the clock shows a time, as Go chooses if it does so twice or never.

        Go first takes the offset that is in force at that time of UTC.
        """
        utc = naive.replace(tzinfo=dt.UTC)
        moment = utc - _offset(utc, self._tz)
        return (utc - _offset(moment, self._tz)).astimezone(self._tz)


def _offset(moment: dt.datetime, tz: zoneinfo.ZoneInfo) -> dt.timedelta:
    return moment.astimezone(tz).utcoffset() or dt.timedelta(0)
