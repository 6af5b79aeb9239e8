"""Results that cannot be committed to the lake, and damaged descriptions of code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lightwork import connect, task
from lightwork.engine import worker
from lightwork.engine.job import pack
from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import open_lake
from lightwork.lake.patience import in_force
from lightwork.store import segments
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
    """Make commits raise an error; the dict holds it, and counts the attempts."""
    commits = {"attempts": 0, "error": LightworkError("cannot write x: No space left on device")}

    def commit(*_):
        commits["attempts"] += 1
        raise commits["error"]

    monkeypatch.setattr(CodeResults, "commit", commit)
    return commits


def test_a_commit_that_is_refused_is_not_repeated(job, broken):
    assert worker._commit(job, b"k" * 16, []) == ("", "cannot write x: No space left on device")
    assert broken["attempts"] == 1


def test_a_batch_whose_results_are_refused_hands_them_out_with_their_number(job, broken):
    keys = b"a" * 16 + worker.NO_KEY + b"b" * 16
    reply = worker._reply(job, [1, 2, 3], keys, [1, 4, 9], [], 0.0)
    assert (reply.unkept, reply.refusal, reply.path) == (2, str(broken["error"]), "")
    assert segments.from_block(reply.blocks[0][1]) == [1, 4, 9]


def test_a_lake_that_stays_away_ends_a_batch(job, broken):
    broken["error"] = LakeAway("cannot write x: it is away; gave up after 120 s")
    with pytest.raises(LakeAway):
        worker._reply(job, [1], b"a" * 16, [1], [], 0.0)


def test_what_is_computed_when_a_worker_is_killed_does_not_wait_for_the_lake(job, broken):
    def commit(*_):
        assert in_force(120.0) == 0
        raise LakeAway("cannot write x: it is away")

    broken["error"] = None
    partial = worker._Partial(job, [1, 2], b"a" * 32)
    partial.values.append(1)
    with pytest.MonkeyPatch.context() as patch, partial:
        patch.setattr(CodeResults, "commit", commit)
        told = worker.commit_running()
    assert told == "results were computed but not kept in the lake: cannot write x: it is away"


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
