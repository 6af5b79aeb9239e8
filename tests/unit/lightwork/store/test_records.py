"""A run has one record under its name, derived from what its processes wrote; a killed one is lost."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import pytest

from lightwork import run_names
from lightwork.lake import Lake, open_lake
from lightwork.store import attempts, presence, records
from lightwork.store.documents import seal
from tests.waiting import wait_until

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
OLD = {"run_id": "r1", "status": "running", "started": START.isoformat()}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path), tenant="acme")


def after(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


def attempt(lake: Lake, run: str, status: str = "running", **more: Any) -> None:
    values = {"id": "1", "run": run, "status": status, "pipeline": "windy", "started": START.isoformat()}
    lake.write(attempts.path(run, "1"), seal({**values, **more}))


def earlier(lake: Lake, **more: Any) -> None:
    record = {**OLD, **more}
    lake.write(f"runs/{record['run_id']}/run.json", json.dumps(record).encode())


def status(lake: Lake, minutes: float, run: str = "r1") -> str:
    record = records.run(lake, run, after(minutes))
    assert record is not None
    return str(record["status"])


@pytest.mark.parametrize("write", [attempt, earlier])
def test_a_run_without_a_heartbeat_is_lost_after_a_while(lake: Lake, write: Any) -> None:
    write(lake, **({"run": "r1"} if write is attempt else {}))
    assert status(lake, 4) == "running"
    assert status(lake, 6) == "lost"


def test_a_heartbeat_keeps_a_run_running(lake: Lake) -> None:
    attempt(lake, "r1", seen=after(60).isoformat())
    earlier(lake, run_id="r2")
    lake.write("runs/r2/alive", after(60).isoformat().encode())
    for run in ("r1", "r2"):
        assert status(lake, 64, run) == "running"
        assert status(lake, 66, run) == "lost"


@pytest.mark.parametrize("end", ["succeeded", "failed", "stopped"])
def test_a_recorded_end_is_final(lake: Lake, end: str) -> None:
    attempt(lake, "r1", end)
    earlier(lake, run_id="r2", status=end)
    for run in ("r1", "r2"):
        record = records.run(lake, run, after(1000))
        assert record is not None
        assert (record["status"], records.ended(record)) == (end, True)


def test_a_lost_run_has_ended_after_a_day(lake: Lake) -> None:
    attempt(lake, "r1")
    for minutes, expected in ((10, False), (60 * 25, True)):
        record = records.run(lake, "r1", after(minutes))
        assert record is not None
        assert (record["status"], records.ended(record)) == ("lost", expected)


def test_a_run_whose_process_is_gone_is_lost_at_once_and_one_that_stands_still_is_not(lake: Lake) -> None:
    attempt(lake, "r1")
    lock = lake.lock("runs/r1/owner-1")
    assert lock is not None
    assert status(lake, 60) == "running"
    data = lake.read("runs/r1/owner-1")
    lock.release()
    lake.write("runs/r1/owner-1", data)  # as a killed process leaves it
    assert status(lake, 0) == "lost"


def test_the_heartbeat_ends_with_the_run(lake: Lake) -> None:
    beats: list[float] = []
    with presence.beating(lambda: beats.append(time.monotonic()), every=0.02):
        wait_until(lambda: len(beats) > 1, "heartbeats")
    time.sleep(0.1)
    count = len(beats)
    time.sleep(0.1)
    assert len(beats) == count


def test_the_list_of_runs_is_in_the_order_of_their_starts_whatever_their_names(lake: Lake) -> None:
    starts = {
        "windy-20260101t120000-abcde": 9,
        "by-hand": 5,
        "nightly-1767268800": 7,
        "20260101T115900-01234567": 3,
    }
    for name, minutes in starts.items():
        attempt(lake, name, "succeeded", started=after(minutes).isoformat())
    expected = sorted(starts, key=lambda name: starts[name], reverse=True)
    assert [record["name"] for record in records.recent(lake)] == expected
    assert [record["name"] for record in records.recent(lake, 2)] == expected[:2]


def test_only_the_newest_runs_are_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for hour in range(100):
        begin = START + dt.timedelta(hours=3 * hour)
        attempt(lake, run_names.new("windy", now=begin), "succeeded", started=begin.isoformat())
    read: list[str] = []
    run = records.run
    monkeypatch.setattr(records, "run", lambda lake, name: (read.append(name), run(lake, name))[1])
    assert len(records.recent(lake, 5)) == 5
    assert len(read) == 32


def test_the_names_are_told_by_one_listing(lake: Lake) -> None:
    attempt(lake, "r1")
    lake.write("runs/.open/r2.json", b"{}")
    assert records.names(lake) == ["r1"]


def test_a_record_has_all_fields_whoever_wrote_it(lake: Lake) -> None:
    attempt(lake, "r1")
    earlier(lake, run_id="r2")
    found = [records.run(lake, name) for name in ("r1", "r2")]
    fields = "name pipeline tenant on status started finished seconds parameters interval retry_of retried_by"
    fields += " elements tasks phases worker_seconds code_keys git_commit versions artifacts attempts error"
    for record in found:
        assert record is not None
        assert set(f"{fields} workflow workflow_uid schedule".split()) <= set(record)


def test_a_submission_of_before_is_not_shown_beside_the_run_itself(lake: Lake) -> None:
    earlier(lake, run_id="20260101T120000-w1", status="submitted", workflow="windy-abc")
    assert len(records.recent(lake)) == 1
    attempt(lake, "windy-abc", "succeeded")
    assert [record["name"] for record in records.recent(lake)] == ["windy-abc"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".open"])
def test_what_is_not_a_name_names_no_run(lake: Lake, name: str) -> None:
    attempt(lake, "r1")
    assert records.run(lake, name) is None


@pytest.mark.parametrize(
    "values",
    [
        {"run": "another"},
        {"id": "2"},
        {"elements": {"total": -1}},
        {"tasks": {"t": {"total": "x"}}},
        {"phases": {"waiting": "long"}},
        {"worker_seconds": [{"seconds": None}]},
        {"started": "yesterday"},
        {"parameters": [1]},
        {"code_keys": "x"},
    ],
    ids=str,
)
def test_a_damaged_attempt_is_left_out_with_a_warning(
    lake: Lake, values: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    document = {"id": "1", "run": "r1", "status": "running", "started": START.isoformat(), **values}
    lake.write(attempts.path("r1", "1"), seal(document))
    assert records.run(lake, "r1") is None
    assert "damaged" in caplog.text


# Names


def test_names_fit_pods_and_services() -> None:
    for entry, step in (
        ("w", ""),
        ("a" * 30, ""),
        ("a" * 11, "b" * 30),
        ("a" * 30, "b" * 11),
        ("windy", "b"),
    ):
        name = run_names.new(entry, [step] if step else [])
        assert len(f"{name}-{step}-scheduler" if step else f"{name}-scheduler") <= 63
        assert step or len(f"{name}-driver-1234567890") <= 63
        assert name[0].isalpha()
        assert name == name.lower()


@pytest.mark.parametrize("pipeline", ["windy_city", "Ünï", "7-days", "-", "a" * 200, "x.y"])
def test_any_pipeline_gives_a_valid_name(pipeline: str) -> None:
    name = run_names.new(pipeline, now=START)
    assert run_names.time_in(name) == START
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert "--" not in name


def test_names_of_all_times_tell_when() -> None:
    for name in ("windy-20260101t120000-abcde", "20260101T120000-0a1b2c3d", "nightly-1767268800"):
        assert run_names.time_in(name) == START
    assert run_names.time_in("windy-x7k2p") is None
