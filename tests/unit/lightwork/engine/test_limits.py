"""Limits hold over all workers and calls; a slot outlives neither its call nor its worker for long."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lightwork import ElementError, InputError, connect, task
from lightwork.functions.limits import Limit, limits_of, parsed
from tests.waiting import patience, wait_until


@pytest.fixture(params=["serial", "workers"])
def place(request):
    return "serial" if request.param == "serial" else request.getfixturevalue("scheduler")


@task(limit="api", cache=False, batch=1)
def call_api(x: int) -> tuple[float, float]:
    begin = time.time()
    time.sleep(0.05)
    return begin, time.time()


@task(limit="api", cache=False)
def call_it_too(x: int) -> tuple[float, float]:
    begin = time.time()
    time.sleep(0.05)
    return begin, time.time()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(itertools.accumulate(change for _, change in changes))


def test_no_more_calls_run_at_once_than_a_limit_allows(place, tmp_path):
    with connect(place, lake=tmp_path, progress="off", limits={"api": 1}):
        results = call_api.map(range(6))
        futures = [call_it_too.submit(x) for x in range(3)]
        spans = [*results, *(future.result() for future in futures)]
    assert len(spans) == 9
    assert most_at_once(spans) == 1
    assert results.stats.waited > 0


def test_a_limit_above_the_workers_holds_up_nobody(scheduler, tmp_path):
    with connect(scheduler, lake=tmp_path, progress="off", limits={"api": 2}):
        assert most_at_once(list(call_api.map(range(10)))) == 2


@pytest.mark.parametrize("limit", ["5/s", "300/min"])
def test_no_more_calls_start_within_a_time_than_a_rate_allows(place, tmp_path, limit):
    count, seconds = (5, 1.0) if limit == "5/s" else (300, 60.0)
    with connect(place, lake=tmp_path, progress="off", limits={"api": limit}):
        begins = sorted(begin for begin, _ in call_api.map(range(12)))
    if count == 300:
        assert begins[-1] - begins[0] < patience(20)
        return
    assert all(later - begin >= seconds - 0.05 for begin, later in zip(begins, begins[count:], strict=False))


@task(limit="api", cache=False, retries=2, retry_delay=0.3, on_error="collect")
def fails(x: int) -> int:
    raise OSError(x)


def test_no_slot_is_held_between_attempts_or_after_a_failure(place, tmp_path):
    with connect(place, lake=tmp_path, progress="off", limits={"api": 1}):
        assert all(isinstance(value, ElementError) for value in fails.map(range(2)))
        assert len(list(call_api.map(range(2)))) == 2


@task(limit="api", cache=False)
def outer(x: int) -> int:
    return len(list(call_api.map(range(x))))


def test_a_task_that_maps_another_of_its_limit_needs_no_second_slot(place, tmp_path):
    with connect(place, lake=tmp_path, progress="off", limits={"api": 1}):
        assert list(outer.map([2, 3])) == [2, 3]


@task(limit="api", timeout=0.5, cache=False, on_error="collect")
def hangs(x: int) -> int:
    if x == 0:
        time.sleep(1000)
    return x


def test_a_call_that_exceeds_its_time_gives_its_slot_back(place, tmp_path):
    with connect(place, lake=tmp_path, progress="off", limits={"api": 1}):
        values = list(hangs.map(range(3)))
    assert isinstance(values[0], ElementError)
    assert values[1:] == [1, 2], "a wait for a slot is no part of an element's time"


@task(limit="api", cache=False)
def hold(path: str) -> int:
    if not Path(path).exists():
        Path(path).write_text(str(os.getpid()))
        time.sleep(1000)
    return os.getpid()


@pytest.mark.kill
@pytest.mark.slow
def test_a_slot_of_a_killed_worker_is_free_within_half_a_minute(scheduler, tmp_path):
    with connect(scheduler, lake=tmp_path / "lake", progress="off", limits={"api": 1}):
        told = tmp_path / "process"
        future = hold.submit(str(told))
        wait_until(lambda: told.exists() and told.read_text(), "the slot is held")
        os.kill(int(told.read_text()), signal.SIGKILL)
        begin = time.monotonic()
        assert future.result(timeout=patience(60)) > 0, "it runs again, with a slot of its own"
        assert time.monotonic() - begin < 30 + patience(2)


def test_a_task_whose_limit_the_session_lacks_is_refused_in_one_line(place, tmp_path):
    with connect(place, lake=tmp_path, progress="off", limits={"apis": 1}):
        for use in (lambda: call_api.map([1]), lambda: call_api.submit(1)):
            with pytest.raises(
                InputError, match="limit='api': the session has no limit of this name"
            ) as error:
                use()
            assert "did you mean 'apis'?" in str(error.value)
            assert "\n" not in str(error.value)


def test_a_limit_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_LIMITS", "other=3, api=2")
    with connect("serial", lake=tmp_path, progress="off"):
        assert len(list(call_api.map([1]))) == 1
    monkeypatch.setenv("LIGHTWORK_LIMITS", "api=0")
    with pytest.raises(InputError, match=r"LIGHTWORK_LIMITS: limits: api=0; expected a whole number"):
        connect("serial", lake=tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        *(0, -1, 1.5, True, None, "4", "0/s", "/s", "10/", "10/day", "1.5/s", "-1/s", "ten/s", b"10/s"),
        *([4], {}),
    ],
)
def test_a_wrong_limit_is_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(InputError, match=r"connect: limits: api=") as error:
        connect("serial", lake=tmp_path, limits={"api": wrong})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [4, "api=4", ["api"], {"": 4}, {4: 4}])
def test_wrong_limits_are_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(InputError, match=r"connect: .*limits"):
        connect("serial", lake=tmp_path, limits=wrong)


@pytest.mark.parametrize("text", ["api", "=4", "api=", "api=4,api=5", "api=4;b=5", "api=x"])
def test_a_wrong_text_of_limits_is_refused(text):
    with pytest.raises(InputError, match="LIGHTWORK_LIMITS"):
        parsed("LIGHTWORK_LIMITS", text)


def test_limits_are_read():
    assert limits_of("connect", {"a": 4, "b": "10/s", "c": "90 / min"}) == {
        "a": Limit("a", 4),
        "b": Limit("b", 10, 1.0),
        "c": Limit("c", 90, 60.0),
    }
    assert parsed("", "a=4, b=10/s") == limits_of("", {"a": 4, "b": "10/s"})
    assert parsed("", "") == {}


def test_threads_of_a_serial_session_share_a_limit(tmp_path):
    spans: list[tuple[float, float]] = []
    with connect("serial", lake=tmp_path, progress="off", limits={"api": 2}):
        threads = [threading.Thread(target=lambda: spans.extend(call_api.map(range(3)))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(spans) == 12
    assert most_at_once(spans) <= 2
