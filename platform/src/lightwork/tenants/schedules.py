"""Schedules in a tenant's file: their form, their next times, and what clock changes do to them.

A schedule fires by the local time of its time zone (`firings`). An hour that a clock change skips has no run,
and one that it repeats has two.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from cronsim import CronSim, CronSimError

from lightwork.errors import nearest
from lightwork.tenants import firings

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_HORIZON = dt.timedelta(days=731)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A scheduled time that a clock change skips or doubles.

    Attributes:
        kind: `skipped` (that hour does not exist on that day) or `doubled` (it exists twice).
        local: the date and time on the local clock.
    """

    kind: Literal["skipped", "doubled"]
    local: dt.datetime


def canonical_cron(value: object) -> str:
    """Return a schedule as five fields, in the form that both cron and Argo accept.

    Raises:
        ValueError: it is not such a schedule.
    """
    if not isinstance(value, str):
        raise ValueError("should be a cron schedule in quotes, for example '30 6 * * *'")  # noqa: TRY004
    text = _SHORTHANDS.get(value.strip(), value)
    parts = text.upper().split()
    if len(parts) != len(_FIELDS):
        fields = ", ".join(_FIELDS)
        raise ValueError(f"should have five fields ({fields}), for example '30 6 * * *'; it has {len(parts)}")
    for name, part in zip(_FIELDS, parts, strict=True):
        if not re.fullmatch(r"[A-Z0-9*,/-]+", part) or "L" in re.sub(r"JUL", "", part):
            raise ValueError(f"{part!r} is not a valid {name}: Argo accepts numbers, names and * , - /")
    if re.search(r"(^|[,-])0*7\b", parts[4]):
        raise ValueError("Argo numbers the days of the week from 0 to 6: Sunday is 0 or SUN, not 7")
    try:
        next(CronSim(text, dt.datetime(2024, 1, 1)))  # noqa: DTZ001  (local time)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ").replace("-", " ")
        raise ValueError(f"the {field} is out of range or malformed") from None
    except StopIteration:
        raise ValueError("never occurs: no month has that day") from None
    return " ".join(parts)


def canonical_zone(value: object) -> str:
    """Return the name of an IANA time zone as it is.

    Raises:
        ValueError: there is no such time zone.
    """
    if not isinstance(value, str):
        raise ValueError("should be a time zone's name, for example Europe/Berlin or UTC")  # noqa: TRY004
    if value not in _zones() or value in ("localtime", "Factory"):
        hint = nearest(value, _zones()) or "; for example Europe/Berlin or UTC"
        raise ValueError(f"there is no such time zone{hint}")
    return value


@functools.cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones: Python opens hundreds of files to tell which they are."""
    return frozenset(zoneinfo.available_timezones())


def times(cron: str, zone: str, after: dt.datetime, count: int) -> list[dt.datetime]:
    """Return the next times at which a schedule fires.

    Args:
        cron: the schedule, as five fields.
        zone: the time zone's name.
        after: an aware datetime; all times are later.
        count: how many times to return.

    Returns:
        Datetimes in that zone.
    """
    return list(islice(firings.after(cron, zone, after), count))


def clock_changes(cron: str, zone: str, after: dt.datetime) -> list[ClockChange]:
    """Return the scheduled times that clock changes skip or double in the next two years, in order.

    A schedule that fires every hour, or every few minutes, has none: it is not affected.
    """
    if cron.split()[1].startswith("*"):
        return []
    tz = zoneinfo.ZoneInfo(zone)
    changes = []
    for moment in _transitions(tz, after):
        before = (moment - dt.timedelta(seconds=1)).astimezone(tz).replace(tzinfo=None)
        before += dt.timedelta(seconds=1)
        now = moment.astimezone(tz).replace(tzinfo=None)
        first, last = min(before, now), max(before, now)
        kind: Literal["skipped", "doubled"] = "skipped" if now > before else "doubled"
        times_inside = CronSim(cron, first - dt.timedelta(seconds=1))
        changes += [ClockChange(kind, local) for local in islice(times_inside, 1) if local < last]
    return changes


def _transitions(tz: zoneinfo.ZoneInfo, after: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the moments (UTC, to the second) in the next two years at which the zone's offset changes."""
    day, start = dt.timedelta(days=1), after.astimezone(dt.UTC).replace(microsecond=0)
    for number in range(_HORIZON.days):
        low, high = start + number * day, start + (number + 1) * day
        if _offset(low, tz) == _offset(high, tz):
            continue
        while high - low > dt.timedelta(seconds=1):
            middle = low + dt.timedelta(seconds=int((high - low).total_seconds()) // 2)
            low, high = (middle, high) if _offset(middle, tz) == _offset(low, tz) else (low, middle)
        yield high


def _offset(moment: dt.datetime, tz: zoneinfo.ZoneInfo) -> dt.timedelta | None:
    return moment.astimezone(tz).utcoffset()
