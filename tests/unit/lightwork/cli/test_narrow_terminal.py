"""The summary on a narrow terminal, and paths with spaces."""

from __future__ import annotations

import io

import pytest

from lightwork.cli import history, output, summary
from lightwork.history.source import short_error
from lightwork.lake import base, open_lake
from lightwork.runs.outcome import Run
from lightwork.store import records


def ended(result, **values):
    """Return a run that has ended with a result."""
    elements = {"total": 1, "cached": 0, "computed": 1, "failed": 0}
    of_run = {"name": "run", "pipeline": "winds", "status": "succeeded", "seconds": 1.0}
    bars = values.pop("bars", {})
    record = {**of_run, "elements": elements, "result": result, "artifacts": [], "report": None, **values}
    return Run(record, None, bars, "", ([], 0))


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
    result = ended({"hours": 3}, report=report)
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
        monkeypatch.setattr(output, "is_piped", lambda: False)
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
    bars = {"speeds": ("m/s", {f"n{i}": float(i) for i in range(100)})}
    summary.summarise(ended(head, bars=bars))
    text = " ".join(shown.getvalue().split())
    assert "12 of 1,000 rows" in text
    assert "7 of 20 columns" in text
    assert "76 more" in text


def test_the_list_of_runs_has_what_failed_on_80_columns(monkeypatch):
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(output, "console", lambda **_: console)
    monkeypatch.setattr(output, "is_piped", lambda: False)
    name, error = (
        "nightly-wind-20261128t095221-k3x9q",
        "ElementError: a.wind.knots: element 77 ('x') failed: y",
    )
    run = {"name": name, "pipeline": "nightly-wind", "status": "failed", "seconds": 12.5, "error": error}
    history._show([{**run, "started": "2026-11-28T09:52:21+00:00", "elements": {"total": 120}}])
    (line,) = (line for line in screen.getvalue().splitlines() if name in line)
    assert len(line) <= 80
    assert line.split()[1:6] == ["failed", "12.5", "knots:", "element", "77"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("ElementError: a.b.knots: element 7 (1) failed: X: y", "knots: element 7 (1) failed: X: y"),
        ("ElementError: knots: the call (1, 2) failed: X: y", "knots: the call (1, 2) failed: X: y"),
        ("ValueError: a.b.knots: element 7", "ValueError: a.b.knots: element 7"),
        ("its deadline of 6h was over", "its deadline of 6h was over"),
        (None, ""),
    ],
)
def test_an_element_that_failed_is_named_without_its_module(error, text):
    assert short_error({"error": error}) == text


def test_negative_bars_point_the_other_way(shown):
    result = ended(None, bars={"d": ("K", {"a": -2.0, "b": 1.0})})
    summary.summarise(result)
    a, b = (line for line in shown.getvalue().splitlines() if "│" in line)
    assert "█" in a.partition("│")[0]
    assert "█" not in a.partition("│")[2]
    assert "█" not in b.partition("│")[0]
    assert "█" in b.partition("│")[2]
    assert a.index("│") == b.index("│")


# Charts and tables of the summary


def summary_of(monkeypatch, width: int, **values) -> list[str]:
    """Return the lines of a summary on a terminal of some width."""
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(summary, "console", lambda **_: console)
    summary.summarise(ended(**{"result": None} | values))
    return screen.getvalue().splitlines()


LONG = "a name that goes on and on, with_a_part_that_cannot_be_broken_and_goes_on_and_on"
VALUES = {
    "plain": {"EWR": 1231.0, "JFK": 3516.0, "(tie)": 1566.0},
    "signs": {"up": 3.5, LONG: -2.25, "nothing": 0.0},
    "far apart": {"tiny": 1e-7, "huge": 1e300, "small": -1e-300},
    "one": {"a": 1.0},
    "one below": {"a": -1.0},
    "zeros": {"a": 0.0, "b": 0.0},
    "wide characters": {"風速" * 20: 1.0, "שלום": -1.0},
    "control characters": {"\x1b[2J" + "x" * 50: 1.0},
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_bars_fit_the_terminal_each_in_one_line_with_its_whole_value(monkeypatch, width, values):
    from rich.cells import cell_len

    from lightwork.runs.report.numbers import number

    lines = summary_of(monkeypatch, width, bars={"Title": ("a unit that is rather long", values)})
    begin = next(i for i, line in enumerate(lines) if "Title" in line)
    rows = [line for line in lines[begin + 1 :] if line.strip()]
    assert len(rows) == len(values)
    assert max(map(cell_len, lines)) <= width
    for row, (name, value) in zip(rows, values.items(), strict=True):
        assert row.split()[-1] == number(value)
        bar = "".join(part for part in row if part in "█▏▎▍▌▋▊▉▐")
        assert bool(bar) == (value != 0)
        if any(other < 0 for other in values.values()):
            assert (bar in row.partition("│")[0]) == (value < 0 or not bar)
        assert name[:4].isprintable() is False or name[:4] in row


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("columns", [1, 3, 8, 12])
def test_a_table_shows_whole_columns_and_names_how_many(monkeypatch, width, columns):
    names = [f"column {i}" for i in range(columns)]
    records = [{name: 1234.5 * i for i, name in enumerate(names)}] * 3
    head = {"artifact": "t", "rows": 3, "columns": names, "records": records}
    lines = summary_of(monkeypatch, width, result=head)
    header = next(line for line in lines if "column 0" in line)
    shown = header.count("column")
    assert shown == min(8, columns, (width - 2) // 11)
    assert max(map(len, lines)) <= width
    assert any(f"{shown} of {columns} columns" in line for line in lines) == (shown < columns)
    assert sum("1,234.5" in line for line in lines) == (3 if shown > 1 else 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("inf"), "∞"), (-float("inf"), "-∞"), (float("nan"), "–"), (1e300, "1×10³⁰⁰"), (True, "True"),
     (10**400, "10,000,000"), (0.1 + 0.2, "0.3"), (1e-9, "1×10⁻⁹"), (-0.0, "0"),
     (2**53, "9,007,199,254,740,992")],
)  # fmt: skip
def test_any_number_is_shown(monkeypatch, value, text):
    assert any(text in line for line in summary_of(monkeypatch, 80, result={"x": value}))
