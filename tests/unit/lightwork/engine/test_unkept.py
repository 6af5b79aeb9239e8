"""Results that cannot be committed to the lake, and damaged descriptions of code."""

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
    """Make commits fail with an `errno`; count the attempts and the seconds slept."""
    monkeypatch.setattr(worker, "_gave_up", float("-inf"))
    commits = {"attempts": 0, "slept": 0.0, "errno": errno.ENOSPC}

    def commit(*_):
        commits["attempts"] += 1
        cause = OSError(commits["errno"], "simulated")
        raise LightworkError("cannot write") from cause

    def sleep(seconds):
        commits["slept"] += seconds
        clock[0] += seconds

    clock = [1000.0]
    monkeypatch.setattr(CodeResults, "commit", commit)
    monkeypatch.setattr(worker.time, "sleep", sleep)
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock[0])
    return commits


def test_a_commit_to_a_full_disk_is_not_retried(job, broken):
    path, warning = worker._commit(job, b"k" * 16, [])
    assert (path, broken["slept"]) == ("", 0)
    assert "not kept in the lake: LightworkError: cannot write" in warning


def test_commits_to_an_unreachable_lake_are_retried_once_and_not_again_for_each_batch(job, broken):
    broken["errno"] = errno.ECONNREFUSED
    worker._commit(job, b"k" * 16, [])
    assert 60 < broken["slept"] <= worker._COMMIT_PATIENCE
    broken["slept"] = broken["attempts"] = 0
    assert worker._commit(job, b"k" * 16, [])[0] == ""
    assert (broken["attempts"], broken["slept"]) == (1, 0)


def test_a_damaged_description_of_code_is_ignored(tmp_path):
    with connect(on="serial", lake=tmp_path, progress="off") as session:
        list(square.map(range(3)))
        store = ResultStore(session.lake, square.name)
        assert len(store.versions()) == 1
        (entry,) = [e for e in session.lake.entries("results") if e.path.endswith("code.json")]
        for damage in (b"garbage", b"[1]", b"{}", b"\xff\xfe"):
            session.lake.write(entry.path, damage)
            assert store.versions() == []


@pytest.mark.parametrize("cached", [True, False])
def test_a_worker_needs_the_drivers_lake_only_if_results_are_cached(job, tmp_path, cached):
    other_lake = open_lake(str(tmp_path / "another"), tenant="x")
    parcel = pack(replace(job, code=job.code if cached else None, lake=other_lake), "jobs")
    if cached:
        with pytest.raises(LightworkError, match=r"cannot reach the driver's lake .*another.*choose a lake"):
            worker._unpack_checked(parcel)
    else:
        assert worker._unpack_checked(parcel).task == job.task
