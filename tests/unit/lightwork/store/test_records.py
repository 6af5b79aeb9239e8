"""A killed run does not stay `running` forever."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pytest

from lightwork.lake import Lake, open_lake
from lightwork.store import records
from lightwork.store.records import recent
from tests.waiting import wait_until

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
RECORD = {"run_id": "r1", "status": "running", "started": START.isoformat()}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path), tenant="acme")


def after(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


def test_a_run_without_a_heartbeat_is_lost_after_a_while(lake: Lake) -> None:
    assert records.status(lake, RECORD, after(4)) == "running"
    assert records.status(lake, RECORD, after(6)) == "lost"


def test_a_heartbeat_keeps_a_run_running(lake: Lake) -> None:
    lake.write("runs/r1/alive", after(60).isoformat().encode())
    assert records.status(lake, RECORD, after(64)) == "running"
    assert records.status(lake, RECORD, after(66)) == "lost"


@pytest.mark.parametrize("status", ["succeeded", "failed", "stopped"])
def test_a_recorded_end_is_final(lake: Lake, status: str) -> None:
    assert records.status(lake, {**RECORD, "status": status}, after(1000)) == status


def test_the_heartbeat_ends_with_the_run(lake: Lake) -> None:
    with records.beating(lake, "runs/r1", every=0.02):
        wait_until(lambda: lake.exists("runs/r1/alive"), "a heartbeat")
    assert dt.datetime.fromisoformat(lake.read("runs/r1/alive").decode()).tzinfo is not None
    time.sleep(0.1)
    last = lake.read("runs/r1/alive")
    time.sleep(0.2)
    assert lake.read("runs/r1/alive") == last


def test_the_list_of_runs_shows_lost_ones(lake: Lake) -> None:
    for name, status in (("r1", "running"), ("r2", "succeeded")):
        text = json.dumps({**RECORD, "run_id": name, "status": status})
        lake.write(f"runs/{name}/run.json", text.encode())
    assert {record["run_id"]: record["status"] for record in recent(lake)} == {
        "r1": "lost",
        "r2": "succeeded",
    }
