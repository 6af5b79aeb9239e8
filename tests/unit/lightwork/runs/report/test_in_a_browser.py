"""Reports in a real Chromium: nothing is cut or covered at any width, and the script shows values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightwork.runs.report import Report
from tests.unit.lightwork.runs.report.browser import Browser, browser, executable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no chromium on PATH"),
]

WIDTHS = (320, 390, 800, 1440)
FIGURE = "document.querySelectorAll('figure.lines')[{}]"

OUTSIDE = """
[...document.querySelectorAll('h1, h2, p, th, td, text, .y span, .legend li, dd, summary')]
  .filter(item => item.textContent.trim() && !item.closest('.scroll'))
  .filter(item => {
    const box = item.getBoundingClientRect();
    const card = (item.closest('section, header') || document.body).getBoundingClientRect();
    return box.width && (box.left < card.left || box.right > card.right + 0.5 || box.bottom > card.bottom);
  }).map(item => item.textContent)
"""
COVERED = """
[...document.querySelectorAll('svg.x, .y, .legend, .rows')].flatMap(group => {
  const boxes = [...group.querySelectorAll('text, span, li, th, .n')]
    .filter(item => item.textContent.trim()).map(item => [item.textContent, item.getBoundingClientRect()])
    .filter(([, box]) => box.width);
  return boxes.flatMap(([a, one], i) => boxes.slice(i + 1)
    .filter(([, other]) => one.left < other.right && other.left < one.right && one.height && other.height
      && one.top + 2 < other.bottom && other.top + 2 < one.bottom).map(([b]) => `${a} / ${b}`));
})
"""


def report() -> Report:
    rng = np.random.default_rng(0)
    days = pd.date_range("2013-01-01", periods=300, name="day", tz="America/New_York")
    result = Report()
    result.lines("Days", pd.DataFrame(rng.normal(size=(300, 3)).cumsum(0), days, list("abc")), unit="mph")
    result.lines("One day", pd.DataFrame({"first": [1.0], "second": [2.0]}, index=days[:1]), unit="kW")
    minutes = pd.date_range("2026-01-01", periods=100_000, freq="min")
    many = pd.DataFrame(
        rng.normal(size=(100_000, 12)), minutes, [f"a line with a long name {i}" for i in range(12)]
    )
    result.lines("Many", many * 1e12)
    long = "a label that goes on and on, with a_word_that_has_no_place_to_break_it_at_all_and_goes_on_and_on"
    result.lines("Rows", pd.DataFrame({"a": [1, 2], "b": [3, -4]}, index=[long, "short"]), unit="V")
    result.lines("Labels", pd.Series(np.arange(90.0), index=[f"{long} {i}" for i in range(90)]))
    result.bars(
        "Bars", {long: -1234567.8, "short": 2e20, "": 0.0, "مرحبا": 1e19}, unit="% of a new cell's capacity"
    )
    result.lines("Tiny", pd.Series([1e-300, 2e-300, 1.5e-300], index=[2010, 2015, 2020]))
    result.table("Table", pd.DataFrame({long: [1.5], "b": ["text " * 40]}))
    return result


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report().html(heading="a-pipeline", facts={"run": "20260101", "lake": "/x" * 60}))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_or_covered(chromium: Browser, page: Path, width: int, dark: bool) -> None:
    chromium.open(page, width=width, dark=dark)
    assert chromium.run("document.documentElement.scrollWidth") == width
    assert chromium.run(OUTSIDE) == []
    assert chromium.run(COVERED) == []
    assert chromium.messages == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_charts_need_no_script(chromium: Browser, page: Path, width: int) -> None:
    chromium.open(page, width=width, scripts=False)
    assert chromium.run(OUTSIDE) == []
    count = "[...document.querySelectorAll('.view path')].filter(p => p.getBoundingClientRect().width).length"
    assert chromium.run(count) >= 3 + 12 + 1


def at(chromium: Browser, figure: int, x: float, y: float = 0.5) -> tuple[float, float]:
    """Return the place in the window of a part of a chart's area."""
    box = chromium.run(
        f"(() => {{ const a = {FIGURE.format(figure)}.querySelector('.area'); a.scrollIntoView();"
        " const b = a.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
    )
    return box[0] + x * box[2], box[1] + y * box[3]


def tip(chromium: Browser, figure: int) -> str:
    return str(
        chromium.run(f"(t => t.hidden ? '' : t.innerText)({FIGURE.format(figure)}.querySelector('.tip'))")
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_the_pointer_shows_all_values_of_a_time(chromium: Browser, page: Path, width: int) -> None:
    chromium.open(page, width=width)
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.0))
    assert tip(chromium, 0).split()[0] == "2013-01-01"
    assert tip(chromium, 0).count("mph") == 3
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.999))
    assert tip(chromium, 0).split()[0] == "2013-10-27"
    box = f"{FIGURE.format(0)}.querySelector('.tip').getBoundingClientRect()"
    assert chromium.run(f"{box}.left") >= 0
    assert chromium.run(f"{box}.right") <= width
    chromium.mouse("mouseMoved", *at(chromium, 1, 0.1))
    assert tip(chromium, 1).split("\n")[0] == "2013-01-01"


def test_arrow_keys_show_the_values(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=800)
    chromium.run(f"{FIGURE.format(0)}.querySelector('.area').focus()")
    for key, day in (("ArrowRight", "2013-01-01"), ("ArrowRight", "2013-01-02"), ("End", "2013-10-27")):
        chromium.key(key)
        assert tip(chromium, 0).split()[0] == day
    chromium.key("Escape")
    assert tip(chromium, 0) == ""


def test_the_legend_hides_a_line_and_its_values(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=800)
    button = f"{FIGURE.format(0)}.querySelectorAll('.legend button')[1]"
    shown = f"{FIGURE.format(0)}.querySelector('path[data-name=b]').getBoundingClientRect().width > 0"
    chromium.run(f"{button}.click()")
    assert not chromium.run(shown)
    assert chromium.run(f"{button}.getAttribute('aria-pressed')") == "false"
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.5))
    assert tip(chromium, 0).count("mph") == 2
    chromium.run(f"{button}.click()")
    assert chromium.run(shown)


def test_dragging_zooms_in_and_a_button_out(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=800)
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.5))
    chromium.mouse("mousePressed", *at(chromium, 0, 0.5))
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.75))
    chromium.mouse("mouseReleased", *at(chromium, 0, 0.75))
    ends = f"[...{FIGURE.format(0)}.querySelectorAll('.ends text')].map(item => item.textContent)"
    begin, end = chromium.run(ends)
    assert "2013-05-29" <= begin <= "2013-06-01"
    assert "2013-08-11" <= end <= "2013-08-14"
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.0))
    assert tip(chromium, 0).split()[0] == begin
    chromium.run(f"{FIGURE.format(0)}.querySelector('.reset').click()")
    chromium.mouse("mouseMoved", *at(chromium, 0, 0.01))
    assert tip(chromium, 0).split()[0] < "2013-01-06"
