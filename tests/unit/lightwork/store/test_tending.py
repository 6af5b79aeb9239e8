"""Tending: what is merged when, and that nobody waits for it for long."""

from __future__ import annotations

import threading
import time

import pytest

from lightwork.lake import open_lake
from lightwork.store import segments, tending
from lightwork.store.results import CodeResults
from tests.waiting import patience

FOLDER = "results/t/c"


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setattr(tending, "_LISTING", 0)
    return open_lake(tmp_path, tenant="acme")


def commit(lake, number: int, size: int = 1) -> None:
    CodeResults(lake, "t", "c").commit(number.to_bytes(16, "big"), segments.to_blocks([bytes(size)]))


def sizes(lake) -> list[int]:
    return sorted(entry.size for entry in lake.entries(FOLDER) if entry.path.endswith(".seg"))


@pytest.fixture
def forever(monkeypatch):
    """Tending that goes on until it is told to stop."""
    ended = threading.Event()

    def tend(lake, folder, stopped) -> None:
        while not stopped():
            time.sleep(0.01)
        ended.set()

    monkeypatch.setattr(tending, "tend", tend)
    return ended


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_session_waits_for_its_tending_for_a_while_and_then_stops_it(lake, forever, end):
    tender = tending.Tender(patience=0.1)
    tender.note(lake, FOLDER, tending._OFTEN, 1)
    assert not forever.is_set()
    begin = time.monotonic()
    if end == "cancel":
        tender.cancel()
    tender.close()
    assert time.monotonic() - begin < patience(2)
    assert forever.wait(patience(2))


def test_a_few_new_segments_are_left_as_they_are(lake):
    tender = tending.Tender()
    for number in range(tending.MANY - 1):
        commit(lake, number)
        tender.note(lake, FOLDER, 1, 1)
    tender.close()
    assert len(sizes(lake)) == tending.MANY - 1


def test_new_segments_count_with_those_that_were_found(lake):
    for number in range(tending.MANY):
        commit(lake, number)
    tender = tending.Tender()
    tender.found(lake, FOLDER, tending.MANY - 1, 1)
    tender.note(lake, FOLDER, 1, 1)
    tender.close()
    assert len(sizes(lake)) == 1


def test_large_segments_are_not_written_again_for_small_ones(lake):
    """Those of one size are merged, with all that are smaller."""
    for number in range(tending.MANY - 1):
        commit(lake, number, 100_000)
    for number in range(100, 100 + tending.MANY):
        commit(lake, number)
    tending.tend(lake, FOLDER)
    assert len(sizes(lake)) == tending.MANY
    assert sizes(lake)[1] > 100_000
    commit(lake, 1000, 100_000)
    tending.tend(lake, FOLDER)
    assert len(sizes(lake)) == 1


def test_results_too_large_to_merge_stay_where_they_are(lake, monkeypatch):
    monkeypatch.setattr(tending, "_TIERS", (1000, 2000))
    for number in range(2 * tending.MANY):
        commit(lake, number, 3000)
    before = sizes(lake)
    tending.tend(lake, FOLDER)
    assert sizes(lake) == before


def test_calls_by_thousands_stay_few_files(lake):
    """Whatever the number of commits, each result is written again a few times at most."""
    written = 0
    for number in range(600):
        commit(lake, number)
        if number % 10 == 9:
            before = {entry.path for entry in lake.entries(FOLDER)}
            tending.tend(lake, FOLDER)
            written += sum(e.size for e in lake.entries(FOLDER) if e.path not in before)
    assert len(sizes(lake)) < 3 * tending.MANY
    assert written < 20 * sum(sizes(lake))


def test_an_index_that_is_missing_is_begun_at_once(lake, forever):
    tender = tending.Tender(patience=0.1)
    tender.found(lake, FOLDER, 3, 4 * tending.INDEXED)
    assert tender._is_running()
    tender.close()
    assert forever.wait(patience(2))
