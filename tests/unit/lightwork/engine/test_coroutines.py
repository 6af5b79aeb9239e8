"""Calls and maps in coroutines, and tasks that are coroutines themselves."""

from __future__ import annotations

import asyncio
import time

import pytest

from lightwork import ElementError, connect, task


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


def test_elements_of_a_batch_run_together_up_to_a_limit(workers):
    assert most_at_once(list(times.map(range(8)))) == 8
    assert most_at_once(list(times.with_options(concurrency=2).map(range(8)))) == 2


def test_time_limits_and_limits_hold_for_coroutines(session, tmp_path):
    @task(timeout=0.3, on_error="collect", cache=False)
    async def hangs(x):
        if x == 1:
            time.sleep(1000)
        return x

    values = list(hangs.map(range(3)))
    assert (values[0], values[2]) == (0, 2)
    assert "TaskTimeoutError" in values[1].error
    with connect(session.on, lake=tmp_path / "other", progress="off", limits={"api": 1}):
        spans = list(times.with_options(limit="api").map(range(3)))
        assert most_at_once(spans) == 1


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
