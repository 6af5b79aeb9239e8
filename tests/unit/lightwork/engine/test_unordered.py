"""With `ordered=False` a map hands out its results as they are computed: all of them, each once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lightwork import ElementError, task
from tests.waiting import wait_until


@task(ordered=False, batch=1)
def wait_for_others(x: int, folder: str) -> int:
    Path(folder, str(x)).touch()
    if x == 0:
        wait_until(Path(folder, "9").exists, "the last element has started")
    return x


def test_results_come_as_they_are_computed(workers, tmp_path):
    values = list(wait_for_others.map(range(10), shared={"folder": str(tmp_path)}))
    assert sorted(values) == list(range(10))
    assert values.index(0) > 1, "the first element waits for the last one, and holds up nobody"


@task(ordered=False, on_error="collect")
def odd_fails(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return x


@pytest.mark.parametrize("count", [0, 1, 7, 3000])
def test_each_result_comes_once(session, count):
    for cached in (0, (count + 1) // 2):
        results = odd_fails.map(range(count))
        values = list(results)
        failed = [value for value in values if isinstance(value, ElementError)]
        assert sorted(value for value in values if isinstance(value, int)) == list(range(0, count, 2))
        assert sorted(error.index for error in failed) == list(range(1, count, 2))
        assert results.stats.cached == cached


def test_results_that_are_cached_in_part_come_once(session):
    list(odd_fails.map(range(0, 3000, 6)))
    assert sorted(odd_fails.map(range(0, 3000, 2))) == list(range(0, 3000, 2))


def test_an_error_ends_the_map(session):
    with pytest.raises(ElementError):
        list(odd_fails.with_options(on_error="raise").map(range(100)))


def test_skipped_elements_are_left_out(session):
    assert sorted(odd_fails.with_options(on_error="skip").map(range(100))) == list(range(0, 100, 2))


def test_an_input_without_an_end_is_read_as_needed(session):
    def numbers():
        number = 0
        while True:
            yield number
            number += 2

    results = odd_fails.map(numbers())
    assert len({next(results) for _ in range(1000)}) == 1000


@task(ordered=False, cache=False)
def slow_square(x: int) -> int:
    time.sleep(0.01)
    return x * x


@pytest.mark.kill
@pytest.mark.slow
def test_a_killed_worker_loses_nothing(workers):
    values = []
    for value in slow_square.map(range(200)):
        values.append(value)
        if len(values) == 50:
            os.kill(next(iter(workers.client.run(os.getpid).values())), signal.SIGKILL)
    assert sorted(values) == [x * x for x in range(200)]
