"""Results of single calls are committed in groups, a moment later, and merged across sessions."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from lightwork import LightworkError, connect, task
from lightwork.engine import worker
from lightwork.functions.options import TaskOptions
from lightwork.lake import open_lake
from lightwork.store import groups, segments, tending
from lightwork.store.groups import Group, Groups
from lightwork.store.results import MISSING, CodeResults
from tests.waiting import patience, wait_until


@task
def double(x: int) -> int:
    return 2 * x


@task
def pair(x: int) -> list[int]:
    return [x, x]


@task
def total(parts: list[int]) -> int:
    return sum(parts)


def files(path, suffix: str = ".seg") -> int:
    return len(list(path.rglob(f"*{suffix}")))


def test_many_calls_are_few_files_and_all_are_kept(tmp_path):
    with connect("serial", lake=tmp_path, progress="off"):
        begin = time.monotonic()
        futures = [double.submit(x) for x in range(200)] + [pair.submit(x) for x in range(200)]
        seconds = time.monotonic() - begin
        assert [future.result() for future in futures[::200]] == [0, [0, 0]]
    assert 2 <= files(tmp_path) <= 2 * (seconds / groups.EVERY + 2)
    with connect("serial", lake=tmp_path, progress="off") as session:
        assert [double.submit(x).result() for x in range(200)] == [2 * x for x in range(200)]
        assert [pair.submit(x).result() for x in range(200)] == [[x, x] for x in range(200)]
        assert session.elements["cached"] == 400


def test_a_call_is_found_at_once_by_calls_and_maps_of_its_session(tmp_path):
    with connect("serial", lake=tmp_path, progress="off") as session:
        first = pair.submit(1).result()
        first.append("changed by the caller")
        assert pair.submit(1).result() == [1, 1]
        assert list(pair.map([1])) == [[1, 1]]
        assert session.elements == {"total": 3, "cached": 2, "computed": 1, "failed": 0}


def test_a_call_is_committed_soon_though_nothing_follows(tmp_path):
    with connect("serial", lake=tmp_path, progress="off"):
        double.submit(1)
        wait_until(lambda: files(tmp_path) == 1, "the commit of one call", seconds=10)


def test_workers_keep_all_calls_when_the_session_ends(tmp_path, scheduler):
    with connect(scheduler, lake=tmp_path, progress="off"):
        parts = [double.submit(x) for x in range(60)]
        assert total.submit(parts).result() == sum(range(0, 120, 2))
    assert files(tmp_path) <= 20
    with connect(scheduler, lake=tmp_path, progress="off") as session:
        parts = [double.submit(x) for x in range(60)]
        assert total.submit(parts).result() == sum(range(0, 120, 2))
        assert list(double.map(range(60))) == list(range(0, 120, 2))
        assert session.elements["cached"] == 120


def test_a_map_finds_what_calls_on_workers_have_just_returned(tmp_path, scheduler):
    with connect(scheduler, lake=tmp_path, progress="off") as session:
        assert double.submit(7).result() == 14
        assert list(double.map([7])) == [14]
        assert session.elements["cached"] == 1


def test_a_worker_that_is_to_be_killed_commits_first(tmp_path, monkeypatch):
    committed = []
    monkeypatch.setattr(worker, "_calls", Groups(lambda group: committed.append(group.parts()[0])))
    worker._calls.add("name", None, b"k" * 16, 1, 0)
    worker.commit_running()
    assert committed == [b"k" * 16]


def test_calls_of_many_sessions_are_merged(tmp_path):
    for x in range(tending.MANY + 8):
        with connect("serial", lake=tmp_path, progress="off"):
            assert double.submit(x).result() == 2 * x
    assert files(tmp_path) < tending.MANY
    with connect("serial", lake=tmp_path, progress="off") as session:
        for x in range(tending.MANY + 8):
            assert double.submit(x).result() == 2 * x
        assert session.elements["computed"] == 0


def test_a_session_of_many_results_leaves_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(tending, "INDEXED", 1000)
    with connect("serial", lake=tmp_path, progress="off"):
        double.map(range(1500)).wait()
    assert files(tmp_path, ".idx") == 1
    with connect("serial", lake=tmp_path, progress="off") as session:
        assert list(double.map(range(1500))) == [2 * x for x in range(1500)]
        assert session.elements["cached"] == 1500


def test_a_lake_that_may_only_be_read_is_not_tended_aloud(tmp_path, monkeypatch, caplog):
    lake = open_lake(tmp_path, tenant="acme")
    for x in range(4 * tending.MANY):
        CodeResults(lake, "t", "c").commit(bytes([x]) * 16, segments.to_blocks([x]))
    tender = tending.Tender()
    tender.found(lake, "results/t/c", 4 * tending.MANY, 4 * tending.MANY)

    def refuse(*_: object, **__: object) -> None:
        raise LightworkError("cannot write")

    monkeypatch.setattr(type(lake), "write", refuse)
    tender.close()
    assert not caplog.text
    assert files(tmp_path) == 4 * tending.MANY


def test_a_call_with_futures_reads_the_list_of_results_once_a_second(tmp_path, monkeypatch):
    lake = open_lake(tmp_path, tenant="acme")
    for x in range(20):
        CodeResults(lake, "t", "c").commit(bytes([x]) * 16, segments.to_blocks([x]))
    lists = []
    entries = type(lake).entries
    monkeypatch.setattr(
        type(lake), "entries", lambda self, prefix="": lists.append(prefix) or entries(self, prefix)
    )
    monkeypatch.setattr(worker, "_views", type(worker._views)())

    job = SimpleNamespace(options=TaskOptions(), context={"run": "r"}, task="t", code="c", lake=lake)
    begin = time.monotonic()
    for x in range(20):
        assert worker._look_up(job, bytes([x]) * 16) == x
    assert worker._look_up(job, bytes([99]) * 16) is MISSING
    assert len(lists) <= 2 + (time.monotonic() - begin)


# Groups


def test_a_group_that_cannot_be_written_is_held_and_told_of():
    is_away, written = [True], []

    def write(group: Group[None]) -> None:
        if is_away[0]:
            raise LightworkError("the lake is away")
        written.append(group.parts()[0])

    calls = Groups(write)
    calls.add("name", None, b"a" * 16, 1, 0)
    with pytest.raises(LightworkError, match="away"):
        calls.commit()
    assert calls.find("name", b"a" * 16) == 1
    calls.add("name", None, b"b" * 16, 2, 0)
    is_away[0] = False
    calls.commit()
    assert written == [b"a" * 16 + b"b" * 16]
    assert calls.find("name", b"a" * 16) is MISSING


def test_a_large_group_is_written_before_it_grows():
    sizes: list[int] = []
    calls = Groups(lambda group: sizes.append(len(group.values)))
    for x in range(10):
        calls.add("name", None, bytes([x]) * 16, b"x" * (3 << 20), 0)
    calls.commit()
    assert sum(sizes) == 10
    assert max(sizes) <= 3


def test_a_result_can_be_found_until_it_is_committed():
    """Also while its group is being written."""
    writes, goes_on = threading.Event(), threading.Event()

    def write(_: Group[None]) -> None:
        writes.set()
        assert goes_on.wait(patience(10))

    calls = Groups(write)
    calls.add("name", None, b"a" * 16, 1, 0)
    assert writes.wait(patience(10))
    assert calls.find("name", b"a" * 16) == 1
    goes_on.set()
    calls.commit()
    assert calls.find("name", b"a" * 16) is MISSING


def test_threads_that_add_at_once_lose_nothing():
    written: list[bytes] = []
    calls = Groups(lambda group: written.extend(group.values))

    def add(first: int) -> None:
        for x in range(first, first + 500):
            calls.add(x % 3, None, x.to_bytes(16, "big"), x, 0)

    threads = [threading.Thread(target=add, args=(500 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls.commit()
    assert sorted(written) == [x.to_bytes(16, "big") for x in range(3000)]
