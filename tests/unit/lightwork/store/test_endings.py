"""Records of what drivers could not record: of Workflows without a driver, and the ends of killed drivers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lightwork.lake import Lake, open_lake
from lightwork.store import records
from lightwork.store.documents import seal
from lightwork.store.endings import Ending, Ledger, Submitted

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
END = START + dt.timedelta(minutes=3)
RUN = Submitted("windy-abc", "0a1b2c3d-4e5f", "windy", START, {"hours": "24"})
OWN = "20260101T120000-w0a1b2c3d"
IMAGE: Ending = ("failed", "the driver did not start: no image")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path), tenant="acme")


def by_driver(lake: Lake, run_id: str, status: str, workflow: str = "windy-abc", **more: Any) -> None:
    record = {
        "run_id": run_id,
        "status": status,
        "pipeline": "windy",
        "workflow": workflow,
        "pod": "windy-abc-1",
    }
    values = {**record, "started": (START + dt.timedelta(seconds=20)).isoformat(), "error": None, **more}
    lake.write(f"runs/{run_id}/run.json", seal(values))


def settle(lake: Lake, end: Ending, pod: Ending | None = None) -> dict[str, dict[str, Any]]:
    ledger = Ledger(lake)
    ledger.note(RUN)
    ledger.settle(RUN, end, END, lambda _: pod)
    return {record["run_id"]: record for record in records.recent(lake)}


def test_a_run_is_recorded_from_its_submission_on(lake: Lake) -> None:
    ledger = Ledger(lake)
    ledger.note(RUN)
    ledger.note(RUN)
    (record,) = records.recent(lake)
    assert (record["run_id"], record["status"], record["pipeline"]) == (OWN, "submitted", "windy")
    assert (record["parameters"], record["workflow"]) == ({"hours": "24"}, "windy-abc")
    assert records.status(lake, record, START + dt.timedelta(days=9)) == "submitted", "it has no heartbeat"
    assert ledger.open_notes() == [RUN]


def test_a_run_without_a_driver_has_the_end_of_its_workflow(lake: Lake) -> None:
    (record,) = settle(lake, IMAGE).values()
    assert (record["run_id"], record["status"], record["error"]) == (OWN, *IMAGE)
    assert (record["finished"], record["seconds"]) == ("2026-01-01T12:03:00.000+00:00", 180.0)
    assert Ledger(lake).open_notes() == []


@pytest.mark.parametrize("status", ["failed", "succeeded"])
def test_a_driver_that_recorded_its_end_keeps_it(lake: Lake, status: str) -> None:
    by_driver(lake, "20260101T120020-1", status, error="its own", elements={"total": 3})
    found = settle(lake, (status, "of the Workflow"))
    assert list(found) == ["20260101T120020-1"], "there is nothing else to say about the run"
    assert (found["20260101T120020-1"]["error"], found["20260101T120020-1"]["elements"]) == (
        "its own",
        {"total": 3},
    )


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_driver_that_was_ended_gets_the_reason(lake: Lake, status: str) -> None:
    by_driver(
        lake,
        "20260101T120020-1",
        status,
        error="KeyboardInterrupt:",
        workflow_uid=RUN.uid,
        elements={"total": 3},
    )
    (record,) = settle(lake, ("failed", "its `deadline` of 6h was over")).values()
    assert (record["status"], record["error"]) == ("failed", "its `deadline` of 6h was over")
    assert (record["elements"], record["seconds"]) == ({"total": 3}, 160.0)


def test_a_driver_that_recorded_when_it_stopped_keeps_that(lake: Lake) -> None:
    stopped = (START + dt.timedelta(seconds=60)).isoformat()
    by_driver(lake, "20260101T120020-1", "stopped", error="KeyboardInterrupt:", finished=stopped)
    (record,) = settle(lake, ("stopped", "stopped by hand")).values()
    assert (record["error"], record["seconds"]) == ("stopped by hand", 40.0)


def test_each_attempt_has_the_end_of_its_own_pod(lake: Lake) -> None:
    by_driver(lake, "20260101T120020-1", "running", pod="windy-abc-lost")
    by_driver(lake, "20260101T120220-1", "succeeded")
    found = settle(lake, ("succeeded", ""), ("failed", "pod deleted"))
    assert [(item["status"], item["error"]) for item in found.values()] == [
        ("succeeded", None),
        ("failed", "pod deleted"),
    ]


def test_steps_that_ran_together_have_the_same_end(lake: Lake) -> None:
    for number in (1, 2):
        by_driver(lake, f"20260101T120020-{number}", "stopped", error="KeyboardInterrupt:")
    found = settle(lake, ("stopped", "stopped by hand"))
    assert [item["error"] for item in found.values()] == ["stopped by hand", "stopped by hand"]


def test_a_record_without_an_end_does_not_become_a_success(lake: Lake) -> None:
    by_driver(lake, "20260101T120020-1", "running")
    assert settle(lake, ("succeeded", ""))["20260101T120020-1"]["status"] == "lost"


def test_a_run_that_failed_after_its_driver_succeeded_has_both_records(lake: Lake) -> None:
    by_driver(lake, "20260101T120020-1", "succeeded")
    found = settle(lake, ("failed", "report: no disk"))
    assert {key: item["status"] for key, item in found.items()} == {
        "20260101T120020-1": "succeeded",
        OWN: "failed",
    }


def test_other_runs_keep_their_records(lake: Lake) -> None:
    by_driver(lake, "20260101T120020-1", "running", workflow="windy-xyz")
    by_driver(lake, "20260101T120030-1", "running", workflow=None)
    by_driver(lake, "20260101T120025-1", "running", workflow_uid="another")
    by_driver(lake, "20260101T110000-1", "running")  # of an earlier Workflow with the same name
    lake.write("runs/20260101T120040-1/alive", b"")  # a run that has no record yet
    lake.write("runs/20260101T120050-1/run.json", b"{}")
    found = settle(lake, IMAGE)
    assert found.pop(OWN)["status"] == "failed"
    assert {item["error"] for item in found.values()} == {None}


def test_recording_an_end_twice_changes_nothing(lake: Lake) -> None:
    by_driver(lake, "20260101T120020-1", "running")
    once = settle(lake, IMAGE)
    assert settle(lake, IMAGE) == once


def test_the_list_of_runs_hides_a_submission_beside_its_drivers_record(lake: Lake) -> None:
    Ledger(lake).note(RUN)
    by_driver(lake, "20260101T120020-1", "succeeded")
    assert [item["run_id"] for item in records.recent(lake)] == ["20260101T120020-1"]
