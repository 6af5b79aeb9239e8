"""A task may start processes, and numerical libraries in workers use one thread unless told otherwise."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from lightwork import InputError, connect, task


@task(cache=False)
def in_a_pool(x: int) -> list[int]:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.map(abs, [-x, x])


@task(cache=False)
def in_an_executor(x: int) -> int:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(abs, -x).result()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"timeout": 300}], ids=["plain", "timeout"])
def test_a_task_may_start_processes(session, options):
    assert in_a_pool.with_options(**options).submit(3).result() == [3, 3]
    assert list(in_an_executor.with_options(**options).map([4])) == [4]


@task(cache=False)
def variables(x: int) -> list[str | None]:
    return [os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "OPENBLAS")]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"timeout": 300}], ids=["plain", "timeout"])
def test_libraries_use_as_many_threads_as_the_session_says(tmp_path, monkeypatch, options):
    for name in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.delenv(f"{name}_NUM_THREADS", raising=False)
    for threads, expected in ((None, "1"), (3, "3")):
        with connect("local", workers=1, lake=tmp_path, progress="off", threads=threads):
            assert variables.with_options(**options).submit(1).result() == [expected] * 3
        assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("on", ["serial", "tcp://127.0.0.1:9"])
def test_threads_of_workers_that_are_not_its_own_are_refused_in_one_line(tmp_path, on):
    with pytest.raises(
        InputError, match=r"threads=2: it is for the workers of on='local'; .* OMP_NUM_THREADS"
    ):
        connect(on, lake=tmp_path, threads=2)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_wrong_threads_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"threads="):
        connect("local", lake=tmp_path, threads=wrong)
