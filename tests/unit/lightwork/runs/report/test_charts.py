"""Charts of any values: all of them are drawn, inside the plot, and no label is cut or covers another."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightwork.runs.report import Report
from lightwork.runs.report.axis import NARROW, WIDE
from tests.unit.lightwork.runs.report.drawn import (
    Plot,
    boxes,
    drawn,
    marked,
    page_of,
    percent,
    text,
    tree,
)

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
NAN, INF = math.nan, math.inf
DAYS = pd.date_range("2013-01-01", periods=400, freq="D")


def values_of(frame: pd.DataFrame) -> list[list[float | None]]:
    """Return each column's values, None for those that cannot be drawn."""
    return [
        [value if math.isfinite(value) else None for value in frame.iloc[:, i].tolist()]
        for i in range(frame.shape[1])
    ]


def assert_all_drawn(plot: Plot, columns: list[list[float | None]]) -> None:
    """Check that each value is reached by a line or a dot at its height, and that no line bridges a gap."""
    across = plot.data["across"]
    for segments, dots, values in zip(plot.segments, plot.dots, columns, strict=True):
        ends = {point for pair in segments for point in pair}
        joined = {(a[0], b[0]) for a, b in segments}
        present = [i for i, value in enumerate(values) if value is not None]
        points = ends | set(dots)
        assert {x for x, _ in points} == {across[i] for i in present}
        assert all(0 <= x <= 4000 and 0 <= y <= 1000 for x, y in points)
        allowed = {(across[i], across[i + 1]) for i in present if i + 1 in present}
        assert joined <= allowed


@settings(max_examples=40)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=30))
@example([(1.0, NAN)])
@example([(5.0, 5.0), (5.0, 5.0)])
@example([(0.0, NAN), (NAN, 0.0), (0.0, NAN)])
@example([(1.7e308, -1.7e308), (INF, 5e-324)])
@example([(1.79765e308, 0.0)])
@example([(5e-324, NAN), (-5e-324, NAN)])
@example([(1e9, 1e9 + 1e-6)])
def test_every_value_is_drawn_inside_the_plot_and_gaps_stay_gaps(rows: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b"])
    if not np.isfinite(frame.to_numpy()).any():
        assert "No values." in page_of(frame)
        return
    plot = drawn(frame)
    assert_all_drawn(plot, values_of(frame))
    labels = [text(item) for item in marked(plot.figure, "y")[0]]
    assert 2 <= len(labels) <= 6
    assert len(set(labels)) == len(labels)
    places = [percent(item.get("y1")) for item in marked(marked(plot.figure, "canvas")[0], "gridline")]
    assert places == pytest.approx(list(np.linspace(0, 100, len(labels))), abs=0.01)


def test_the_height_of_a_point_is_its_value() -> None:
    plot = drawn(pd.Series([0.0, 5.0, 10.0]))
    assert plot.dots == [[(0, 1000), (2000, 500), (4000, 0)]]
    assert plot.segments == [[((0, 1000), (2000, 500)), ((2000, 500), (4000, 0))]]


@pytest.mark.parametrize(
    "index",
    [[dt.date(2026, 1, 31)], pd.DatetimeIndex(["2026-01-31"]), [7], ["only"]],
    ids=["date", "time", "number", "label"],
)
@pytest.mark.parametrize("columns", [1, 3])
def test_a_single_row_is_a_dot_or_a_bar_with_its_label(index, columns: int) -> None:
    page = tree(page_of(pd.DataFrame([[2.5, 3.5, 4.5][:columns]], index=index)))
    shapes = [*marked(page, "bar"), *[c for c in page.iter("circle") if c.get("cx", "").endswith("%")]]
    dots = marked(page, "dots")
    assert len(shapes) + len(dots) == columns
    assert any(word in text(page) for word in ("2026-01-31", "7", "only"))
    for item in dots:
        assert item.get("d", "").startswith("M2000 ")


def test_lone_points_among_gaps_are_dots_also_in_long_and_thinned_lines() -> None:
    for count in (100, 100_000):
        values = np.full(count, np.nan)
        values[:: count // 50] = 1.0
        plot = drawn(pd.Series(values))
        assert sum(len(dots) for dots in plot.dots) + 2 * sum(map(len, plot.segments)) >= 50


# --- times -----------------------------------------------------------------------------------------------

ZONES = (None, "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")
STEPS = ("D", "7D", "MS", "YS", "h", "6h", "min", "s", "ms", "us", "17min", "QS")


@st.composite
def times(draw: st.DrawFn) -> pd.DatetimeIndex:
    begin = draw(st.dates(dt.date(1950, 1, 1), dt.date(2090, 1, 1)))
    second = draw(st.integers(0, 86_399))
    step = draw(st.sampled_from(STEPS))
    count = draw(st.integers(2, 80))
    whole = pd.Timestamp(begin)
    if step not in ("D", "7D", "MS", "YS", "QS"):
        whole += pd.Timedelta(seconds=second)
    naive = pd.date_range(whole, periods=count, freq=step)
    zone = draw(st.sampled_from(ZONES))
    if zone is None:
        return naive
    return naive.tz_localize(zone, ambiguous=np.ones(count, bool), nonexistent="shift_forward")


@settings(max_examples=40)
@given(times())
def test_labels_of_times_fit_the_axis_and_do_not_overlap(index: pd.DatetimeIndex) -> None:
    plot = drawn(pd.Series(np.arange(float(len(index))), index=index))
    assert_fits(plot)
    if (index == index.normalize()).all():
        assert not any(":" in label for _, _, label in plot.wide + plot.narrow)


def assert_fits(plot: Plot) -> None:
    for ticks, width in ((plot.wide, WIDE), (plot.narrow, NARROW)):
        assert ticks
        spans = boxes(ticks, width)
        assert spans[0][0] >= -0.5
        assert len(spans) == 1 or spans[-1][1] <= width + 0.5
        for (_, end), (begin, _) in itertools.pairwise(spans):
            assert end < begin


@pytest.mark.parametrize(
    ("index", "labels"),
    [
        (DAYS[:3], ["1 Jan", "2 Jan", "3 Jan"]),
        (DAYS[:365], ["Jan", "Mar", "May", "Jul", "Sep", "Nov"]),
        (pd.date_range("2026-01-01", periods=3, freq="MS"), ["Jan", "Feb", "Mar"]),
        (pd.period_range("2019", periods=4, freq="Y"), ["2019", "2020", "2021", "2022"]),
        (pd.date_range("2026-01-01 06:00", periods=4, freq="h"), ["06:00", "07:00", "08:00", "09:00"]),
        (pd.date_range("1500", periods=5, freq="100YS", unit="s"), [f"{y}" for y in range(1500, 1901, 50)]),
        (pd.timedelta_range("0h", periods=4, freq="h"), ["0", "1", "2", "3"]),
        (pd.Index([2010, 2011, 2012]), ["2010", "2011", "2012"]),
        (pd.Index([Decimal("0.5"), Decimal(1), Decimal("1.5")]), ["0.6", "0.8", "1.0", "1.2", "1.4"]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")) or None,
)  # fmt: skip
def test_ticks_are_as_fine_as_the_rows(index: pd.Index, labels: list[str]) -> None:
    plot = drawn(pd.Series(np.arange(float(len(index))), index=index))
    shown = [label for _, _, label in plot.wide]
    assert shown == labels


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40)
@given(st.lists(FINITE | st.integers(-(10**18), 10**18).map(float), min_size=1, max_size=50))
@example([1.7e308, -1.7e308])
@example([5e-324, 0.0])
@example([1e15, 1e15 + 1])
@example([7.0, 7.0])
@example([1999.0, 2000.0, 2020.0])
def test_labels_of_numbers_fit_the_axis_and_do_not_overlap(index: list[float]) -> None:
    plot = drawn(pd.Series(np.arange(float(len(index))), index=index))
    assert_fits(plot)
    assert plot.data["across"] == sorted(plot.data["across"])
    assert {0, 4000} <= set(plot.data["across"]) or len(set(index)) == 1
    assert len({label for _, _, label in plot.wide}) == len(plot.wide)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": []}), pd.DataFrame({"x": [], "y": []}, index=pd.DatetimeIndex([])),
        pd.DataFrame({"x": [1.0]}, index=[pd.NaT]),
        pd.DataFrame({"x": [1.0]}, index=pd.DatetimeIndex([None])),
        pd.DataFrame({"x": [NAN, None]}), pd.DataFrame({"x": [INF, -INF]}, index=["a", "b"]),
        pd.DataFrame({"x": [1.0]}, index=[NAN]), pd.DataFrame({"x": [1.0]}, index=[INF]),
        pd.DataFrame({"x": [1.0]}, index=pd.TimedeltaIndex([None])),
        pd.DataFrame({"x": []}, index=pd.Index([], str)),
        pd.DataFrame({"x": np.full(5000, NAN)}),
    ],
    ids=lambda frame: f"{frame.index.dtype}-{len(frame)}",
)  # fmt: skip
def test_nothing_to_draw_is_said_in_words_or_drawn_as_a_label(frame: pd.DataFrame) -> None:
    page = text(tree(page_of(frame)))
    assert ("No values." in page) or ("–" in page)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_on_which_clocks_change_has_even_hours(day: str, hours: int) -> None:
    begin = pd.Timestamp(day, tz="Europe/Berlin")
    index = pd.date_range(begin, begin + pd.DateOffset(days=1), freq="h")
    plot = drawn(pd.Series(np.arange(float(len(index))), index=index))
    assert len(index) == hours + 1
    assert np.diff(plot.data["across"]) == pytest.approx(4000 / hours, abs=1)
    noon = next(place for place, _, label in plot.wide if label == "12:00")
    assert noon == pytest.approx(100 * (hours - 12) / hours, abs=0.1)
    assert "Europe/Berlin" in text(plot.figure)


def test_times_of_the_script_are_those_of_the_local_clock() -> None:
    index = pd.date_range("2026-03-29 01:00", periods=3, freq="h", tz="Europe/Berlin")
    x = drawn(pd.Series([1.0, 2.0, 3.0], index=index)).data["x"]
    starts = np.cumsum([x["start"], *(step * x["unit"] for step in x["steps"])])
    local = pd.to_datetime(starts, unit="ms").strftime("%H:%M").tolist()
    assert local == ["01:00", "03:00", "04:00"]


@pytest.mark.parametrize(
    ("index", "order", "words"),
    [
        (DAYS[[2, 0, 1]], [2.0, 3.0, 1.0], "rows sorted by the index"),
        ([3, 1, 2], [2.0, 3.0, 1.0], "rows sorted by the index"),
        ([1.0, NAN, 3.0], [1.0, 3.0], "omitted 1 row without a finite index"),
        ([1.0, INF, -INF], [1.0], "omitted 2 rows without a finite index"),
        (pd.DatetimeIndex(["2026-01-02", None, "2026-01-01"]), [3.0, 1.0], "omitted 1 row without a time"),
        ([dt.date(2026, 1, 2), None, dt.date(2026, 1, 1)], [3.0, 1.0], "omitted 1 row without a time"),
        ([2, 2, 2], [1.0, 2.0, 3.0], ""),
    ],
)
def test_rows_are_sorted_and_what_has_no_place_is_left_out_with_a_note(index, order, words: str) -> None:
    frame = pd.Series([1.0, 2.0, 3.0], index=index)
    assert drawn(frame).data["values"] == [order]
    assert words in text(tree(page_of(frame)))


def test_infinite_values_are_gaps_and_the_note_says_so() -> None:
    frame = pd.Series([1.0, INF, 3.0, -INF, NAN])
    assert drawn(frame).data["values"] == [[1, None, 3, None, None]]
    assert "omitted 2 infinite values" in text(tree(page_of(frame)))


# --- labels ----------------------------------------------------------------------------------------------

LABELS = st.text(min_size=0, max_size=60)


@pytest.mark.parametrize(
    "index",
    [
        ["mon", "tue", "wed"],
        [True, False, True],
        [1, "two", None],
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)]),
        [dt.time(1), dt.time(2), dt.time(3)],
        pd.interval_range(0, 3),
        pd.CategoricalIndex([1, 2, 3]),
        [1j, 2j, 3j],
        [dt.date(2026, 1, 1), dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "c"],
    ],
    ids=lambda index: type(index).__name__ + str(index)[:24],
)
def test_labels_are_never_joined_by_a_line(index) -> None:
    one = tree(page_of(pd.DataFrame({"x": [1, -2, None]}, index=index)))
    assert len(marked(one, "bar")) == 2
    several = tree(page_of(pd.DataFrame({"x": [1, -2, None], "y": [3, 4, 5]}, index=index)))
    assert len([item for item in several.iter("circle") if item.get("cx", "").endswith("%")]) == 5
    many = pd.DataFrame({"x": np.arange(60.0)}, index=[*map(str, index)] * 20)
    plot = drawn(many)
    assert plot.segments == [[]]
    assert len(plot.dots[0]) == 60


@settings(max_examples=40)
@given(st.lists(st.tuples(LABELS, FLOATS), min_size=1, max_size=40))
@example([("x" * 500, 1.0), ("\u202egnitirw", -1.0), ("</script>", 0.0)])
@example([("a", 1e308), ("b", -1e308)])
@example([("a", 5e-324), ("b", 0.0)])
def test_bars_point_the_right_way_and_stay_inside(rows: list[tuple[str, float]]) -> None:
    frame = pd.DataFrame(
        {"x": [value for _, value in rows]}, index=pd.Index([n for n, _ in rows], dtype=object)
    )
    page = tree(page_of(frame))
    finite = [value for _, value in rows if math.isfinite(value)]
    if not finite:
        assert "No values." in text(page)
        return
    zero = percent(marked(page, "mark")[0][0][0].get("x1"))
    largest = max(map(abs, finite))
    lengths = []
    for cell, (_, value) in zip(marked(page, "mark"), rows, strict=True):
        bar = next((item for item in cell.iter("rect")), None)
        assert (bar is None) == (value == 0 or not math.isfinite(value))
        if bar is None:
            continue
        begin, length = percent(bar.get("x")), percent(bar.get("width"))
        assert -0.01 <= begin <= begin + length <= 100.02
        edge = begin + length if value < 0 else begin
        assert edge == pytest.approx(zero, abs=0.25)
        assert ("f4" in bar.get("class", "")) == (value < 0)
        lengths.append((abs(value) / largest, length))
    longest = max((length for _, length in lengths), default=0)
    for share, length in lengths:
        assert length == pytest.approx(share * longest, abs=0.25)


@pytest.mark.parametrize("columns", [2, 12, 24])
@pytest.mark.parametrize("rows", [1, 40])
def test_rows_of_dots_stay_inside_and_their_axis_fits_a_phone(rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows * columns)
    values = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-5, 14)
    page = tree(page_of(pd.DataFrame(values, index=[f"label {i}" for i in range(rows)]), unit="V"))
    dots = [item for item in page.iter("circle") if item.get("cx", "").endswith("%")]
    assert len(dots) == rows * columns
    assert all(0 <= percent(item.get("cx")) <= 100 for item in dots)
    assert all(text(item[0]).endswith(" V") for item in dots)
    (axis,) = marked(page, "both")
    ticks = [(percent(t.get("x")), t.get("text-anchor", ""), text(t)) for t in axis.iter("text")]
    spans = boxes(ticks, NARROW)
    assert len(spans) >= 2
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(spans))


@pytest.mark.parametrize(
    "name", ["compute", "to_pandas", "to_frame", "name", "columns", "npartitions", "index"]
)
def test_labels_and_columns_may_be_called_like_methods_of_tables(name: str) -> None:
    for frame in (pd.Series([1.0, 2.0], index=[name, "b"]), pd.DataFrame({name: [1.0]}, index=["b"])):
        assert name in text(tree(page_of(frame)))


@settings(max_examples=15)
@given(st.lists(LABELS, min_size=41, max_size=80))
def test_many_labels_are_dots_side_by_side(names: list[str]) -> None:
    plot = drawn(pd.Series(np.arange(float(len(names))), index=pd.Index(names, dtype=object)))
    assert plot.segments == [[]]
    assert len(plot.dots[0]) == len(names)
    assert_fits(plot)


# --- many and odd columns --------------------------------------------------------------------------------


def test_columns_of_one_name_are_drawn_each_by_itself() -> None:
    frame = pd.DataFrame([[1.0, 10.0], [2.0, 20.0]], columns=["x", "x"])
    plot = drawn(frame)
    assert plot.data["values"] == [[1, 2], [10, 20]]
    long = pd.DataFrame(np.ones((5000, 2)) * [1.0, 10.0], columns=["x", "x"])
    assert [column[0] for column in drawn(long).data["values"]] == [1, 10]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([True, False, True], [1, 0, 1]),
        ([Decimal("1.5"), None, Decimal(3)], [1.5, None, 3]),
        (pd.array([1, None, 3], dtype="Int64"), [1, None, 3]),
        (pd.Series([1, pd.NA, 3], dtype=object), [1, None, 3]),
        (np.array([1.0, 2.0, 3.0], dtype=np.float32), [1, 2, 3]),
        ([123_456_789, 2, 3], [123_456_789, 2, 3]),
    ],
    ids=["bool", "decimal", "nullable", "object", "float32", "exact"],
)
def test_numbers_of_any_kind_are_drawn(column, values) -> None:
    assert drawn(pd.DataFrame({"x": column, "y": [0, 0, 0]})).data["values"][0] == values


def test_a_column_without_values_is_named_as_such() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "gone": [None, None]})
    assert "gone: no values" in text(next(drawn(frame).figure.iter("desc")))


def test_twelve_lines_differ_by_color_and_dash() -> None:
    plot = drawn(pd.DataFrame(np.ones((100, 12)), columns=[f"c{i}" for i in range(12)]))
    looks = {item.get("class") for item in marked(marked(plot.figure, "view")[0], "line")}
    assert len(looks) == 12
    assert [text(item) for item in marked(plot.figure, "legend")[0]] == [f"c{i}" for i in range(12)]


def test_a_chart_has_a_title_a_description_axis_titles_and_its_values() -> None:
    index = pd.date_range("2026-01-01", periods=3, name="day", tz="UTC")
    page = tree(page_of(pd.DataFrame({"x": [1.0, 2.5, 4.0]}, index=index), unit="kW"))
    (canvas,) = marked(page, "canvas")
    assert canvas.get("role") == "img"
    named = {item.get("id"): text(item) for item in canvas if item.get("id")}
    assert [named[name] for name in canvas.get("aria-labelledby", "").split()] == [
        "Title",
        "day (UTC): 2026-01-01 to 2026-01-03. x: 1 to 4 kW.",
    ]
    assert text(marked(page, "unit")[0]) == "kW"
    assert text(marked(page, "x-title")[0]) == "day (UTC)"
    (details,) = page.iter("details")
    assert text(details) == "Values day (UTC) x 2026-01-01 1 2026-01-02 2.5 2026-01-03 4"


def test_many_values_are_summarised_from_all_of_them() -> None:
    values = np.zeros(100_000)
    values[[123, 4567]] = [7.5, -2.5]
    (details,) = tree(page_of(pd.DataFrame({"x": values}))).iter("details")
    assert text(details) == (
        "Summary of each line line values lowest at mean highest at last"
        " x 100,000 -2.5 4,567 5×10⁻⁵ 7.5 123 0"
    )


def test_ids_of_a_page_are_unique() -> None:
    report = Report()
    for title in ("One", "One", "Two"):
        report.lines(title, pd.Series([1.0, 2.0]))
    ids = [item.get("id") for item in tree(report.html(heading="h", facts={})).iter() if item.get("id")]
    assert len(ids) == 6 == len(set(ids))
