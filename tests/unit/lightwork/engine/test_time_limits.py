"""A task's `timeout` fails the element that exceeds it, ends code that hangs, and nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lightwork import ElementError, InputError, TaskTimeoutError, connect, task
from lightwork.functions.raised import describe
from tests.waiting import patience, wait_until

LIMIT = 0.5


@task(timeout=LIMIT, on_error="collect")
def nap(x: int) -> list[int]:
    if x == 3:
        time.sleep(1000)
    return [x, x]


def test_an_element_that_takes_too_long_fails_alone(session):
    begin = time.monotonic()
    results = nap.map(range(8))
    values = list(results)
    assert LIMIT <= time.monotonic() - begin < patience(20)
    assert [value for value in values if not isinstance(value, ElementError)] == [
        [x, x] for x in range(8) if x != 3
    ]
    assert (values[3].index, values[3].input, values[3].attempts) == (3, "3", 1)
    assert values[3].error == "TaskTimeoutError: took longer than timeout=0.5 s"
    assert type(values[3].__cause__) is TaskTimeoutError
    assert "in nap" in values[3].traceback, "the traceback tells where it was"
    assert (results.stats.timed_out, results.stats.failed, results.stats.computed) == (1, 1, 7)
    assert session.elements == {"total": 8, "cached": 0, "computed": 7, "failed": 1, "timed_out": 1}
    assert session.runner.counts_by_task()[nap.name]["timed_out"] == 1


@task(timeout=30, cache=False)
def brief(x: int) -> int:
    time.sleep(0.7)
    return x


def test_an_element_that_takes_less_time_does_not_fail(session):
    assert list(brief.map([1])) == [1]


def test_results_of_a_task_with_a_limit_are_kept(session):
    list(nap.map([1, 2]))
    again = nap.map([1, 2, 4])
    assert list(again) == [[1, 1], [2, 2], [4, 4]]
    assert again.stats.cached == 2


def test_a_call_that_takes_too_long_fails(session):
    assert nap.submit(2).result() == [2, 2]
    error = nap.submit(3).exception()
    assert isinstance(error, ElementError)
    assert "TaskTimeoutError" in error.error
    assert session.elements["timed_out"] == 1


@task(timeout=LIMIT, on_error="collect", cache=False)
def stuck(x: int) -> int:
    if x == 3:
        ctypes.PyDLL(None).sleep(1000)  # holds Python's lock, so that no other thread runs
    return os.getpid()


def test_a_call_that_hangs_in_compiled_code_ends_with_its_process(workers):
    before = workers.client.run(os.getpid)
    values = list(stuck.map(range(6)))
    assert isinstance(values[3], ElementError)
    assert "in stuck" in values[3].traceback
    assert sum(isinstance(value, int) for value in values) == 5
    assert not {*values[:3], *values[4:]} & set(before.values()), "it does not run in the worker itself"
    assert workers.client.run(os.getpid) == before, "no worker was lost"


@task(timeout=LIMIT, retries=1, retry_delay=0, on_error="collect", cache=False)
def slow_at_first(x: int, folder: str) -> int:
    with Path(folder, str(x)).open("a") as file:
        file.write("x")
    if Path(folder, str(x)).stat().st_size == 1:
        time.sleep(1000)
    return x


def test_an_attempt_that_takes_too_long_is_retried(session, tmp_path):
    results = slow_at_first.map([1, 2], shared={"folder": str(tmp_path)})
    assert list(results) == [1, 2]
    assert (results.stats.retried, results.stats.timed_out) == (2, 0)


@task(timeout=30, on_error="collect", cache=False, ignore=["shared"])
def fragile(x: int, shared: list[int]) -> object:
    if x == 1:
        raise LookupError(f"no {x}")
    if x == 2:
        return threading.Lock()
    shared.append(x)
    return [x, len(shared)]


def test_errors_and_shared_arguments_are_as_without_a_limit(workers):
    values = list(fragile.map(range(4), shared={"shared": [7]}))
    assert (values[0], values[3]) == ([0, 2], [3, 2])
    assert values[1].error == "LookupError: no 1"
    assert isinstance(values[1].__cause__, LookupError)
    assert "raise LookupError" in values[1].traceback
    assert "inner.py" not in values[1].traceback
    assert "lock" in values[2].error


@task(timeout=30, on_error="collect", cache=False)
def deadly(x: int) -> int:
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_an_element_that_ends_its_process_is_found(workers):
    values = list(deadly.map(range(3)))
    assert (values[0], values[2]) == (0, 2)
    assert values[1].error == "its worker process was killed on every attempt: ended by SIGKILL"


@task(timeout=1000, cache=False)
def tell_and_hang(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(1000)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_worker_that_is_killed_takes_its_process_along(tmp_path):
    told = tmp_path / "process"
    with connect("local", workers=1, lake=tmp_path / "lake", progress="off") as session:
        (worker,) = session.client.run(os.getpid).values()
        future = tell_and_hang.submit(str(told))
        wait_until(lambda: told.exists() and told.read_text(), "the call has started")
        process = int(told.read_text())
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not _runs(process), "its process has ended")
        future.cancel()


@pytest.mark.slow
def test_a_limit_holds_on_the_workers_of_this_machine(tmp_path):
    with connect("local", workers=2, lake=tmp_path / "lake", progress="off"):
        begin = time.monotonic()
        values = list(stuck.map(range(6)))
        assert isinstance(values[3], ElementError)
        assert time.monotonic() - begin < patience(20)


def test_code_that_catches_the_interruption_is_interrupted_again(tmp_path):
    @task(timeout=0.2, on_error="collect", cache=False)
    def stubborn(x):
        for _ in range(2):
            with contextlib.suppress(BaseException):
                time.sleep(1000)
        return x

    with connect("serial", lake=tmp_path / "lake", progress="off"):
        # Its last handler ends it, so that it returns after all.
        assert list(stubborn.map([1])) == [1]


def test_the_program_keeps_its_own_timer_and_handler(tmp_path):
    fired = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: fired.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with connect("serial", lake=tmp_path / "lake", progress="off"):
            assert list(task(timeout=5, cache=False)(abs).map([-1])) == [1]
        wait_until(fired.is_set, "the program's own timer")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_another_thread_is_refused_in_one_line_on_serial(tmp_path):
    with connect("serial", lake=tmp_path / "lake", progress="off"):
        errors = []

        def try_both() -> None:
            for use in (lambda: list(nap.map([1])), lambda: nap.submit(1)):
                try:
                    use()
                except InputError as error:
                    errors.append(describe(error))

        thread = threading.Thread(target=try_both)
        thread.start()
        thread.join()
    assert len(errors) == 2
    assert all("needs the main thread" in error for error in errors)


def test_the_element_that_takes_too_long_is_named_inside_a_batch_too(session):
    values = list(nap.with_options(batch=8).map([*range(4, 7), 3, 7]))
    (error,) = [value for value in values if isinstance(value, ElementError)]
    assert (error.index, error.input, values.index(error)) == (3, "3", 3)
