"""The summary on a narrow terminal, and paths with spaces."""

from __future__ import annotations

import io

import pytest

from lightwork.cli import output, summary
from lightwork.lake import base, open_lake
from lightwork.runs.run import RunResult
from lightwork.store import records


@pytest.fixture
def shown(monkeypatch):
    """The output on a terminal of 40 columns."""
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=40, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(summary, "console", lambda **_: console)
    return screen


def test_the_path_of_the_report_is_never_cut(shown):
    report = "/a/long/folder/" + "x" * 100 + "/report.html"
    elements = {"total": 1, "cached": 0, "computed": 1, "failed": 0}
    result = RunResult("run", "winds", "acme", {}, elements, 1.0, {"hours": 3}, [], report)
    summary.summarise(result)
    assert report in shown.getvalue()


def test_paths_are_shown_as_they_are_on_the_disk(tmp_path):
    lake = open_lake(tmp_path / "my lake", tenant="acme")
    assert base.shown(lake) == str(tmp_path / "my lake" / "acme")
    assert records.location(lake, "a b.html") == str(tmp_path / "my lake" / "acme" / "a b.html")


# Tables


COLUMNS = ["run", "pipeline", "status", "error"]
RUN = "20261127T120204-24e31e8d"


@pytest.fixture
def table(monkeypatch):
    """Print a table on a terminal of some width; return its lines."""
    from rich.console import Console

    def show(width: int, **options) -> list[str]:
        screen = io.StringIO()
        console = Console(file=screen, width=width, force_terminal=True, color_system=None, highlight=False)
        monkeypatch.setattr(output, "console", lambda **_: console)
        monkeypatch.setattr(output.click, "echo", lambda text, **_: print(text, file=screen))
        rows = [
            [RUN, "windy-city", "succeeded", ""],
            [RUN[::-1], "winds", "failed", "ValueError: " + "x" * 99],
        ]
        output.show_table(COLUMNS, rows, **options)
        return screen.getvalue().splitlines()

    return show


@pytest.mark.parametrize("width", [60, 70, 80, 100, 400])
def test_ids_stay_whole_and_an_error_is_one_line(table, width):
    lines = table(width, cut=("error",), drop=("status", "error"))
    rows = [line for line in lines if RUN in line or RUN[::-1] in line]
    assert len(rows) == 2
    assert len(lines) <= 5
    assert max(map(len, lines[:4])) <= width
    assert ("…" in rows[1]) == (width < 400)


def test_columns_that_are_left_out_are_named(table):
    lines = table(45, cut=("error",), drop=("status", "error"))
    assert "failed" not in lines[3]
    assert lines[-1].startswith("left out for lack of room: status, error;")


def test_what_does_not_fit_at_all_is_whole_anyway(table):
    assert any(RUN in line for line in table(10, drop=("status", "error")))


def test_a_summary_says_what_it_cuts(shown):
    columns = [f"c{i}" for i in range(20)]
    head = {"artifact": "t", "rows": 1000, "columns": columns, "records": [dict.fromkeys(columns, 1)] * 20}
    elements = {"total": 1, "cached": 0, "computed": 1, "failed": 0}
    bars = {"speeds": ("m/s", {f"n{i}": float(i) for i in range(100)})}
    summary.summarise(RunResult("run", "winds", "acme", {}, elements, 1.0, head, bars=bars))
    text = " ".join(shown.getvalue().split())
    assert "12 of 1,000 rows" in text
    assert "8 of 20 columns" in text
    assert "76 more" in text


def test_negative_bars_point_the_other_way(shown):
    elements = {"total": 1, "cached": 0, "computed": 1, "failed": 0}
    result = RunResult("run", "w", "acme", {}, elements, 1.0, None, bars={"d": ("K", {"a": -2.0, "b": 1.0})})
    summary.summarise(result)
    a, b = (line for line in shown.getvalue().splitlines() if "│" in line)
    assert "█" in a.partition("│")[0]
    assert "█" not in a.partition("│")[2]
    assert "█" not in b.partition("│")[0]
    assert "█" in b.partition("│")[2]
    assert a.index("│") == b.index("│")
