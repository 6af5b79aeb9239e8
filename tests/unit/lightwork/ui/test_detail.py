"""What the page of a run tells."""

from __future__ import annotations

import datetime as dt
import time

from lightwork.lake import Lake
from lightwork.ui.detail import Detail, detail
from tests.unit.lightwork.ui import lakes

MINUTE = dt.timedelta(minutes=1)


def looked(lake: Lake, name: str) -> Detail:
    found = detail(lake, name, time.time())
    assert found is not None
    return found


def test_there_is_no_page_of_a_run_that_nobody_knows(lake: Lake) -> None:
    assert [detail(lake, name, time.time()) for name in ("none", "", "..", "a/b")] == [None] * 4


def test_a_run_is_compared_with_those_before_it(lake: Lake) -> None:
    for number in range(4):
        lakes.run(
            lake,
            f"run-{number}",
            started=lakes.NOW - (10 - number) * MINUTE,
            seconds=10.0 * (number + 1),
            parameters={"max_timestamps": 1000 if number < 2 else 2000},
            result={"JFK": number},
        )
    found = looked(lake, "run-2")
    assert (found.previous, found.following) == ("run-1", "run-3")
    assert found.before == {"runs": 2, "succeeded": 2, "median_seconds": 15.0}
    assert found.ratio == 2.0
    assert found.changes == [("parameters.max_timestamps", "1000", "2000"), ("result.JFK", "1", "2")]
    assert [bar.run for bar in found.bars] == [f"run-{number}" for number in range(4)]


def test_the_first_run_has_none_before_it(lake: Lake) -> None:
    lakes.run(lake, "only")
    found = looked(lake, "only")
    assert (found.previous, found.following, found.ratio, list(found.changes)) == ("", "", None, [])


def test_an_old_run_is_among_those_before_it(lake: Lake) -> None:
    for number in range(40):
        lakes.run(lake, f"run-{number:02}", started=lakes.NOW - (40 - number) * MINUTE)
    bars = [bar.run for bar in looked(lake, "run-03").bars]
    assert bars == ["run-00", "run-01", "run-02", "run-03"]


def test_failed_elements_come_with_the_command_that_debugs_one(lake: Lake) -> None:
    lakes.run(lake, "run", status="failed", parameters={"max_timestamps": 9, "start": "1 Jan; rm -rf"})
    lakes.fail(lake, "run", range(70, 130))
    found = looked(lake, "run")
    assert (len(found.failed), found.failed_in_all) == (50, 60)
    assert found.failed[0].where == "70"
    assert "KeyError" in found.failed[0].traceback
    expected = (
        "lightwork run windy-city max_timestamps=9 'start=1 Jan; rm -rf' --only windiest:70 --on serial"
    )
    assert found.debug == expected


def test_the_end_of_the_log_has_errors_of_before_it(lake: Lake) -> None:
    lakes.run(lake, "run", status="failed")
    events = [("info", "begins"), ("error", "the first error"), *[("info", f"line {n}") for n in range(300)]]
    lakes.log(lake, "run", lakes.NOW, events)
    log = looked(lake, "run").log
    assert log.is_cut
    assert [log.entries[0].text, log.entries[1].text, log.entries[-1].text] == [
        "the first error",
        "line 100",
        "line 299",
    ]
    assert log.entries[0].level == "error"
    assert len(log.entries) == 201


def test_batches_are_in_lanes_of_workers(lake: Lake) -> None:
    begin = lakes.NOW - 10 * MINUTE
    lakes.run(lake, "run", started=begin, batches=lakes.worked(begin + MINUTE / 2, 3, 60.0))
    found = looked(lake, "run").timeline
    assert found is not None
    assert [lane.name for lane in sorted(found.lanes)] == ["4000", "4001", "4002"]
    assert all(
        0 <= block.at <= block.at + block.width <= 100.001 for lane in found.lanes for block in lane.blocks
    )
    assert [task for task, _ in found.tasks] == ["windy_city.winds.windiest", "windy_city.count"]
    assert all(80 < lane.busy <= 100 for lane in found.lanes)
    assert [label for _, label in found.ticks] == ["45 s", "1 min", "1 min 15 s", "1 min 30 s"]


def test_a_run_that_only_the_history_knows_has_a_page(lake: Lake) -> None:
    from lightwork.history.collect import collect

    old = lakes.NOW - dt.timedelta(days=40)
    for number in range(2):
        lakes.run(lake, f"run-{number}", started=old + number * MINUTE, artifacts=[])
    collect(lake)
    lake.delete(entry.path for entry in lake.entries("runs"))
    found = looked(lake, "run-1")
    assert found.record["status"] == "succeeded"
    assert found.previous == "run-0"
    assert list(found.changes) == [], "results are not compared where they are no longer there"
    assert found.log.entries == []


def test_a_run_that_goes_on_says_for_how_long(lake: Lake) -> None:
    lakes.run(lake, "run", status="running", started=dt.datetime.now(dt.UTC) - MINUTE)
    found = looked(lake, "run")
    assert found.is_open
    assert 60 <= (found.seconds or 0) < 3600
