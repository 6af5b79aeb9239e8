"""Durations, moments and sizes as the page shows them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONGEST = 2_000
"""Characters of a value that are shown."""


def duration(seconds: float | None) -> str:
    """Return a duration as people say it; empty if there is none.

    >>> [duration(value) for value in (0, 0.042, 3.26, 59.7, 60, 3599.7, 4330, 200_000)]
    ['0 s', '42 ms', '3.3 s', '1 min', '1 min', '1 h', '1 h 12 min', '2 d 8 h']
    """
    if seconds is None:
        return ""
    if 0 < seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))} ms"
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(max(0.0, seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    minutes = round(whole / _MINUTE) * _MINUTE
    if minutes < _DAY:
        return _two(minutes, _HOUR, "h", _MINUTE, "min")
    return _two(round(whole / _HOUR) * _HOUR, _DAY, "d", _HOUR, "h")


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    more = seconds % large // small
    return f"{seconds // large} {large_unit}" + (f" {more} {small_unit}" if more else "")


def distance(seconds: float) -> str:
    """Return roughly how long something is ago, or is still to come: its largest unit.

    >>> [distance(value) for value in (20, 90, 5400, 100_000, 1_300_000)]
    ['20 s', '1 min', '1 h', '27 h', '15 d']
    """
    size = abs(seconds)
    for length, unit, from_here in ((_DAY, "d", 2 * _DAY), (_HOUR, "h", _HOUR), (_MINUTE, "min", _MINUTE)):
        if size >= from_here:
            return f"{int(size // length)} {unit}"
    return f"{int(size)} s"


def ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, or how long it is until then."""
    if abs(now - moment) < 1:
        return "now"
    return f"{distance(now - moment)} ago" if moment <= now else f"in {distance(moment - now)}"


def clock(moment: float) -> str:
    """Return a moment of Unix time in this machine's time zone: `28 Nov 2026, 07:40:12`."""
    local = _local(moment)
    return f"{local.day} {local:%b %Y, %H:%M:%S}"


def day(moment: float, now: float) -> str:
    """Return a moment briefly: the clock today, else the day too, else the year."""
    then, today = _local(moment), _local(now)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then.day} {then:%b %H:%M}" if then.year == today.year else f"{then.day} {then:%b %Y}"


def moment(unix_time: float) -> dt.datetime:
    """Return a moment of Unix time, in UTC."""
    return dt.datetime.fromtimestamp(unix_time, tz=dt.UTC)


def _local(moment: float) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(moment, tz=dt.UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return dt.datetime.fromtimestamp(0, tz=dt.UTC)


def zone(now: float) -> str:
    """Return the name of this machine's time zone, such as `CET (UTC+01:00)`."""
    local = _local(now)
    return f"{local:%Z} (UTC{local.isoformat()[-6:]})" if local.utcoffset() else "UTC"


def unix(text: object) -> float | None:
    """Return the Unix time of a moment in a record; None if there is none."""
    try:
        return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def number(value: float) -> str:
    """Return a number with separators of thousands."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def plain(value: Any) -> str:
    """Return a JSON value as text: a text itself, anything else as JSON, and only the start of a long one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def size(count: float) -> str:
    """Return a number of bytes in a readable unit, such as `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
