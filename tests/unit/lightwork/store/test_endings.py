"""What drivers cannot record: runs without a driver, and how killed drivers ended."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lightwork.lake import Lake, open_lake
from lightwork.store import attempts, records
from lightwork.store.documents import seal
from lightwork.store.endings import OPEN, Ending, Ledger, Submitted

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
END = START + dt.timedelta(minutes=3)
LATER = START + dt.timedelta(days=9)
NAME = "windy-20260101t120000-abcde"
RUN = Submitted(NAME, "0a1b2c3d-4e5f", "windy", START, {"hours": "24"})
IMAGE: Ending = ("failed", "the driver did not start: no image")
FIRST, SECOND = "20260101t120020000-1", "20260101t120220000-2"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path), tenant="acme")


def by_driver(lake: Lake, attempt: str, status: str, run: str = NAME, **more: Any) -> None:
    values = {"id": attempt, "run": run, "status": status, "pipeline": "windy", "pod": "windy-abc-1"}
    values |= {"workflow": run, "workflow_uid": RUN.uid, "step": None, "error": None}
    values |= {"started": (START + dt.timedelta(seconds=20)).isoformat(), **more}
    lake.write(attempts.path(run, attempt), seal(values))


def settled(lake: Lake, end: Ending, pod: Ending | None = None) -> dict[str, Any]:
    ledger = Ledger(lake)
    ledger.note(RUN)
    ledger.settle(RUN, end, END, lambda _: pod)
    record = records.run(lake, NAME, LATER)
    assert record is not None
    return record


def test_a_run_is_recorded_from_its_submission_on(lake: Lake) -> None:
    ledger = Ledger(lake)
    ledger.note(RUN)
    ledger.note(RUN)
    (record,) = records.recent(lake)
    assert (record["name"], record["status"], record["pipeline"]) == (NAME, "submitted", "windy")
    assert (record["parameters"], record["workflow"], record["on"]) == ({"hours": "24"}, NAME, "cluster")
    assert not records.ended(records.run(lake, NAME, END) or {})
    assert ledger.open_notes() == [RUN]


def test_a_run_without_a_driver_has_the_end_of_its_workflow(lake: Lake) -> None:
    record = settled(lake, IMAGE)
    assert (record["status"], record["error"]) == IMAGE
    assert (record["finished"], record["seconds"]) == ("2026-01-01T12:03:00.000+00:00", 180.0)
    assert (Ledger(lake).open_notes(), lake.entries(OPEN)) == ([], [])
    assert records.ended(record)


@pytest.mark.parametrize("status", ["failed", "succeeded"])
def test_a_driver_that_recorded_its_end_keeps_it(lake: Lake, status: str) -> None:
    counts = {"total": 3, "cached": 1, "computed": 2, "failed": 0}
    by_driver(lake, FIRST, status, error="its own", elements=counts, parameters={"hours": 24})
    record = settled(lake, (status, "of the Workflow"))
    assert (record["error"], record["elements"], record["parameters"]) == ("its own", counts, {"hours": 24})
    assert record["started"] == "2026-01-01T12:00:00.000+00:00", "its submission counts"


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_driver_that_was_ended_gets_the_reason(lake: Lake, status: str) -> None:
    by_driver(lake, FIRST, status, error="KeyboardInterrupt:" if status == "stopped" else None)
    record = settled(lake, ("failed", "its `deadline` of 6h was over"))
    (attempt,) = record["attempts"]
    for item in (record, attempt):
        assert (item["status"], item["error"]) == ("failed", "its `deadline` of 6h was over")


def test_each_attempt_has_the_end_of_its_own_pod(lake: Lake) -> None:
    by_driver(lake, FIRST, "running", pod="windy-abc-lost")
    by_driver(lake, SECOND, "succeeded", result={"hours": 3})
    record = settled(lake, ("succeeded", ""), ("failed", "pod deleted"))
    ends = [(item["status"], item["error"]) for item in record["attempts"]]
    assert ends == [("failed", "pod deleted"), ("succeeded", None)]
    assert (record["status"], record["error"], record["result"]) == ("succeeded", None, {"hours": 3})


def test_an_attempt_without_an_end_does_not_become_a_success(lake: Lake) -> None:
    by_driver(lake, FIRST, "running")
    record = settled(lake, ("succeeded", ""))
    assert (record["status"], record["attempts"][0]["status"]) == ("succeeded", "lost")


def test_a_run_that_failed_after_its_driver_succeeded_has_failed(lake: Lake) -> None:
    by_driver(lake, FIRST, "succeeded")
    record = settled(lake, ("failed", "report: no disk"))
    assert (record["status"], record["error"]) == ("failed", "report: no disk")
    assert record["attempts"][0]["status"] == "succeeded"


def test_the_steps_of_a_run_are_added_up(lake: Lake) -> None:
    counts = {"total": 3, "cached": 0, "computed": 3, "failed": 0}
    for number, step in enumerate(("first", "second")):
        attempt = f"20260101t12002000{number}-{step}-1"
        work = {
            "elements": counts,
            "tasks": {"t": counts},
            "worker_seconds": [{"size": "s", "spot": True, "seconds": 4}],
        }
        by_driver(lake, attempt, "succeeded", step=step, result=step, **work)
    record = settled(lake, ("succeeded", ""))
    assert (record["elements"]["total"], record["tasks"]["t"]["computed"]) == (6, 6)
    assert record["worker_seconds"] == [{"size": "s", "spot": True, "seconds": 8}]
    assert record["result"] == {"first": "first", "second": "second"}


def test_a_run_between_two_steps_is_running(lake: Lake) -> None:
    Ledger(lake).note(RUN)
    by_driver(lake, FIRST, "succeeded", step="first")
    record = records.run(lake, NAME, END)
    assert record is not None
    assert record["status"] == "running"


def test_only_attempts_of_the_same_workflow_count(lake: Lake) -> None:
    by_driver(lake, FIRST, "running", workflow_uid="another")
    lake.write(attempts.path(NAME, "20260101t120050000-3"), b"{}")
    record = settled(lake, IMAGE)
    assert (record["status"], record["attempts"]) == ("failed", [])


def test_a_workflow_of_the_same_name_replaces_the_one_before(lake: Lake) -> None:
    settled(lake, IMAGE)
    again = Submitted(NAME, "another", "windy", START, {})
    Ledger(lake).note(again)
    assert records.recent(lake)[0]["status"] == "submitted"


def test_recording_an_end_twice_changes_nothing(lake: Lake) -> None:
    by_driver(lake, FIRST, "running")
    once = settled(lake, IMAGE)
    assert settled(lake, IMAGE) == once


def test_a_retry_and_the_run_it_tries_again_tell_of_each_other(lake: Lake) -> None:
    settled(lake, IMAGE)
    later = "windy-20260101t130000-abcde"
    Ledger(lake).note(Submitted(later, "u", "windy", END, {}, NAME, ("text",)))
    first, second = records.run(lake, NAME), records.run(lake, later)
    assert first is not None
    assert second is not None
    assert (first["retried_by"], second["retry_of"]) == ([later], NAME)
    assert second["long_parameters"] == ["text"]
    (note,) = Ledger(lake).open_notes()
    assert (note.retry_of, note.long) == (NAME, ("text",))


def test_no_file_of_a_driver_is_written(lake: Lake) -> None:
    by_driver(lake, FIRST, "running")
    before = lake.read(attempts.path(NAME, FIRST))
    settled(lake, IMAGE)
    assert lake.read(attempts.path(NAME, FIRST)) == before
