"""Calls and maps in coroutines, and tasks that are coroutines themselves."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from pathlib import Path

import pytest

from lightwork import ElementError, TaskTimeoutError, backoff, connect, task
from lightwork.engine.only import Done, Only
from tests.waiting import wait_until


@task
def double(x: int) -> list[int]:
    if x < 0:
        raise ValueError(x)
    return [2 * x]


@task
async def fetch(x: int, factor: int = 2) -> list[int]:
    await asyncio.sleep(0.001)
    if x < 0:
        raise ValueError(x)
    return [factor * x]


def test_a_call_is_awaited(session):
    async def main():
        first, second = double.submit(1), double.submit(2)
        assert await asyncio.gather(first, second, first) == [[2], [4], [2]]
        with pytest.raises(ElementError, match="ValueError: -1"):
            await double.submit(-1)
        return await double.submit(3)

    assert asyncio.run(main()) == [6]
    assert session.elements["computed"] == 3


def test_a_map_is_iterated_in_a_coroutine(session):
    async def main():
        values = [value async for value in double.map(range(500))]
        assert values == [[2 * x] for x in range(500)]
        async for value in double.map(range(10_000)):
            if value == [4]:
                break
        with pytest.raises(ElementError):
            async for _ in double.map([1, -1]):
                pass
        return True

    assert asyncio.run(main())
    assert list(double.map([1])) == [[2]], "the session goes on"


@task(cache=False, batch=1)
def slow(x: int) -> int:
    time.sleep(0.3)
    return x


def test_other_coroutines_run_while_one_waits(workers):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        assert await slow.submit(1) == 1
        after_call = ticks
        assert [value async for value in slow.map(range(3))] == [0, 1, 2]
        ticking.cancel()
        return after_call, ticks

    after_call, after_map = asyncio.run(main())
    assert after_call > 3
    assert after_map > after_call + 3


def test_an_async_task_is_mapped_and_submitted(session):
    results = fetch.map(range(100))
    assert list(results) == [[2 * x] for x in range(100)]
    assert fetch.map(range(100)).wait().cached == 100
    assert list(fetch.map([1], factor=[5])) == [[5]]
    assert list(fetch.map([1, 2], shared={"factor": 3})) == [[3], [6]]
    assert fetch.submit(fetch.submit(3).result()[0]).result() == [12]
    assert asyncio.run(fetch(4)) == [8], "a plain call returns a coroutine"


@task(cache=False, on_error="collect", retries=2, retry_delay=0)
async def flaky(x: int) -> int:
    await asyncio.sleep(0)
    if x % 3 == 0:
        raise OSError(x)
    return x


def test_errors_and_retries_are_as_those_of_other_tasks(session):
    results = flaky.map(range(10))
    values = list(results)
    assert [value for value in values if isinstance(value, int)] == [1, 2, 4, 5, 7, 8]
    errors = [value for value in values if isinstance(value, ElementError)]
    assert [error.index for error in errors] == [0, 3, 6, 9]
    assert all(error.attempts == 3 and "raise OSError" in error.traceback for error in errors)
    assert results.stats.retried == 4
    assert flaky.submit(3).exception().attempts == 3
    with pytest.raises(ElementError):
        list(flaky.with_options(on_error="raise").map(range(10)))


@task(cache=False, batch=8)
async def times(x: int) -> tuple[float, float]:
    begin = time.time()
    await asyncio.sleep(0.1)
    return begin, time.time()


def most_at_once(spans):
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


@pytest.mark.parametrize("options", [{}, {"timeout": 60}], ids=["plain", "timeout"])
def test_elements_of_a_batch_run_together_up_to_a_limit(session, options):
    tried = times.with_options(**options)
    assert most_at_once(list(tried.map(range(8)))) == 8
    assert most_at_once(list(tried.with_options(concurrency=2).map(range(8)))) == 2


def test_only_some_elements_are_computed_to_debug_them(tmp_path):
    with connect("serial", lake=tmp_path, progress="off") as session:
        fetch.map(range(20)).wait()
        session.runner.only = only = Only(fetch.name, [(2, 3), (2, 25)])
        with pytest.raises(Done):
            list(fetch.map(range(100)))
    assert only.results == [(2, 3, [6]), (2, 25, [50])]


def test_a_limit_holds_for_coroutines(session, tmp_path):
    with connect(session.on, lake=tmp_path / "other", progress="off", limits={"api": 1, "two": 2}):
        for options, most in (
            ({"limit": "api"}, 1),
            ({"limit": "two"}, 2),
            ({"limit": "api", "timeout": 9}, 1),
        ):
            results = times.with_options(**options).map(range(4))
            assert most_at_once(list(results)) == most
            assert results.stats.waited > 0


@task(timeout=0.4, on_error="collect", cache=False, batch=4)
async def late(x: int, how: str) -> int:
    if x == 1 and how == "waits":
        await asyncio.sleep(1000)
    if x == 1 and how == "holds up":
        time.sleep(1000)
    if x == 1 and how == "hangs":
        ctypes.PyDLL(None).sleep(1000)  # holds Python's lock: no signal is handled
    await asyncio.sleep(0.2)
    return x


@pytest.mark.parametrize("how", ["waits", "holds up", pytest.param("hangs", marks=pytest.mark.slow)])
def test_a_coroutine_that_takes_too_long_fails_alone(session, how):
    if how == "hangs" and session.on == "serial":
        pytest.skip("nothing ends a call in compiled code in this process")
    results = late.map(range(4), shared={"how": how})
    values = list(results)
    assert (values[0], *values[2:]) == (0, 2, 3)
    assert values[1].error == "TaskTimeoutError: took longer than timeout=0.4 s"
    assert "in late" in values[1].traceback
    assert type(values[1].__cause__) is TaskTimeoutError
    assert (results.stats.timed_out, results.stats.computed) == (1, 3)


@task(timeout=0.3, retries=1, retry_delay=0, cache=False)
async def slow_at_first(x: int, folder: str) -> int:
    first = not Path(folder, str(x)).exists()
    Path(folder, str(x)).touch()
    await asyncio.sleep(1000 if first else 0)
    return x


def test_a_coroutine_that_took_too_long_is_tried_again(session, tmp_path):
    results = slow_at_first.map([1, 2], shared={"folder": str(tmp_path)})
    assert list(results) == [1, 2]
    assert (results.stats.retried, results.stats.timed_out) == (2, 0)


@task(retries=1, retry_delay=backoff(first=0.3, jitter=0), cache=False)
async def fails_at_first(x: int, folder: str) -> float:
    told = Path(folder, str(x))
    if not told.exists():
        told.write_text(str(time.time()))
        raise OSError(x)
    return time.time() - float(told.read_text())


def test_a_coroutine_is_tried_again_after_its_delay(session, tmp_path):
    assert min(fails_at_first.map(range(3), shared={"folder": str(tmp_path)})) >= 0.3


@task(timeout=60, on_error="collect", cache=False)
async def odd(x: int) -> object:
    await asyncio.sleep(0)
    if x == 1:
        raise TimeoutError("of its own")
    return threading.Lock() if x == 2 else x


def test_errors_of_coroutines_with_a_time_limit_are_their_own(workers):
    values = list(odd.map(range(4)))
    assert (values[0], values[3]) == (0, 3)
    assert values[1].error == "TimeoutError: of its own"
    assert "lock" in values[2].error


@task(batch=4, ignore="folder")
async def fails_later(x: int, folder: str) -> list[int]:
    Path(folder, f"{x}-{time.time_ns()}").touch()
    await asyncio.sleep(0.05)
    if x == 1:
        raise ValueError(x)
    return [x]


def test_what_was_computed_beside_a_failure_is_kept(session, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    shared = {"folder": str(calls)}
    with pytest.raises(ElementError, match="ValueError: 1"):
        list(fails_later.map(range(4), shared=shared))
    again = fails_later.map([0, 2, 3], shared=shared)
    assert list(again) == [[0], [2], [3]]
    assert again.stats.cached == 3


@task(cache=False)
async def same(x: int, memo: list[int]) -> list[int]:
    memo.append(x)
    await asyncio.sleep(0.01 * (3 - x))
    return memo


def test_a_result_is_as_it_was_when_its_coroutine_ended(session):
    memo: list[int] = []
    values = list(same.map(range(3), shared={"memo": memo}))
    assert values == [[0], [1], [2]]


def test_an_async_task_runs_where_a_loop_runs_already(tmp_path):
    async def main():
        with connect("serial", lake=tmp_path, progress="off"):
            assert await fetch.submit(1) == [2]
            return [value async for value in fetch.map([1, 2, 3])]

    assert asyncio.run(main()) == [[2], [4], [6]]


def test_an_async_method_is_a_task(session):
    class Client:
        def __init__(self, factor):
            self.factor = factor

        @task
        async def get(self, x):
            await asyncio.sleep(0)
            return self.factor * x

    assert list(Client(3).get.map([1, 2])) == [3, 6]


def test_other_coroutines_run_between_the_results_of_a_serial_map(tmp_path):
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def main() -> int:
        beside = asyncio.ensure_future(other())
        async for _ in task(cache=False)(abs).map(range(5)):
            pass
        beside.cancel()
        return len(turns)

    with connect(on="serial", lake=tmp_path, tenant="acme", progress="off"):
        assert asyncio.run(main()) >= 5


def test_a_map_that_a_coroutine_leaves_ends(workers):
    results = task(cache=False)(abs).map(iter(range(10**9)))

    async def main() -> None:
        steps = aiter(results)
        assert await anext(steps) == 0
        await steps.aclose()

    asyncio.run(main())
    wait_until(lambda: not workers.runner.maps, "the map has ended")
