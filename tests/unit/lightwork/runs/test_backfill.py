"""The order, the bounds and the end of a backfill, with runs that only say how they are."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field

from lightwork.runs.backfill import Filling
from lightwork.store.interval_runs import Key, Known, best
from lightwork.tenants.intervals import Interval

DAY = dt.timedelta(days=1)
BEGIN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS = [Interval(BEGIN + n * DAY, BEGIN + (n + 1) * DAY) for n in range(6)]


@dataclass
class Runs:
    """Runs that end after two looks, as their interval says.

    Attributes:
        before: the runs that there are.
        fail: the days whose runs fail.
        started: the days whose runs were started.
        most: the most runs at once.
    """

    before: dict[Key, Known] = field(default_factory=dict)
    fail: tuple[int, ...] = ()
    started: list[int] = field(default_factory=list)
    most: int = 0
    looks: dict[str, deque[str]] = field(default_factory=dict)

    def known(self) -> dict[Key, Known]:
        return self.before

    def start(self, interval: Interval) -> str:
        day = interval.start.day
        self.started.append(day)
        end = "failed" if day in self.fail else "succeeded"
        self.looks[f"run-{day}"] = deque(["running", end])
        self.most = max(self.most, sum(len(item) > 0 for item in self.looks.values()))
        return f"run-{day}"

    def look(self, run: str) -> Known:
        return Known(run, self.looks[run].popleft(), "no data" if "2" in run else "")

    def stop(self) -> str:
        return ""


def filled(runs: Runs, parallel: int = 1, most_failures: int | None = None) -> tuple[list[str], list[str]]:
    told: list[str] = []
    filling = Filling(
        DAYS,
        runs,
        parallel=parallel,
        most_failures=most_failures,
        tell=lambda interval, text: told.append(f"{interval.start.day}: {text}"),
        every=0.0,
    )
    filling.run()
    return [item.state for item in filling.outcomes()], told


def test_intervals_run_in_their_order_and_no_more_at_once_than_asked_for() -> None:
    for parallel in (1, 3, 50):
        runs = Runs()
        assert filled(runs, parallel)[0] == ["succeeded"] * 6
        assert runs.started == [1, 2, 3, 4, 5, 6]
        assert runs.most == min(parallel, 6)


def test_a_failure_leaves_the_others_alone_unless_there_are_too_many() -> None:
    runs = Runs(fail=(2, 4))
    states, told = filled(runs)
    assert states == ["succeeded", "failed", "succeeded", "failed", "succeeded", "succeeded"]
    assert "2: failed (run-2): no data" in told
    states, _ = filled(Runs(fail=(2, 4)), most_failures=2)
    assert states == ["succeeded", "failed", "succeeded", "failed", "left", "left"]


def test_what_is_done_is_left_alone_and_what_is_at_work_is_waited_for() -> None:
    known = {DAYS[0].key: Known("a", "succeeded"), DAYS[1].key: Known("b", "failed")}
    runs = Runs(before={**known, DAYS[2].key: Known("c", "running"), DAYS[3].key: Known("d", "submitted")})
    runs.looks = {"c": deque(["running", "succeeded"]), "d": deque(["running", "lost"])}
    states, told = filled(runs, parallel=2)
    assert states == ["done", *["succeeded"] * 5]
    assert runs.started == [4, 2, 5, 6], "one that somebody else lost is started anew, before the others"
    assert "4: d has not succeeded (lost); another run follows" in told


def test_of_several_runs_of_an_interval_one_that_succeeded_counts() -> None:
    key = DAYS[0].key
    order = [Known("a", "succeeded"), Known("b", "running"), Known("c", "failed")]
    assert best([(key, item) for item in order])[key].run == "a"
    assert best([(key, item) for item in reversed(order)])[key].run == "a"
    assert best([(key, item) for item in order[1:]])[key].run == "b"
    assert best([(key, Known("x", "failed")), (key, Known("y", "lost"))])[key].run == "y", "the last one"
