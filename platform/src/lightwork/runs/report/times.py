"""The ticks of an axis of times, at round moments of the local clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

Moments = np.ndarray[Any, np.dtype[Any]]
"""Times as `datetime64[us]`."""
_SECOND = 1_000_000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND
_PARTS = (
    *(digit * 10**power for power in range(6) for digit in (1, 2, 5)),
    *(count * _SECOND for count in (1, 2, 5, 10, 15, 30)),
    *(count * _MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR for count in (1, 2, 3, 6, 12)),
)
"""The steps within a day, in microseconds."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_YEARS = tuple(digit * 10**power for power in range(6) for digit in (1, 2, 5))
Grain = Literal["part", "D", "M", "Y"]


def finest(local: Moments) -> tuple[Grain, int]:
    """Return the largest step that meets all times of the local clock: a year if all are first days of years.

    Returns:
        The unit of the step, and its length: microseconds for "part", otherwise 1.
    """
    for grain in ("Y", "M", "D"):
        if (local.astype(f"datetime64[{grain}]") == local).all():
            return grain, 1
    within = (local - local.astype("datetime64[D]")).astype(np.int64)
    for length in (_HOUR, _MINUTE, _SECOND):
        if not (within % length).any():
            return "part", length
    return "part", 1


def steps(local: Moments) -> Iterator[tuple[Moments, list[str], list[str]]]:
    """Yield ticks between the first and the last time, from many to few.

    Args:
        local: sorted times of the local clock, at least one.

    Yields:
        The moments, their labels, and what each belongs to: the year of a month or a day, the day of an hour.
    """
    grain, length = finest(local)
    low, high = local.min(), local.max()
    order = ("part", "D", "M", "Y").index(grain)
    if order == 0:
        for part in _PARTS:
            if part >= length and (high - low) / np.timedelta64(part, "us") < 100:
                yield _parts(low, high, part)
    if order <= 1:
        for days in (1, 2, 7, 14):
            if (high - low) / np.timedelta64(days, "D") < 100:
                yield _days(low, high, days)
    if order <= 2:
        for months in (1, 2, 3, 6):
            if (high - low) / np.timedelta64(30 * months, "D") < 100:
                yield _months(low, high, months)
    for years in _YEARS:
        if (high - low) / np.timedelta64(365 * years, "D") < 100:
            moments = _multiples(low, high, "Y", years, -1970)
            yield moments, [str(moment.astype("datetime64[Y]")) for moment in moments], [""] * len(moments)


def _multiples(low: Any, high: Any, unit: str, step: int, offset: int = 0) -> Moments:
    """Return the multiples of a step between two times, counted from `offset` units after 1970."""
    kind = f"datetime64[{unit}]"
    first = int(low.astype(kind).astype(np.int64)) - offset
    last = int(high.astype(kind).astype(np.int64)) - offset
    numbers = np.arange(first // step * step, last + 1, step, dtype=np.int64) + offset
    moments: Moments = numbers.astype(kind).astype("datetime64[us]")
    within: Moments = moments[(moments >= low) & (moments <= high)]
    return within


def _months(low: Any, high: Any, step: int) -> tuple[Moments, list[str], list[str]]:
    moments = _multiples(low, high, "M", step)
    fields = [_fields(moment) for moment in moments]
    return moments, [month for _, month, _, _ in fields], [year for year, _, _, _ in fields]


def _days(low: Any, high: Any, step: int) -> tuple[Moments, list[str], list[str]]:
    # 5 January 1970 was a Monday.
    moments = _multiples(low, high, "D", step, 4 if step % 7 == 0 else 0)
    fields = [_fields(moment) for moment in moments]
    return moments, [f"{day} {month}" for _, month, day, _ in fields], [year for year, _, _, _ in fields]


def _parts(low: Any, high: Any, step: int) -> tuple[Moments, list[str], list[str]]:
    moments = _multiples(low, high, "us", step)
    fields = [_fields(moment) for moment in moments]
    zeros = len(str(step)) - len(str(step).rstrip("0"))
    shown = 5 if step % _MINUTE == 0 else 8 if step % _SECOND == 0 else 15 - min(zeros, 5)
    return moments, [clock[:shown] for *_, clock in fields], [f"{d} {m} {y}" for y, m, d, _ in fields]


def _fields(moment: Any) -> tuple[str, str, int, str]:
    """Return the year, the month's name, the day, and the clock with microseconds."""
    date, _, clock = str(moment).partition("T")
    year, month, day = date.rsplit("-", 2)
    return year, _MONTHS[int(month) - 1], int(day), clock


def texts(local: Moments) -> tuple[list[str], int]:
    """Format times of the local clock as finely as they differ: `2026-01-31`, `2026-01-31 05:00`.

    Returns:
        The texts, and the number of characters that JavaScript's ISO format has in addition.
    """
    grain, length = finest(local) if len(local) else ("D", 1)
    unit: Literal["D", "m", "s", "ms"] = "ms"
    extra = 1
    if grain != "part":
        unit, extra = "D", 14
    elif length >= _MINUTE:
        unit, extra = "m", 8
    elif length >= _SECOND:
        unit, extra = "s", 5
    return [text.replace("T", " ") for text in np.datetime_as_string(local, unit=unit).tolist()], extra
