from __future__ import annotations

import base64
import hashlib
import json
import re
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from lightwork.errors import LightworkError
from lightwork.runs.report import Report
from lightwork.runs.report.frames import thinned
from tests.unit.lightwork.runs.report.drawn import tree

FACTS = {"run": "20261124T063518-1a2b3c", "parameters": "n=1"}


class Loads(HTMLParser):
    """The addresses a page would load, its tags, and its text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        self.loads += [
            str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def year(columns: int = 2) -> pd.DataFrame:
    hours = pd.date_range("2013-01-01", periods=8760, freq="h", tz="America/New_York")
    return pd.DataFrame({f"c{i}": np.arange(8760.0) + i for i in range(columns)}, index=hours)


def full() -> Report:
    report = Report()
    report.text("First.\n\nSecond <b>bold</b>.")
    report.bars("Wins", {"JFK": 3, "<LGA>": 2}, unit="hours")
    report.lines("Wind", year(), unit="mph", note="hourly")
    report.table("Rows", pd.DataFrame({"name": ["<script>alert(1)</script>"], "value": [0.5]}))
    return report


def test_the_page_loads_nothing() -> None:
    page = full().html(heading="windy-city", facts=FACTS, result={"a": 1})
    assert Loads(page).loads == []
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_policy_admits_the_pages_own_style_and_script_only() -> None:
    page = full().html(heading="h", facts=FACTS)
    policy = next(item.get("content") for item in tree(page).iter("meta") if item.get("http-equiv"))
    kinds = {"style": r"<style>(.*?)</style>", "script": r"<script>(.*?)</script>"}
    for kind, pattern in kinds.items():
        (content,) = re.findall(pattern, page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    for item in tree(page).iter():
        assert not [name for name in item.attrib if name == "style" or name.startswith("on")]


def test_a_page_without_lines_has_no_script() -> None:
    report = Report()
    report.bars("Wins", {"JFK": 3, "LGA": 2})
    assert "<script" not in report.html(heading="h", facts={})


def test_a_page_with_charts_is_small_besides_its_values() -> None:
    page = full().html(heading="windy-city", facts=FACTS, result={"a": 1})
    values = 2000 * 2  # two lines of 2,000 points
    assert len(page.encode()) < 25_000 + 20 * values


def test_content_is_escaped() -> None:
    page = Loads(full().html(heading="<i>x</i>", facts={"<u>": "<s>"}, result={"<em>": "<em>"}))
    assert "<script>alert(1)</script>" in page.text
    assert not {"i", "u", "s", "b", "em"} & set(page.tags)


def hostile(where: str) -> str:
    """Return a text that tries to be a tag, an attribute's end and template code, marked with `where`."""
    return f"{where}</script></style></pre><evil a='1' b=\"2\"> & {{{{ 7 * 191 }}}}{{% for %}}{{# gone #}}"


@pytest.fixture(scope="module")
def hostile_page() -> Loads:
    report = Report()
    report.text(f"{hostile('text')}\n\n{hostile('paragraph')}")
    report.bars(hostile("bars"), {hostile("bar"): 1.0, "other": 2.0}, unit=hostile("bar unit"))
    report.bars(hostile("no bars"), {})
    lines = pd.DataFrame({hostile("line"): [1.0, 2.0]}, index=["a", hostile("index")])
    report.lines(hostile("lines"), lines, unit=hostile("line unit"), note=hostile("note"))
    several = pd.DataFrame({hostile("dots"): [1.0], "b": [2.0]}, index=[hostile("row of dots")])
    report.lines("dots", several.rename_axis(hostile("index name")), unit=hostile("dot unit"))
    many = pd.DataFrame(np.ones((60, 2)), columns=[hostile("first"), hostile("second")])
    many.index = pd.Index([hostile("label")] * 60, name=hostile("axis"))
    report.lines(hostile("long lines"), many, unit=hostile("long unit"))
    report.table(hostile("table"), pd.DataFrame({hostile("column"): [hostile("cell")]}))
    head = {
        "artifact": hostile("artifact"),
        "rows": 2,
        "columns": [hostile("head")],
        "records": [{hostile("head"): hostile("record")}],
    }
    result = {
        hostile("figure"): hostile("value"),
        hostile("pairs"): {hostile("name"): hostile("of a pair")},
        hostile("json"): [hostile("in json"), {hostile("key"): 1}],
        "head": head,
    }
    facts = {"run": hostile("run"), hostile("fact"): hostile("says")}
    return Loads(report.html(heading=hostile("heading"), facts=facts, result=result))


HOSTILE_IN_JSON = ("</script>", "<!--<script>", "\u2028", "&lt;/script&gt;", "]]>", "\u202e\u0627")


@pytest.mark.parametrize("part", HOSTILE_IN_JSON)
def test_text_within_the_data_of_a_chart_cannot_end_it(part: str) -> None:
    index = pd.Index([f"a{part}{i}" for i in range(50)])
    report = Report()
    report.lines("l", pd.DataFrame({"x": range(50)}, index=index), unit=part)
    page = report.html(heading="h", facts={})
    data, script = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert json.loads(data)["x"]["texts"][0] == f"a{part}0"
    assert json.loads(data)["unit"] == part
    assert "use strict" in script
    assert "<" not in data


@pytest.mark.parametrize("name", ["\u202enwod edispu", "שלום", "مرحبا (1)"])
def test_names_from_right_to_left_are_isolated(name: str) -> None:
    report = Report()
    report.bars("b", {name: 1.0, "other": 2.0})
    report.lines("dots", pd.DataFrame({name: [1.0], "y": 2.0}, index=[name]))
    report.lines("lines", pd.DataFrame({name: [1.0, 2.0], "y": 2.0}))
    page = tree(report.html(heading="h", facts={}))
    for item in page.iter():
        assert (item.tail or "").strip() != name, "after an element, not inside one of its own"
        if (item.text or "").strip() == name:
            assert item.tag in ("bdi", "td", "th"), item.tag


def test_no_text_becomes_a_tag_or_code(hostile_page: Loads) -> None:
    assert "evil" not in hostile_page.tags
    assert hostile_page.tags.count("section") == 9
    assert "1337" not in hostile_page.text


@pytest.mark.parametrize(
    "where",
    [
        *("heading", "run", "fact", "says", "text", "paragraph", "bars", "no bars", "lines", "note", "table"),
        *("column", "cell", "figure", "value", "pairs", "name", "of a pair", "json", "artifact", "head"),
        *("record", "bar", "bar unit", "line", "index", "line unit", "dots", "row of dots", "index name"),
        *("dot unit", "first", "second", "axis", "long lines", "long unit"),
    ],
)
def test_hostile_text_is_shown_literally(hostile_page: Loads, where: str) -> None:
    assert hostile(where) in hostile_page.text


@pytest.mark.parametrize(
    "result",
    [
        hostile("alone"),
        [hostile("in a list")],
        {"artifact": hostile("a"), "rows": 1, "columns": [], "records": []},
    ],
    ids=["text", "list", "table"],
)
def test_a_hostile_result_is_shown_as_text(result: object) -> None:
    page = Loads(Report().html(heading="h", facts={}, result=result))
    assert "evil" not in page.tags
    assert "7 * 191" in page.text


def test_sections_appear_in_the_order_they_were_added() -> None:
    report = Report()
    for title in ("Gamma", "Alpha", "Beta"):
        report.table(title, pd.DataFrame({"x": [1]}))
    text = Loads(report.html(heading="h", facts={})).text
    assert text.index("Gamma") < text.index("Alpha") < text.index("Beta")


def test_the_result_is_shown_with_its_figures_tables_and_artifacts() -> None:
    head = {"artifact": "table", "rows": 30_000, "columns": ["a"], "records": [{"a": 1}, {"a": None}]}
    result = {"hours": 26115, "wins": {"JFK": 4321.5}, "table": head, "list": [1, 2]}
    text = Loads(Report().html(heading="h", facts=FACTS, result=result)).text
    for words in ("hours 26,115", "JFK 4,321.50", "a 1 –", "artifact table: 30,000 rows, first 2 shown"):
        assert words in text


def test_a_page_without_charts_is_small() -> None:
    assert len(Report().html(heading="h", facts=FACTS)) < 10_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), "∞"), (float("nan"), "–"), (None, "–"), (pd.NA, "–"), (pd.NaT, "–"), (10**400, "1000"),
        (Decimal("1.5"), "1.5"), (Decimal("nan"), "–"), (True, "True"), (np.float32(0.5), "0.5"),
        (1 + 2j, "(1+2j)"),
        (np.arange(3), "[0 1 2]"), ([1, None], "[1, None]"), (1e20, "1×10²⁰"), (2013, "2013"),
        (pd.Timestamp("2026-01-01"), "2026-01-01 00:00:00"), (pd.Timedelta("1h"), "0 days 01:00:00"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_table_shows_any_value(value: object, text: str) -> None:
    report = Report()
    report.table("t", pd.DataFrame({"x": pd.Series([value], dtype=object)}))
    (row,) = tree(report.html(heading="h", facts={})).iter("td")
    assert "".join(row.itertext()).startswith(text)


def test_bars_whose_names_read_alike_are_all_kept() -> None:
    report = Report()
    report.bars("same", {1: 1.0, "1": 2.0, 1.5: 3.0, "1 (2)": 4.0})
    report.bars("same", {"x": 5.0})
    assert [(title, values) for title, (_, values) in report.charts()] == [
        ("same", {"1": 1.0, "1 (2)": 2.0, "1.5": 3.0, "1 (2) (2)": 4.0}),
        ("same (2)", {"x": 5.0}),
    ]
    series = pd.Series([1.0, 2.0], index=["a", "a"])
    report.bars("series", series)
    assert report.charts()[2][1][1] == {"a": 1.0, "a (2)": 2.0}


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, float("nan"), float("inf"), 10**400, Decimal("nan")])
def test_bars_without_a_finite_value_are_left_out_with_a_note(value: object) -> None:
    report = Report()
    report.bars("b", {"x": value, "y": 1})
    page = report.html(heading="h", facts={})
    assert "omitted 1 without a value" in page
    assert page.count('class="bar f') == 1


def test_a_report_is_empty_until_something_is_added() -> None:
    report = Report()
    assert report.empty
    report.text("x")
    assert not report.empty


def test_bars_without_values_are_shown_as_a_sentence() -> None:
    report = Report()
    report.bars("Nothing", {})
    assert "No values." in Loads(report.html(heading="h", facts={})).text


def test_many_bars_are_cut_to_the_largest_with_a_note() -> None:
    report = Report()
    report.bars("Many", {str(i): i for i in range(100)} | {"gone": float("nan")})
    ((_, (_, values)),) = report.charts()
    assert list(values) == [str(i) for i in range(99, 59, -1)]
    text = Loads(report.html(heading="h", facts={})).text
    assert "1 without a value" in text
    assert "largest 40 of 100" in text


def test_long_lines_are_thinned_to_2000_points_with_a_note() -> None:
    report = Report()
    report.lines("Wind", year(), note="hourly")
    (section,) = report.sections
    assert len(section.frame) == 2000
    assert "hourly; 8,760 points" in Loads(report.html(heading="h", facts={})).text


def test_short_lines_are_not_thinned() -> None:
    report = Report()
    report.lines("Wind", year()[:100])
    (section,) = report.sections
    assert len(section.frame) == 100
    assert section.note == ""


def test_a_frame_changed_afterwards_does_not_change_the_report() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    report = Report()
    report.lines("l", frame)
    report.table("t", frame)
    frame["x"] = 0.0
    assert [list(section.frame["x"]) for section in report.sections] == [[1.0, 2.0], [1.0, 2.0]]


def test_a_long_table_is_cut_to_its_first_rows_with_a_note() -> None:
    report = Report()
    report.table("Rows", pd.DataFrame({"x": range(1000)}))
    text = Loads(report.html(heading="h", facts={})).text
    assert "first 200 of 1,000 rows" in text
    assert " 199 " in text
    assert " 200 the" in text or " 200 " not in text.replace("first 200 of", "")


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.Index([0.5, 1.5, 2.5]),
        pd.Index(["mon", "tue", "wed"]),
        pd.period_range("2026-01", periods=3, freq="M"),
        pd.Index(list(pd.date_range("2026-01-01", periods=3).date)),
        pd.date_range("2026-01-01", periods=3, tz="Asia/Kolkata"),
        pd.CategoricalIndex(["a", "b", "c"]),
    ],
    ids=lambda index: str(index.dtype),
)
def test_lines_accept_any_index(index: pd.Index) -> None:
    report = Report()
    report.lines("l", pd.DataFrame({"x": [1, None, 3], "y": [True, False, True]}, index=index))
    assert report.html(heading="h", facts={}).count("<figure") == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.bars("B", {"x": "much"}), r"report.bars\('B'\): x: 'much' is not a number"),
        (lambda r: r.lines("L", pd.DataFrame({"x": ["a"]})), r"report.lines\('L'\): a column is not numeric"),
        (lambda r: r.lines("L", pd.DataFrame({"x": [1j]})), "not numeric .complex numbers"),
        (lambda r: r.lines("L", pd.DataFrame({"x": [1j, None]}, dtype=object)), "not numeric"),
        (lambda r: r.lines("L", pd.DataFrame({"x": [10**400]}, dtype=object)), "not numeric"),
        (lambda r: r.lines("L", pd.DataFrame({"x": pd.to_datetime(["2026-01-01"])})), "not numeric"),
        (lambda r: r.lines("L", pd.DataFrame(index=[1])), "0 columns; expected 1 to 24"),
        (lambda r: r.lines("L", year(25)), "25 columns; expected 1 to 24"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused_when_added(call, words: str) -> None:
    with pytest.raises(LightworkError, match=words):
        call(Report())


def test_thinning_keeps_the_peaks_of_every_interval_in_order() -> None:
    values = np.zeros(10_000)
    values[[1234, 1236, 7000]] = [5.0, -5.0, 9.0]
    thin = thinned(pd.DataFrame({"x": values}), 200)["x"].to_numpy()
    assert len(thin) == 200
    assert list(thin[thin != 0]) == [5.0, -5.0, 9.0]


def test_thinning_keeps_gaps() -> None:
    values = np.ones(10_000)
    values[2000:3000] = np.nan
    thin = thinned(pd.DataFrame({"x": values}), 200)["x"]
    assert thin.isna().sum() == 20
    assert thin.index.is_monotonic_increasing
