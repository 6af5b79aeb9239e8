"""What the overview tells: states, heights of bars, medians, costs, failures."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from lightwork.history.query import Brief
from lightwork.history.sync import ask
from lightwork.lake import Lake
from lightwork.ui import words
from lightwork.ui.overview import Overview, arranged, overview
from tests.unit.lightwork.ui import lakes

HOUR = dt.timedelta(hours=1)


def looked(lake: Lake) -> Overview:
    return ask(lake, lambda history: overview(history, time.time()))


def test_an_empty_lake_has_no_pipelines(lake: Lake) -> None:
    assert list(looked(lake).rows) == []


def test_a_pipeline_has_its_last_30_runs_the_oldest_first(lake: Lake) -> None:
    for number in range(33):
        lakes.run(lake, f"run-{number:02}", started=lakes.NOW - (40 - number) * HOUR, seconds=10.0 + number)
    (row,) = looked(lake).rows
    assert [bar.run for bar in row.bars] == [f"run-{number:02}" for number in range(3, 33)]
    assert row.usual == 27.5
    assert row.took == 42.0
    assert row.bars[-1].height == 1.0
    assert row.bars[0].height == pytest.approx(13 / 42, abs=1e-3)
    assert row.last.name == "run-32"


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["succeeded"], "fine"),
        (["failed", "succeeded"], "fine"),
        (["succeeded", "failed"], "failing"),
        (["succeeded", "lost"], "failing"),
        (["failed", "stopped"], "failing"),
        (["failed", "running"], "failing"),
        (["succeeded", "running"], "running"),
        (["stopped"], "fine"),
    ],
)
def test_a_pipeline_fails_until_a_run_succeeds(lake: Lake, statuses: list[str], state: str) -> None:
    for number, status in enumerate(statuses):
        lakes.run(
            lake,
            f"run-{number}",
            status=status,
            started=dt.datetime.now(dt.UTC) - (3 - number) * dt.timedelta(minutes=1),
            seconds=1,
        )
    view = looked(lake)
    assert view.rows[0].state == state
    assert view.in_state(state) == 1
    assert sum(view.today.values()) == len(statuses)


def test_the_last_failure_is_told_however_long_ago(lake: Lake) -> None:
    lakes.run(lake, "bad", status="failed", error="KeyError:\n 'x'", started=lakes.NOW - 90 * HOUR)
    for number in range(40):
        lakes.run(lake, f"good-{number}", started=lakes.NOW - number * HOUR)
    failure = looked(lake).rows[0].failure
    assert failure is not None
    assert (failure.run, failure.error) == ("bad", "KeyError: 'x'")


def test_one_long_run_does_not_flatten_the_others() -> None:
    runs = [
        Brief("long", "succeeded", 0, 1000.0),
        Brief("usual", "succeeded", 0, 10.0),
        Brief("short", "succeeded", 0, 0.0),
    ]
    bars, top = arranged(runs, 10.0, 0)
    assert top == 30.0
    assert [(bar.run, bar.height, bar.is_cut) for bar in bars] == [
        ("short", 0.06, False),
        ("usual", 0.333, False),
        ("long", 1.0, True),
    ]


def test_a_run_that_goes_on_is_as_high_as_it_has_taken_so_far() -> None:
    bars, _ = arranged(
        [Brief("now", "running", 100.0, None), Brief("before", "succeeded", 0, 40.0)], 40.0, 120.0
    )
    assert bars[1].height == 0.5
    assert bars[1].label.startswith("running for 20 s")


def test_costs_are_those_of_the_last_30_days(lake: Lake) -> None:
    from lightwork.history import segments
    from lightwork.store.documents import seal

    node = {"instance": "m6i.large", "cpu": 2, "memory": 8 << 30, "hour": 0.1}
    prices = {
        "date": "2026-11-01",
        "region": "eu-central-1",
        "currency": "USD",
        "spot": {**node, "hour": 0.04},
        "on_demand": node,
    }
    lake.write(segments.PRICES, seal(prices))
    lakes.run(lake, "new", seconds=900.0)  # four workers on spot nodes: an hour
    lakes.run(lake, "old", seconds=900.0, started=lakes.NOW - 31 * 24 * HOUR)
    view = looked(lake)
    assert view.currency == "USD"
    assert view.cost == pytest.approx(0.04)
    assert view.rows[0].hours == pytest.approx(1.0)


def test_damaged_prices_are_told_and_the_rest_is_shown(lake: Lake) -> None:
    from lightwork.history import segments

    lakes.run(lake, "run")
    lake.write(segments.PRICES, b"{}")
    view = looked(lake)
    assert "prices" in view.problem
    assert len(view.rows) == 1


def test_moments_and_durations_read_as_people_say_them() -> None:
    now = dt.datetime(2026, 11, 28, 12, 0).astimezone().timestamp()
    assert words.ago(now - 7300, now) == "2 h ago"
    assert words.ago(now + 7300, now) == "in 2 h"
    assert words.ago(now, now) == "now"
    assert words.day(now - 3600, now) == "11:00"
    assert words.day(now - 86_400, now) == "27 Nov 12:00"
    assert words.day(now - 366 * 86_400, now) == "27 Nov 2025"
    assert words.clock(now) == "28 Nov 2026, 12:00:00"
    assert words.duration(-1) == "0 s"
    assert words.unix("nonsense") is None
