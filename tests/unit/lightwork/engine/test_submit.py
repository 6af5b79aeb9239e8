"""`Task.submit`: single calls, whose results may be arguments of others."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightwork import ElementError, InputError, connect, task
from lightwork.cluster.cluster import Lost
from lightwork.engine import worker
from tests.waiting import patience, wait_until


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(parts: list[int], scale: int = 1) -> int:
    return scale * sum(parts)


@task
def fail(x: int) -> int:
    raise ValueError("no")


def test_one_call_gives_a_result(session):
    assert double.submit(3).result() == 6


def test_futures_may_be_arguments_even_inside_lists(session):
    parts = [double.submit(x) for x in range(4)]
    assert total.submit(parts, scale=double.submit(1)).result() == 24


def test_a_cached_call_is_not_computed_again(tmp_path, session):
    assert double.submit(21).result() == 42
    before = dict(session.elements)
    assert double.submit(x=21).result() == 42
    time.sleep(1.1)  # a session reads the list of results at most once a second
    assert double.submit(x=21).result() == 42
    assert session.elements["cached"] > before["cached"]


def test_a_call_with_futures_as_arguments_is_cached(tmp_path):
    for expected in (0, 2):
        with connect(lake=tmp_path, progress="off") as session:
            assert total.submit([double.submit(5)]).result() == 10
            assert session.elements["cached"] == expected


def test_a_map_and_a_call_share_their_results(tmp_path):
    with connect(lake=tmp_path, progress="off"):
        list(double.map(range(5)))
    with connect(lake=tmp_path, progress="off") as session:
        assert double.submit(x=4).result() == 8
        assert session.elements["cached"] == 1


def test_result_raises_the_error_of_a_failed_call(session):
    future = fail.submit(1)
    with pytest.raises(ElementError, match=r"the call .* failed: ValueError: no"):
        future.result()
    assert isinstance(future.exception(), ElementError)
    assert future.done()


def test_a_call_fails_with_the_error_of_its_failed_input(session):
    with pytest.raises(ElementError, match="ValueError: no"):
        double.submit(fail.submit(1)).result()


def test_a_result_that_is_not_available_in_time_raises_timeout_error(workers, tmp_path):
    signal = tmp_path / "signal"

    @task(cache=False)
    def wait(file: Path) -> int:
        wait_until(file.exists, "the caller's timeout")
        return 1

    future = wait.submit(signal)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.05)
    signal.touch()
    assert future.result() == 1


def test_the_session_counts_calls_including_their_inputs(session):
    assert total.submit([double.submit(101), double.submit(102)]).result() == 406
    assert session.elements == {"total": 3, "cached": 0, "computed": 3, "failed": 0}


def test_a_future_is_refused_as_an_element_of_a_map(workers):
    with pytest.raises((InputError, ElementError), match=r"a future cannot be an element.*result\(\)"):
        list(double.map([double.submit(1)]))


def test_a_call_that_could_not_be_sent_is_sent_when_its_result_is_asked_for(workers, monkeypatch):
    cluster, real_submit, lost = workers.runner.cluster, workers.runner.cluster.submit, []

    def submit(*args, **kwargs):
        if not lost:
            lost.append(args)
            raise Lost
        return real_submit(*args, **kwargs)

    monkeypatch.setattr(cluster, "submit", submit)
    future = double.submit(4)
    assert lost
    assert future.result(timeout=patience(60)) == 8


@task
def returns_a_lock(x, lock=None):
    return threading.Lock()


@task
def takes_a_lock(x, lock):
    return x


def test_calls_that_cannot_be_cached_are_warned_of_once_and_then_counted(tmp_path, caplog):
    reads = threading.Lock()

    def read_lock(x):
        return reads.locked() or x

    with connect("serial", lake=tmp_path, progress="off"):
        for x in range(4):
            takes_a_lock.submit(x, threading.Lock()).result()
            returns_a_lock.submit(x).result()
            task(read_lock).submit(x).result()
    lines = [record.getMessage() for record in caplog.records if "cached" in record.getMessage()]
    for name, kind in [("takes_a_lock", "arguments"), ("returns_a_lock", "result"), ("read_lock", "code")]:
        about = [line for line in lines if name in line]
        assert len(about) == 2, about
        assert f"3 more calls were not cached, because of their {kind}" in about[1]


def test_a_worker_warns_of_its_calls_once(monkeypatch, caplog):
    monkeypatch.setattr(worker, "_warned", OrderedDict())
    job = SimpleNamespace(context={"run": "r"}, task="t")
    other = SimpleNamespace(context={"run": "s"}, task="t")
    for one in (job, job, other, job):
        worker._warn_once(one, "arguments", "this call is not cached")
    assert caplog.text.count("this call is not cached") == 2
