"""The summary on a narrow terminal, and paths with spaces."""

from __future__ import annotations

import io

import pytest

from lightwork.cli import output, summary
from lightwork.lake import open_lake
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
    assert output.where(lake) == str(tmp_path / "my lake" / "acme")
    assert records.location(lake, "a b.html") == str(tmp_path / "my lake" / "acme" / "a b.html")
