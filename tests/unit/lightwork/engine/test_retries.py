"""Retries: after which errors, and after which delays; a lost worker is no attempt."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lightwork import ElementError, backoff, task
from lightwork.functions.options import Backoff


class OwnError(OSError):
    pass


def attempts(folder: str, x: int) -> int:
    """Return which attempt at an element this is, from 1."""
    with Path(folder, str(x)).open("a") as file:
        file.write("x")
    return Path(folder, str(x)).stat().st_size


@task(retries=3, retry_on=(OSError, KeyError), retry_delay=0, on_error="collect", cache=False)
def choosy(x: int, folder: str) -> int:
    if attempts(folder, x) < 3:
        raise (OwnError, KeyError, ValueError)[x](x)
    return x


def test_only_certain_errors_are_retried(session, tmp_path):
    results = choosy.map(range(3), shared={"folder": str(tmp_path)})
    values = list(results)
    assert values[:2] == [0, 1]
    assert (values[2].error, values[2].attempts) == ("ValueError: 2", 1)
    assert results.stats.retried == 2
    assert session.elements == {"total": 3, "cached": 0, "computed": 2, "failed": 1, "retried": 2}


def test_calls_are_retried_alike(session, tmp_path):
    first = choosy.submit(0, str(tmp_path))
    second = choosy.submit(first, str(tmp_path))
    assert first.result() == 0
    assert second.result() == 0
    error = choosy.submit(2, str(tmp_path)).exception()
    assert isinstance(error, ElementError)
    assert error.attempts == 1
    assert session.elements["retried"] == 1


@task(retries=2, retry_delay=backoff(first=0.2, most=0.3, jitter=0), cache=False)
def late(x: int, folder: str) -> list[float]:
    times = Path(folder, "times")
    with times.open("a") as file:
        file.write(f"{time.time()}\n")
    lines = times.read_text().split()
    if len(lines) < 3:
        raise OSError(x)
    return [float(line) for line in lines]


def test_delays_double_up_to_a_limit(session, tmp_path):
    (times,) = late.map([1], shared={"folder": str(tmp_path)})
    assert times[1] - times[0] >= 0.2
    assert times[2] - times[1] >= 0.3


def test_jitter_stays_in_its_range():
    delays = [Backoff(1, 60, 0.5).seconds(1) for _ in range(200)]
    assert min(delays) >= 0.5
    assert max(delays) <= 1.5
    assert max(delays) - min(delays) > 0.2
    assert Backoff(1, 60, 0).seconds(10_000) == 60


@task(retries=1, retry_on=OSError, retry_delay=0, cache=False)
def dies_then_fails(x: int, folder: str) -> int:
    number = attempts(folder, x)
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 2:
        raise OSError("once")
    return number


@pytest.mark.kill
@pytest.mark.slow
def test_a_lost_worker_is_no_attempt(workers, tmp_path):
    assert list(dies_then_fails.map([1], shared={"folder": str(tmp_path)})) == [3]
