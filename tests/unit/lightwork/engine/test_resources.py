"""Calls of a task with `resources` go to workers that offer them, or are refused at once."""

from __future__ import annotations

import os
import time

import pytest

from lightwork import InputError, connect, task
from tests.dask_workers import dask_workers


@task(resources={"GPU": 1}, cache=False, batch=1)
def on_gpu(x: int) -> tuple[int, float, float]:
    begin = time.time()
    time.sleep(0.05)
    return os.getpid(), begin, time.time()


@pytest.mark.slow
def test_calls_go_to_workers_that_offer_it(tmp_path):
    with dask_workers(1, {"GPU": 2}) as address, connect(address, lake=tmp_path, progress="off") as session:
        workers = set(session.client.run(os.getpid).values())
        found = {process for process, *_ in on_gpu.map(range(6))}
        assert found == workers
        assert on_gpu.submit(1).result()[0] in workers
        with pytest.raises(InputError, match=r"resources=\{'GPU': 3\}: no worker of .* offers that"):
            list(on_gpu.with_options(resources={"GPU": 3}).map([1]))


def test_it_is_refused_in_one_line_where_no_worker_offers_it(scheduler, tmp_path):
    with connect(scheduler, lake=tmp_path, progress="off"):
        for use in (lambda: list(on_gpu.map([1])), lambda: on_gpu.submit(1).result()):
            with pytest.raises(InputError, match=r"on_gpu: resources=.* no worker of tcp://") as error:
                use()
            assert "start some with --resources 'GPU=1'" in str(error.value)
            assert "\n" not in str(error.value)
        assert list(on_gpu.map([])) == []


@pytest.mark.slow
def test_workers_of_this_machine_offer_nothing(tmp_path):
    with (
        connect("local", workers=1, lake=tmp_path, progress="off"),
        pytest.raises(InputError, match="no worker of local offers that; use on='serial'"),
    ):
        list(on_gpu.map([1]))


def test_a_serial_session_takes_it_for_granted(tmp_path):
    with connect("serial", lake=tmp_path, progress="off"):
        assert [process for process, *_ in on_gpu.map([1])] == [os.getpid()]
