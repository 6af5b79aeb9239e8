"""The charts as data for the template: paths, marks and ticks, and the values that the script shows.

A chart is drawn when the report is written, so it needs no script; the script adds values at the pointer,
hiding of lines, and zoom. A plot is as wide as the page allows: its lines are stretched, its labels are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from lightwork.runs.report.axis import NARROW, WIDE, Axis, Tick, over, places, shortened, side_by_side
from lightwork.runs.report.numbers import labels, number, ticks

if TYPE_CHECKING:
    import pandas as pd

    from lightwork.runs.report.sections import Bars, Lines

COLORS = 8
ACROSS, DOWN = 4000, 1000
"""The units of a plot; its lines are stretched to the size of the page."""
MAX_CATEGORIES = 40
_MARKED = 40
"""Lines of at most so many rows have a dot at each value."""
_Y_TICKS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """One line or kind of dot.

    Attributes:
        name: as the legend shows it.
        color: from 1 to COLORS.
        dash: 0 for a full line, 1 and 2 for others, once the colors are used up.
        path: the line, in units of the plot; empty for dots.
        dots: a path with a dot for each value that no line reaches; empty if there is none.
    """

    name: str
    color: int
    dash: int
    path: str
    dots: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines or dots over times, numbers, or more labels than rows fit on a page."""

    title: str
    description: str
    unit: str
    x_title: str
    series: list[Series]
    y_labels: list[str]
    y_places: list[float]
    wide: list[Tick]
    narrow: list[Tick]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of bars: the name, the value as text, and the bar from `begin` over `length`, in percent."""

    name: str
    text: str
    begin: float
    length: float
    below: bool


@dataclass(frozen=True, slots=True)
class BarChart:
    """Horizontal bars, the first at the top; `zero` is the place of zero in percent."""

    title: str
    name: str
    unit: str
    zero: float
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot at a place in percent; `text` says whose and which value."""

    place: float
    color: int
    hollow: bool
    text: str


@dataclass(frozen=True, slots=True)
class DotChart:
    """A row for each label with a dot for each column."""

    title: str
    name: str
    unit: str
    series: list[Series]
    rows: list[tuple[str, list[Dot]]]
    ticks: list[Tick]


Chart = LineChart | BarChart | DotChart


def bars(section: Bars) -> BarChart | None:
    """Arrange bars; None without values."""
    return _bars(section.title, "", section.unit, list(section.values), list(section.values.values()))


def lines(section: Lines) -> Chart | None:
    """Arrange lines; labels become bars or rows of dots; None without values."""
    frame = section.frame
    if not np.isfinite(frame.to_numpy()).any():
        return None
    axis = over(frame.index)
    if axis.kind != "label" or len(frame) > MAX_CATEGORIES:
        return _lines(section, axis)
    if len(frame.columns) == 1:
        name = str(frame.columns[0])
        unit = shortened(f"{name} ({section.unit})" if section.unit else name)
        return _bars(section.title, axis.title, unit, axis.names, frame.iloc[:, 0].tolist())
    return _dots(section, axis)


def _bars(title: str, name: str, unit: str, names: list[str], values: list[float]) -> BarChart | None:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = Decimal(repr(min(0.0, *finite))), Decimal(repr(max(0.0, *finite)))
    zero, at = 0.0, np.full(len(values), np.nan)
    if low != high:
        zero = 100 * float(places(np.array([0.0]), low, high)[0])
        at = 100 * places(np.array(values, dtype=float), low, high)
    rows = []
    for row, value, end in zip(names, values, at.tolist(), strict=True):
        length = 0.0 if math.isnan(end) or not value else max(abs(end - zero), 0.2)
        begin = max(0.0, zero - length) if value < 0 else min(zero, 100 - length)
        rows.append(Bar(shortened(row), number(value), round(begin, 2), round(length, 2), value < 0))
    return BarChart(title, name, unit, round(zero, 2), rows)


def _lines(section: Lines, axis: Axis) -> LineChart:
    frame, joined = section.frame, axis.kind != "label"
    across = np.rint(axis.places() * ACROSS).astype(int).tolist()
    marks, low, high = _scale(frame)
    series = []
    for position, (name, values) in enumerate(_columns(frame)):
        at = places(values, low, high)
        down = [None if math.isnan(place) else round(DOWN * (1 - place)) for place in at.tolist()]
        path, dots = _paths(across, down, joined=joined, marked=len(frame) <= _MARKED)
        series.append(Series(name, position % COLORS + 1, position // COLORS % 3, path, dots))
    return LineChart(
        title=section.title,
        description=_description(section, axis),
        unit=section.unit,
        x_title=axis.title,
        series=series,
        y_labels=labels(marks)[::-1],
        y_places=[round(100 - 100 * float((mark - low) / (high - low)), 2) for mark in reversed(marks)],
        wide=axis.ticks(WIDE),
        narrow=axis.ticks(NARROW),
        data=_data(section, axis, across, (low, high)),
    )


def _dots(section: Lines, axis: Axis) -> DotChart:
    frame = section.frame
    for most in range(_Y_TICKS, 2, -1):
        marks, low, high = _scale(frame, most)
        at_marks = [float((mark - low) / (high - low)) for mark in marks]
        placed = side_by_side(list(map(Tick, at_marks, labels(marks))), NARROW, alone=most == 3)
        if placed:
            break
    series = [
        Series(name, position % COLORS + 1, position // COLORS % 3, "", "")
        for position, (name, _) in enumerate(_columns(frame))
    ]
    columns = _columns(frame)
    at = [100 * places(values, low, high) for _, values in columns]
    unit = f" {section.unit}" if section.unit else ""
    rows = []
    for row, name in enumerate(axis.names):
        dots = [
            Dot(
                round(float(at[i][row]), 2),
                item.color,
                item.dash > 0,
                f"{item.name}: {number(columns[i][1][row])}{unit}",
            )
            for i, item in enumerate(series)
            if not math.isnan(at[i][row])
        ]
        rows.append((shortened(name), dots))
    return DotChart(section.title, axis.title, section.unit, series, rows, placed)


def _columns(frame: pd.DataFrame) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Return the columns by position, since names may occur twice."""
    names = [shortened(str(name), 60) for name in frame.columns]
    return [(name, frame.iloc[:, position].to_numpy()) for position, name in enumerate(names)]


def _scale(frame: pd.DataFrame, most: int = _Y_TICKS) -> tuple[list[Decimal], Decimal, Decimal]:
    """Return the ticks of all values, and the first and the last, between which the plot extends."""
    values = frame.to_numpy()
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if 0 < low <= high / 3:
        low = 0.0
    marks = ticks(low, high, most, around=True)
    return marks, marks[0], marks[-1]


def _paths(across: list[int], down: list[int | None], *, joined: bool, marked: bool) -> tuple[str, str]:
    """Return the path through the points, and that of the dots.

    Dots mark the points that no line reaches; all points if `marked` or not `joined`.
    """
    path, dots = [], []
    last: tuple[int, int] | None = None
    for i, (x, y) in enumerate(zip(across, down, strict=True)):
        if y is None:
            last = None
            continue
        alone = last is None and (i + 1 == len(down) or down[i + 1] is None)
        if marked or alone or not joined:
            dots.append(f"M{x} {y}h0")
        if joined and not alone:
            # Relative steps are short, which keeps the page small.
            path.append(f"M{x} {y}" if last is None else f"l{x - last[0]} {y - last[1]}")
        last = (x, y)
    return "".join(path), "".join(dots)


def _description(section: Lines, axis: Axis) -> str:
    texts = axis.texts()
    named = f"{axis.title}: " if axis.title else ""
    unit = f" {section.unit}" if section.unit else ""
    parts = []
    for name, values in _columns(section.frame):
        if np.isnan(values).all():
            parts.append(f"{name}: no values")
        else:
            low, high = number(float(np.nanmin(values))), number(float(np.nanmax(values)))
            parts.append(f"{name}: {low} to {high}{unit}")
    return f"{named}{texts[0]} to {texts[-1]}. {'; '.join(parts)}."


def _data(section: Lines, axis: Axis, across: list[int], bounds: tuple[Decimal, Decimal]) -> dict[str, Any]:
    """Return what the script needs: each row's place and text, and the values."""
    from lightwork.runs.report import times

    shown: dict[str, Any] = {"kind": axis.kind}
    if axis.kind == "time":
        # Milliseconds of the local clock, as steps of their greatest common divisor.
        local = axis.local.astype(np.int64)
        differences = np.diff(local)
        unit = int(np.gcd.reduce(differences)) or 1 if len(differences) else 1
        shown |= {"start": int(local[0]) / 1000, "unit": unit / 1000, "steps": (differences // unit).tolist()}
        shown["cut"] = times.texts(axis.local)[1]
    else:
        shown["texts"] = [shortened(text, 60) for text in axis.texts()]
    values = [[_short(value) for value in column.tolist()] for _, column in _columns(section.frame)]
    low, high = (max(-1.7e308, min(1.7e308, float(bound))) for bound in bounds)
    return {"unit": section.unit, "across": across, "x": shown, "low": low, "high": high, "values": values}


def _short(value: float) -> float | int | None:
    """Return a value with the digits that are shown."""
    if math.isnan(value):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    if 1000 <= abs(value) < 1e15:
        return round(value, 1)
    short = float(f"{value:.5g}")
    return short if math.isfinite(short) else value
