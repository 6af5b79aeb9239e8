"""Results that expire, are forgotten or are computed again for one task only."""

from __future__ import annotations

import time

import pytest

from lightwork import InputError, connect, task
from lightwork.store import results as stored


@task
def plain(x: int) -> list[int]:
    return [x]


@task(expires="1h")
def dated(x: int) -> list[int]:
    return [x]


@pytest.fixture
def later(monkeypatch):
    """Move this process's clock for results; that of workers stays."""

    def move(seconds: float) -> None:
        now = time.time_ns
        moved = type("clock", (), {"time_ns": staticmethod(lambda: now() + int(seconds * 1e9))})
        monkeypatch.setattr(stored, "time", moved)

    return move


def test_a_result_counts_until_it_expires(session, later):
    assert dated.map(range(3)).wait().computed == 3
    assert dated.map(range(3)).wait().cached == 3
    assert dated.is_cached(1)
    assert dated.submit(1).result() == [1]
    later(3500)
    assert dated.map(range(3)).wait().cached == 3
    later(4000)
    assert not dated.is_cached(1)
    assert dated.map(range(2)).wait().computed == 2, "they have expired"
    assert dated.map(range(2)).wait().cached == 2, "the new ones count"
    assert dated.is_cached(1)
    assert not dated.is_cached(2)


def test_it_stays_dated_when_results_are_merged(session, later):
    for x in range(5):
        dated.map([x]).wait()
    code = session.runner.code_of(dated)
    session.runner.results_of(dated, code).compact()
    later(3000)
    assert dated.map(range(5)).wait().cached == 5
    later(4000)
    assert dated.map(range(5)).wait().computed == 5


def test_results_from_before_the_option_count_as_expired(session):
    plain.map(range(3)).wait()
    dated_plain = plain.with_options(expires="1h")
    assert dated_plain.map(range(3)).wait().computed == 3
    assert dated_plain.map(range(3)).wait().cached == 3
    assert plain.map(range(3)).wait().cached == 3


def test_a_call_is_forgotten(session):
    plain.map(range(3)).wait()
    assert plain.is_cached(1)
    assert plain.forget(1)
    assert not plain.is_cached(1)
    assert not plain.forget(1), "there is none any more"
    assert plain.is_cached(2)
    results = plain.map(range(3))
    assert list(results) == [[0], [1], [2]]
    assert (results.stats.cached, results.stats.computed) == (2, 1)
    assert plain.is_cached(1), "what was computed after that counts"
    assert plain.forget(x=1)
    assert plain.submit(1).result() == [1]
    assert plain.is_cached(1)


def test_a_forgotten_call_stays_so_for_other_runs_and_merges(tmp_path):
    for _ in range(2):
        with connect("serial", lake=tmp_path / "lake", progress="off") as session:
            plain.map(range(3)).wait()
            plain.forget(1)
            code = session.runner.code_of(plain)
            session.runner.results_of(plain, code, newest=True).compact()
        with connect("serial", lake=tmp_path / "lake", progress="off"):
            assert not plain.is_cached(1)
            assert plain.is_cached(2)
            assert plain.map(range(3)).wait().cached == 2


def test_a_task_is_forgotten(session):
    plain.map(range(3)).wait()
    dated.map(range(3)).wait()
    assert plain.forget_all() > 0
    assert plain.forget_all() == 0
    assert dated.map(range(3)).wait().cached == 3
    assert plain.map(range(3)).wait().computed == 3
    assert plain.map(range(3)).wait().cached == 3


def test_one_task_is_computed_again(session, tmp_path):
    plain.map(range(3)).wait()
    dated.map(range(3)).wait()
    assert plain.with_options(refresh=True).map(range(3)).wait().computed == 3
    with connect(session.on, lake=tmp_path / "lake", tenant="acme", progress="off", refresh=["plain"]):
        assert plain.map(range(3)).wait().computed == 3
        plain.submit(1).result()
        assert dated.map(range(3)).wait().cached == 3


def test_a_name_that_is_no_task_of_the_run_is_told(tmp_path, caplog):
    with connect("serial", lake=tmp_path / "lake", progress="off", refresh=["plane"]):
        plain.map([1]).wait()
    assert "no task 'plane' has run" in caplog.text


def test_wrong_arguments_are_refused(session):
    for method in (plain.is_cached, plain.forget):
        with pytest.raises(InputError, match="too many positional arguments"):
            method(1, 2)
    uncached = plain.with_options(cache=False)
    assert not uncached.is_cached(1)
    with pytest.raises(InputError, match="has no key"):
        uncached.forget(1)
