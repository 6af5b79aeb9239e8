"""The horizontal axis of a chart: what a frame's index holds, and its ticks."""

from __future__ import annotations

import datetime as dt
import numbers as kinds
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

from lightwork.runs.report import times
from lightwork.runs.report.numbers import labels, number, ticks

WIDE, NARROW = 520.0, 200.0
"""The least width in pixels of a plot on a wide page, and of one on a phone."""
LONGEST = 200
"""Characters of a label that are shown."""
_DURATIONS = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0), ("ms", 1e-3))
_BEYOND = 290
"""Powers of ten whose sums may leave the range of floats."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis.

    Attributes:
        place: from 0 at the axis' begin to 1 at its end.
        label: its text.
        context: a second line, such as the year of a day; empty where it does not change.
        anchor: the part of the label that stands at the mark.
    """

    place: float
    label: str
    context: str = ""
    anchor: Literal["start", "middle", "end"] = "middle"


@dataclass(frozen=True, slots=True)
class Axis:
    """What an index holds, row by row.

    Attributes:
        kind: `time`, `number`, or `label` (anything else, at even distances).
        title: the index' name, and the time zone or unit.
        values: microseconds since 1970 in UTC, numbers, or row numbers.
        local: times of the local clock as `datetime64[us]`; empty for other kinds.
        names: the labels; empty for other kinds.
        zone: the time zone of times; None if they have none.
    """

    kind: Literal["time", "number", "label"]
    title: str
    values: np.ndarray[Any, Any]
    local: np.ndarray[Any, Any]
    names: list[str]
    zone: dt.tzinfo | None = None

    def texts(self) -> list[str]:
        """Format each row's value."""
        if self.kind == "time":
            return times.texts(self.local)[0]
        if self.kind == "number":
            whole = all(abs(value) < 10_000 and value == int(value) for value in self.values.tolist())
            return [str(int(value)) if whole else number(value) for value in self.values.tolist()]
        return self.names

    def places(self) -> np.ndarray[Any, Any]:
        """Return each row's place from 0 to 1; 0.5 if all are equal."""
        low, high = self.values.min(), self.values.max()
        return places(self.values, Decimal(low.item()), Decimal(high.item()))

    def ticks(self, width: float) -> list[Tick]:
        """Choose as many round ticks as fit side by side into a width in pixels; at least one."""
        for candidate in self._candidates():
            if len(candidate) > 1 and (placed := side_by_side(candidate, width)):
                return placed
        texts, at = self.texts(), self.places()
        ends = [Tick(float(at[i]), shortened(texts[i], 24)) for i in (0, -1)]
        return side_by_side(ends if at[0] < at[-1] else ends[:1], width, alone=True)

    def _candidates(self) -> Iterator[list[Tick]]:
        low, high = self.values.min(), self.values.max()
        first, last = Decimal(low.item()), Decimal(high.item())
        if first == last:
            return
        if self.kind == "time":
            for moments, texts, contexts in times.steps(self.local):
                yield _changes(self._at(moments), texts, contexts)
            return
        whole = self.kind == "label" or bool((self.values == np.floor(self.values)).all())
        for most in range(9, 1, -1):
            chosen = ticks(low, high, most, finest=1 if whole else None)
            at = places(np.array(list(map(float, chosen))), first, last)
            if self.kind == "label":
                texts = [shortened(self.names[int(value)], 16) for value in chosen]
            else:
                texts = labels(chosen, grouped_from=10_000)
            yield [Tick(float(place), text) for place, text in zip(at, texts, strict=True)]

    def _at(self, moments: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the places of moments of the local clock; NaN for those that the clock skips."""
        index = pd.DatetimeIndex(moments)
        if self.zone is not None:
            first = np.ones(len(index), dtype=bool)  # of the two times that the clock shows twice
            index = index.tz_localize(self.zone, ambiguous=first, nonexistent="NaT")
            index = index.tz_convert("UTC").tz_localize(None)
        utc = index.to_numpy().astype("datetime64[us]")
        low, high = self.values[0].item(), self.values[-1].item()
        at = (utc.astype(np.int64) - low) / (high - low)
        return np.where(np.isnat(utc) | (at < 0) | (at > 1), np.nan, at)


def over(index: pd.Index) -> Axis:
    """Read an index; what is missing in it is NaT or NaN among the values."""
    title = " / ".join(str(name) for name in index.names if name is not None)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.TimedeltaIndex):
        return _durations(index, title)
    moments = _times(index)
    if moments is not None:
        return _over_times(moments, title)
    values = _numbers(index)
    if values is not None:
        return Axis("number", title, values, np.array([], "datetime64[us]"), [])
    names = [_name(value) for value in index]
    return Axis("label", title, np.arange(len(index)), np.array([], "datetime64[us]"), names)


def places(values: np.ndarray[Any, Any], low: Decimal, high: Decimal) -> np.ndarray[Any, Any]:
    """Return where values lie between two bounds, from 0 to 1; 0.5 if the bounds are equal. NaN stays."""
    if low == high:
        return np.where(np.isnan(values.astype(float)), np.nan, 0.5)
    power = max(abs(low), abs(high)).adjusted()
    move = 0 if abs(power) < _BEYOND else -20 if power > 0 else 100
    begin, end = float(low.scaleb(move)), float(high.scaleb(move))
    scaled = values.astype(float) * float(f"1e{move}") if move else values.astype(float)
    result: np.ndarray[Any, Any] = np.clip((scaled - begin) / (end - begin), 0, 1)
    return result


def width_of(text: str) -> float:
    """Estimate the width of a text in pixels, at 12 pixels a line, rather too wide than too narrow."""
    return sum(12.5 if unicodedata.east_asian_width(char) in "WF" else 7.2 for char in text)


def shortened(text: str, most: int = LONGEST) -> str:
    """Cut a text, with `…` at its end if something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _over_times(moments: pd.DatetimeIndex, title: str) -> Axis:
    zone = moments.tz
    local = (moments.tz_localize(None) if zone is not None else moments).to_numpy()
    utc = (moments.tz_convert("UTC").tz_localize(None) if zone is not None else moments).to_numpy()
    name = (
        f"{title} ({zone})"
        if title and zone is not None
        else title or (str(zone) if zone is not None else "")
    )
    values = utc.astype("datetime64[us]").astype(np.int64)
    return Axis("time", name, values, local.astype("datetime64[us]"), [], zone)


def _durations(index: pd.TimedeltaIndex, title: str) -> Axis:
    seconds = index.total_seconds().to_numpy()
    largest = np.nanmax(np.abs(seconds)) if len(seconds) and not np.isnan(seconds).all() else 1.0
    unit, length = next((item for item in _DURATIONS if largest >= 2 * item[1]), _DURATIONS[-1])
    name = f"{title} ({unit})" if title else unit
    return Axis("number", name, seconds / length, np.array([], "datetime64[us]"), [])


def _times(index: pd.Index) -> pd.DatetimeIndex | None:
    """Return the index as times, all with one time zone or none; None if it does not hold times."""
    if isinstance(index, pd.DatetimeIndex):
        return index
    if index.dtype != object or not len(index):
        return None
    values = [None if pd.api.types.is_scalar(value) and pd.isna(value) else value for value in index]
    present = [value for value in values if value is not None]
    if not present or not all(isinstance(value, dt.date) for value in present):
        return None
    aware = [isinstance(value, dt.datetime) and value.tzinfo is not None for value in present]
    if not any(aware):
        array = np.array(values, dtype="datetime64[us]")
        return pd.DatetimeIndex(array)
    if not all(aware):
        return None
    zones = {str(value.tzinfo) for value in present}
    zone = present[0].tzinfo if len(zones) == 1 else dt.UTC
    naive = [None if v is None else v.astimezone(dt.UTC).replace(tzinfo=None) for v in values]
    return pd.DatetimeIndex(np.array(naive, dtype="datetime64[us]")).tz_localize("UTC").tz_convert(zone)


def _numbers(index: pd.Index) -> np.ndarray[Any, Any] | None:
    """Return the index as numbers; None if it holds anything else, also for true and false."""
    if isinstance(index, pd.CategoricalIndex | pd.MultiIndex | pd.IntervalIndex) or not len(index):
        return None
    if index.dtype == object:
        present = [value for value in index if not (pd.api.types.is_scalar(value) and pd.isna(value))]
        is_number = all(
            isinstance(value, kinds.Real | Decimal) and not isinstance(value, bool | np.bool_)
            for value in present
        )
        if not present or not is_number:
            return None
        values = [float("nan") if pd.isna(value) else _float(value) for value in index]
        return np.array(values, dtype=float)
    plain = pd.api.types.is_any_real_numeric_dtype(index.dtype)
    return index.to_numpy(dtype=float, na_value=np.nan) if plain else None


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _name(value: Any) -> str:
    if isinstance(value, tuple):
        return " / ".join(map(_name, value))
    return "–" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def _changes(at: np.ndarray[Any, Any], texts: Sequence[str], contexts: Sequence[str]) -> list[Tick]:
    """Make ticks whose context is given where it changes; no two are at one place."""
    result: list[Tick] = []
    before, last = "", -1.0
    for place, text, context in zip(at.tolist(), texts, contexts, strict=True):
        if not place > last:
            continue
        result.append(Tick(place, text, context if context != before else ""))
        before, last = context, place
    return result


def side_by_side(candidate: Sequence[Tick], width: float, *, alone: bool = False) -> list[Tick]:
    """Anchor labels so that none leaves the axis; nothing if they overlap, or just the first if `alone`."""
    result: list[Tick] = []
    free = -1.0
    for tick in candidate:
        room = max(width_of(tick.label), width_of(tick.context))
        at = tick.place * width
        anchor: Literal["start", "middle", "end"] = "middle"
        begin = at - room / 2
        if begin < 0:
            anchor, begin = "start", at
        elif begin + room > width:
            anchor, begin = "end", at - room
        if begin < free:
            return result if alone else []
        result.append(Tick(tick.place, tick.label, tick.context, anchor))
        free = begin + room + 12
    return result
