"""A run that was killed does not stay `running` for ever."""

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


def test_a_run_that_never_said_anything_again_is_lost_after_a_while(lake: Lake) -> None:
    assert records.status(lake, RECORD, after(4)) == "running"
    assert records.status(lake, RECORD, after(6)) == "lost"


def test_a_sign_of_life_keeps_it_running(lake: Lake) -> None:
    lake.write("runs/r1/alive", after(60).isoformat().encode())
    assert records.status(lake, RECORD, after(64)) == "running"
    assert records.status(lake, RECORD, after(66)) == "lost"


@pytest.mark.parametrize("status", ["succeeded", "failed", "stopped"])
def test_a_run_that_has_said_how_it_ended_is_believed(lake: Lake, status: str) -> None:
    assert records.status(lake, {**RECORD, "status": status}, after(1000)) == status


def test_who_runs_says_so_until_the_end_and_no_longer(lake: Lake) -> None:
    with records.beating(lake, "runs/r1", every=0.02):
        wait_until(lambda: lake.exists("runs/r1/alive"), "a sign of life")
    assert dt.datetime.fromisoformat(lake.read("runs/r1/alive").decode()).tzinfo is not None
    time.sleep(0.1)
    last = lake.read("runs/r1/alive")
    time.sleep(0.2)
    assert lake.read("runs/r1/alive") == last


def test_the_list_of_runs_says_which_are_lost(lake: Lake) -> None:
    for name, status in (("r1", "running"), ("r2", "succeeded")):
        text = json.dumps({**RECORD, "run_id": name, "status": status})
        lake.write(f"runs/{name}/run.json", text.encode())
    assert {one["run_id"]: one["status"] for one in recent(lake)} == {"r1": "lost", "r2": "succeeded"}
