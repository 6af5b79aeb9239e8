"""Results that the lake does not take, and damaged descriptions of code."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from lightwork import connect, task
from lightwork.engine import worker
from lightwork.engine.job import pack
from lightwork.errors import LightworkError
from lightwork.lake import open_lake
from lightwork.store.results import CodeResults, ResultStore


@task
def square(number):
    return number * number


@pytest.fixture
def job(tmp_path):
    with connect(on="serial", lake=tmp_path, progress="off") as session:
        yield session.runner.job(square, session.runner.code_of(square))


@pytest.fixture
def broken(monkeypatch):
    """Let commits fail with this error's number; returns the attempts and pauses made."""
    monkeypatch.setattr(worker, "_gave_up", float("-inf"))
    made = {"attempts": 0, "slept": 0.0, "errno": errno.ENOSPC}

    def commit(*_):
        made["attempts"] += 1
        cause = OSError(made["errno"], "told so")
        raise LightworkError("cannot write") from cause

    def sleep(seconds):
        made["slept"] += seconds
        clock[0] += seconds

    clock = [1000.0]
    monkeypatch.setattr(CodeResults, "commit", commit)
    monkeypatch.setattr(worker.time, "sleep", sleep)
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock[0])
    return made


def test_a_full_disk_is_not_waited_for(job, broken):
    path, warning = worker._commit(job, b"k" * 16, [])
    assert (path, broken["slept"]) == ("", 0)
    assert "could not be kept in the lake: LightworkError: cannot write" in warning


def test_a_lake_that_is_away_is_waited_for_once_and_not_by_each_batch(job, broken):
    broken["errno"] = errno.ECONNREFUSED
    worker._commit(job, b"k" * 16, [])
    assert 60 < broken["slept"] <= worker._COMMIT_PATIENCE
    broken["slept"] = broken["attempts"] = 0
    assert worker._commit(job, b"k" * 16, [])[0] == ""
    assert (broken["attempts"], broken["slept"]) == (1, 0)


def test_a_damaged_description_of_code_is_left_out(tmp_path):
    with connect(on="serial", lake=tmp_path, progress="off") as session:
        list(square.map(range(3)))
        store = ResultStore(session.lake, square.name)
        assert len(store.versions()) == 1
        (entry,) = [e for e in session.lake.entries("results") if e.path.endswith("code.json")]
        for damage in (b"garbage", b"[1]", b"{}", b"\xff\xfe"):
            session.lake.write(entry.path, damage)
            assert store.versions() == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_asks_for_the_lake_only_where_something_is_kept(job, tmp_path, kept):
    made = replace(
        job, code=job.code if kept else None, lake=open_lake(str(tmp_path / "another"), tenant="x")
    )
    parcel = pack(made, "jobs")
    if kept:
        with pytest.raises(LightworkError, match="the workers do not see the driver's lake"):
            worker._checked(parcel)
    else:
        assert worker._checked(parcel).task == job.task
