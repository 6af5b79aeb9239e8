"""What nobody waits for any more gives its worker back to what somebody waits for."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest

from lightwork import connect, task
from tests.dask_workers import dask_workers
from tests.waiting import patience, wait_until

pytestmark = pytest.mark.timeout(patience(60))


@task(cache=False)
def nap(mark: str, seconds: float = 9999) -> int:
    with Path(mark).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return 1


@task(cache=False)
def double(x: int) -> int:
    return 2 * x


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory):
    with connect("local", workers=1, lake=tmp_path_factory.mktemp("lake"), progress="off"):
        assert list(double.map([1])) == [2]
        yield


def cancel_a_call(mark):
    future = nap.submit(str(mark))
    wait_until(mark.exists, "the call runs")
    future.cancel()


def drop_a_call(mark):
    future = nap.submit(str(mark))
    wait_until(mark.exists, "the call runs")
    del future
    gc.collect()


def give_up_a_call(mark):
    future = nap.submit(str(mark))
    wait_until(mark.exists, "the call runs")
    with pytest.raises(TimeoutError, match=r"nap-\w+ has no result after 0.1 s"):
        future.result(timeout=0.1)
    del future
    gc.collect()


def leave_a_loop(mark):
    for _ in nap.map([str(mark)] * 3, [2, 9999, 9999]):
        wait_until(lambda: len(mark.read_text().splitlines()) > 1, "the second element runs")
        break


def forget_a_map(mark):
    results = iter(nap.map([str(mark)] * 3, [2, 9999, 9999]))
    next(results)
    wait_until(lambda: len(mark.read_text().splitlines()) > 1, "the second element runs")
    del results
    gc.collect()


QUICK = {(cancel_a_call, "map"), (leave_a_loop, "submit")}


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("leave", "how"),
    [
        pytest.param(leave, how, marks=() if (leave, how) in QUICK else pytest.mark.slow)
        for leave in (cancel_a_call, drop_a_call, give_up_a_call, leave_a_loop, forget_a_map)
        for how in ("map", "submit", "call of a call")
    ],
)
def test_a_worker_is_free_again_for_what_comes_next(one_worker, tmp_path, leave, how):
    leave(tmp_path / "mark")
    if how == "map":
        assert list(double.map(range(20))) == list(range(0, 40, 2))
    elif how == "submit":
        assert double.submit(4).result() == 8
    else:
        assert double.submit(double.submit(4)).result() == 16


@pytest.fixture
def of_another(tmp_path):
    """A session on one worker process that is not its own."""
    with (
        dask_workers(1) as address,
        connect(address, lake=tmp_path / "lake", progress="off") as session,
    ):
        yield session


@pytest.mark.slow
def test_a_worker_of_another_is_free_again_unless_it_holds_data(of_another, tmp_path):
    drop_a_call(tmp_path / "mark")
    assert double.submit(4).result() == 8
    kept = of_another.client.submit(os.getpid, pure=False)
    pid = kept.result()
    drop_a_call(tmp_path / "second")
    with pytest.raises(TimeoutError):
        double.submit(5).result(timeout=8)
    assert (tmp_path / "second").read_text().split() == [str(pid)]
    assert kept.result() == pid
    kept.release()
    assert double.submit(5).result() == 10


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param("map", marks=pytest.mark.slow), "submit"])
def test_slow_work_that_is_waited_for_goes_on(one_worker, tmp_path, how):
    mark = tmp_path / "mark"
    if how == "map":
        assert list(nap.map([str(mark)] * 2, [4, 0])) == [1, 1]
        assert len(mark.read_text().splitlines()) == 2
    else:
        other = nap.submit(str(mark), 4)
        assert double.submit(4).result() == 8
        assert other.result() == 1
        assert len(mark.read_text().splitlines()) == 1
