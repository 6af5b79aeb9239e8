"""A lake is cleaned up by itself at most once a day, by one process, and never because of a wrong clock."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightwork.lake import Lake, open_lake
from lightwork.lake.local import LocalLake
from lightwork.store import upkeep
from lightwork.store.collector import Policy
from lightwork.store.documents import seal
from lightwork.store.upkeep import keep_up

DAY = 86400.0
POLICY = Policy(history=90 * DAY)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with an old run and an old temporary file."""
    lake = open_lake(tmp_path, tenant="acme")
    add_rubbish(lake)
    return lake


def add_rubbish(lake: Lake) -> None:
    lake.write("runs/old/run.json", seal({"run_id": "old", "status": "succeeded"}))
    (lake.folder / ".tmp-1-old").write_bytes(b"half")
    for path in ("runs/old/run.json", ".tmp-1-old"):
        os.utime(lake.folder / path, (1e9, 1e9))


def left(lake: Lake) -> set[str]:
    return {item.path for item in lake.inventory() if item.kind != "folder"} - {upkeep.MARKER}


def go(lake: Lake, monkeypatch: pytest.MonkeyPatch, days: float, stop: threading.Event | None = None) -> bool:
    """Let some days pass; return whether the lake was looked through."""
    now = lake.now()
    monkeypatch.setattr(LocalLake, "now", lambda _: now + days * DAY)
    try:
        return keep_up(lake, POLICY, stop or threading.Event()) is not None
    finally:
        monkeypatch.undo()


def test_once_a_day_and_history_from_the_second_time_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go(lake, monkeypatch, 0)
    assert left(lake) == {"runs/old/run.json"}
    assert not go(lake, monkeypatch, 0.9)
    assert go(lake, monkeypatch, 1.1)
    assert left(lake) == set()


@pytest.mark.parametrize("days", [-365 * 20, 365 * 70, 100], ids=["back", "ahead", "100 days ahead"])
def test_a_clock_that_jumps_deletes_no_history(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    lake.delete(["runs/old/run.json"])
    lake.write("runs/new/run.json", seal({"run_id": "new", "status": "succeeded"}))
    assert go(lake, monkeypatch, 0)
    assert go(lake, monkeypatch, days), "a wrong clock does not end the upkeep either"
    assert go(lake, monkeypatch, 1.1)
    assert left(lake) == {"runs/new/run.json"}


def test_of_many_processes_one_does_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    all_there, read = threading.Barrier(20), upkeep._read
    looked = threading.local()

    def read_together(lake: Lake) -> upkeep.Marker | None:
        marker = read(lake)
        if not hasattr(looked, "once"):
            looked.once = True
            all_there.wait()
        return marker

    monkeypatch.setattr(upkeep, "_read", read_together)
    collect = upkeep.collect
    monkeypatch.setattr(upkeep, "collect", lambda *a, **k: (begun.append(1), collect(*a, **k))[1])
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: keep_up(lake, POLICY, threading.Event()), range(20)))
    assert len(begun) == 1
    assert sum(each is not None for each in done) == 1


def test_what_is_stopped_is_begun_again_within_hours(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    assert go(lake, monkeypatch, 0, stop)
    assert not go(lake, monkeypatch, 0.5 / 24)
    assert go(lake, monkeypatch, 1.1 / 24)
    assert not go(lake, monkeypatch, 12 / 24)


@pytest.mark.parametrize("data", [b"", b"{", b'{"at": "x"}', b"[1]", b'{"at": -1, "by": "x"}'])
def test_a_damaged_marker_counts_as_none(lake: Lake, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    lake.write(upkeep.MARKER, data)
    assert go(lake, monkeypatch, 0)
    assert not go(lake, monkeypatch, 0.1)
