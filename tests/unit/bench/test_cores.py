"""The bench of real work: turns, processor time of processes, and rows that know their spread."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import bench.__main__ as command
from bench.cores import first, turns, work
from bench.cores.turns import Side, Turn, alternate, most, spread
from bench.measure import Row


@pytest.mark.parametrize(
    ("values", "ok", "measured"),
    [
        ([1.03] * 7, True, "1.030, spread 0.000"),
        ([1.06] * 7, False, "1.060, spread 0.000"),
        ([1.0, 1.02, 1.03, 1.04, 1.04, 1.04, 9.0], True, "1.040, spread 0.015"),
        ([0.9, 0.95, 1.0, 1.03, 1.1, 1.2, 1.3], None, "not measurable here (1.030, spread 0.175, over 0.05)"),
        ([2.0], False, "2.000, spread 0.000"),
    ],
)
def test_a_row_is_the_median_of_its_turns_unless_they_differ_by_more_than_its_margin(
    values: list[float], ok: bool | None, measured: str
) -> None:
    row = most("what", 1.05, values, 0.05, "detail")
    assert (row.ok, row.measured, row.target) == (ok, measured, "at most 1.05")
    assert row.detail == f"median of {len(values)} turns; detail"


def test_a_row_without_a_result_is_neither_met_nor_without_a_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [most("busy", 1.05, [1.0, 2.0, 3.0], 0.05, ""), Row("shown", "", "5", None, "")]
    command._print(rows)
    busy, shown = (line for line in capsys.readouterr().out.splitlines() if "busy" in line or "shown" in line)
    assert "no result" in busy
    assert "no target" in shown


def test_the_spread_is_the_distance_between_the_quartiles() -> None:
    assert spread([1, 2, 3, 4, 5, 6, 7]) == 3
    assert spread([1, 1, 1, 1, 1, 1, 100]) == 0
    assert spread([5]) == 0


def test_sides_take_turns_back_and_forth() -> None:
    taken: list[str] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def turn(self) -> None:
            taken.append(self.name)

    alternate([Noted("a"), Noted("b"), Noted("c")], 3)
    assert "".join(taken) == "abccbaabc"


@contextmanager
def one_process() -> Iterator[object]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield lambda amount: pool.map(work.burn, [int(amount)])[0]


def test_the_processor_time_of_a_side_is_that_of_its_processes_and_this_one() -> None:
    loops = work._loops(0.3)
    with Side("pool", one_process, loops) as side:
        side.turn()
    (turn,) = side.turns
    assert turn.result <= turn.processor + 0.02  # the kernel counts in hundredths
    assert turn.processor < turn.result + 0.5
    assert turn.driver < turn.result / 2


def test_no_element_is_taken_twice_and_each_has_the_loops_that_it_should_take() -> None:
    elements = work._Elements(loops=123)
    one, other = elements.take(100), elements.take(100.0)
    assert len({*one, *other}) == 200
    assert {element % work._LOOPS for element in one + other} == {123}


def side(name: str, processor: float, elapsed: float, driver: float = 0.05) -> Side:
    result = Side(name, one_process, 1000)
    result.turns += [Turn(elapsed, processor, driver, (10.0, 50))] * 7
    return result


def test_the_rows_compare_with_the_functions_own_time_the_faster_peer_and_the_batches() -> None:
    ours = side("lightwork", 10.4, 5.4)
    rows = work._rows(
        0.001,
        10,
        (ours, side("with the cache", 10.7, 5.6), side("bare Dask", 10.2, 5.3)),
        (side("joblib", 10.3, 5.2), side("Pool.map", 10.1, 5.0)),
    )
    rows.append(work._driver_row(0.001, 10, side("elsewhere", 10.4, 5.4), ours))
    assert [row.measured.partition(",")[0] for row in rows] == ["1.040", "1.080", "1.000 ms"]
    assert [row.ok for row in rows] == [True, True, True]
    assert "joblib 1.030" in rows[0].detail
    assert "Pool.map 5.00" in rows[1].detail


def test_a_turn_of_first_results_repeats_the_program_until_it_is_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probed(_: str) -> float:
        time.sleep(0.02)
        return 2.0

    monkeypatch.setattr(first, "probed", probed)
    sessions = first.Sessions("lightwork", 0.1)
    sessions.turn()
    assert sessions.turns == [2.0]


@pytest.mark.slow
def test_short_turns_give_all_rows() -> None:
    code = (
        "from bench.cores import work, first\n"
        "if __name__ == '__main__':\n"
        "    work.CALLS, work.MANY = 1000, 3\n"
        "    rows = [*work.real_work(0.05, 1), work.many_calls(0.05, 1), first.first_result(0.05, 1)]\n"
        "    print(len(rows), all(row.detail and row.target for row in rows))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["8", "True"]
    assert turns.CORES >= 1
