"""What a page of a report draws, read from its markup."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd

from lightwork.runs.report import Report
from lightwork.runs.report.axis import width_of

_VOID = ("meta", "br", "hr", "img", "input", "link")


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.builder = ET.TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in _VOID:
            self.builder.end(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self.builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        self.builder.data(data)


def tree(page: str) -> ET.Element:
    """Parse a page whose elements are all closed; an unclosed one is an error."""
    parser = _Tree()
    parser.feed(page.removeprefix("<!doctype html>").strip())
    return parser.builder.close()


def marked(element: ET.Element, name: str) -> list[ET.Element]:
    """Return the elements inside that have a class."""
    return [item for item in element.iter() if name in item.get("class", "").split()]


def text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def percent(value: str | None) -> float:
    assert value is not None
    return float(value.removesuffix("%"))


@dataclass
class Plot:
    """One chart of lines.

    Attributes:
        segments: for each line, the pairs of points that it joins, in units of the plot.
        dots: for each line, the points that are drawn as dots.
        wide: place in percent, anchor and label of each tick of a wide page.
        narrow: those of a phone.
        data: what the script gets.
    """

    segments: list[list[tuple[tuple[int, int], tuple[int, int]]]]
    dots: list[list[tuple[int, int]]]
    wide: list[tuple[float, str, str]]
    narrow: list[tuple[float, str, str]]
    data: dict[str, Any]
    figure: ET.Element


def plot(figure: ET.Element) -> Plot:
    (view,) = marked(figure, "view")
    lines = marked(view, "line")
    dots = {item.get("data-of"): item.get("d", "") for item in marked(view, "dots")}
    return Plot(
        segments=[_segments(item.get("d", "")) for item in lines],
        dots=[
            [(int(x), int(y)) for x, y in re.findall(r"M(-?\d+) (-?\d+)h0", dots.get(str(i), ""))]
            for i in range(len(lines))
        ],
        wide=_ticks(figure, "wide"),
        narrow=_ticks(figure, "narrow"),
        data=json.loads(next(figure.iter("script")).text or ""),
        figure=figure,
    )


def drawn(frame: pd.DataFrame | pd.Series, **options: Any) -> Plot:
    """Draw a frame as a chart of lines."""
    (figure,) = marked(tree(page_of(frame, **options)), "lines")
    return plot(figure)


def page_of(frame: pd.DataFrame | pd.Series, **options: Any) -> str:
    report = Report()
    report.lines("Title", frame, **options)
    return report.html(heading="h", facts={})


def _segments(path: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    result = []
    at = (0, 0)
    for command, x, y in re.findall(r"([Ml])(-?\d+) (-?\d+)", path):
        to = (int(x), int(y)) if command == "M" else (at[0] + int(x), at[1] + int(y))
        if command == "l":
            result.append((at, to))
        at = to
    return result


def _ticks(figure: ET.Element, kind: str) -> list[tuple[float, str, str]]:
    (group,) = marked(figure, kind)
    return [
        (percent(item.get("x")), item.get("text-anchor", ""), text(item))
        for item in group.iter("text")
        if item.get("y") == "19"
    ]


def boxes(ticks: list[tuple[float, str, str]], width: float) -> list[tuple[float, float]]:
    """Return where the labels begin and end on an axis of so many pixels."""
    result = []
    for place, anchor, label in ticks:
        room = width_of(label)
        begin = place / 100 * width - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * room
        result.append((begin, begin + room))
    return result
