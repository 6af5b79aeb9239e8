"""The progress display."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from infra.driver import table
from infra.driver.outcome import Counts, Outcome, Result
from tests.infra.driver.pretended import step

DONE = Outcome(stack="dev.a", result=Result.DONE, counts=Counts(create=3), seconds=12)
REFUSED = Outcome(stack="dev.b", result=Result.REFUSED, error=("lake [red]: would be deleted",))


def drawn(board: table.Board) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(board.table())
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def board() -> table.Board:
    board = table.Board(stacks=["dev.a", "dev.b", "dev.c"])
    board.live = type("Live", (), {"console": Console(file=io.StringIO())})
    return board


def test_without_a_terminal_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with table.view(["dev.a"]) as view:
        view.begin("dev.a", "planning")
        view.step("dev.a", step("create"))
        view.end(DONE)
        view.end(REFUSED)
    assert capsys.readouterr().err.splitlines() == [
        "lightwork-estate: dev.a: planning",
        "lightwork-estate: dev.a: done after 12 s: 3 to create",
        "lightwork-estate: dev.b: refused: lake [red]: would be deleted",
    ]


def test_the_table_shows_waiting_running_and_finished_stacks(board: table.Board) -> None:
    board.begin("dev.a", "planning")
    board.end(DONE)
    board.begin("dev.b", "deploying")
    board.step("dev.b", step("create"))
    rows = {line.split()[0]: line.split() for line in drawn(board).splitlines() if line.startswith("dev.")}
    assert rows["dev.a"][:4] == ["dev.a", "done", "3", "12"]
    assert rows["dev.b"][:3] == ["dev.b", "deploying", "1"]
    assert rows["dev.c"] == ["dev.c", "waiting"]
    assert "1 of 3 stacks finished" in drawn(board)


def test_a_failure_is_printed_above_the_table_and_not_interpreted_as_markup(board: table.Board) -> None:
    board.end(REFUSED)
    printed = board.live.console.file.getvalue()
    assert printed.strip() == "dev.b: refused: lake [red]: would be deleted"
    assert "[red]" in drawn(board)


def test_a_long_error_leaves_room_for_the_other_columns(board: table.Board) -> None:
    board.end(dataclasses.replace(REFUSED, error=("lake: would be deleted " * 20,)))
    rows = [line for line in drawn(board).splitlines() if line.startswith("dev.b")]
    assert [row.split()[:2] for row in rows] == [["dev.b", "refused"]]
    assert "lake: would be deleted" in rows[0]


def test_a_table_of_500_stacks_fits_a_screen_and_shows_the_running_ones(board: table.Board) -> None:
    board = table.Board(stacks=[f"dev.t{number}" for number in range(500)])
    board.begin("dev.t499", "planning")
    lines = drawn(board).splitlines()
    assert len(lines) <= table.ROWS + 4
    assert any("dev.t499" in line for line in lines)
    assert "and 480 more" in drawn(board)
