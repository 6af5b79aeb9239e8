"""Dask's own collections inside a session."""

from __future__ import annotations

import dask
import dask.bag
import pandas as pd
import pytest
from distributed import wait

from lightwork import connect, task
from tests.waiting import patience


@task
def double(x: int) -> int:
    return 2 * x


def frame():
    import dask.dataframe as dd

    table = pd.DataFrame({"city": [f"c{n % 7}" for n in range(1000)], "wind": range(1000)})
    return dd.from_pandas(table, npartitions=8), table


def test_a_shuffle_gives_the_same_as_pandas(session):
    lazy, table = frame()
    spread = lazy.groupby("city").wind.apply(lambda s: s.max() - s.min(), meta=("wind", "int64")).compute()
    expected = table.groupby("city").wind.apply(lambda s: s.max() - s.min())
    pd.testing.assert_series_equal(spread.sort_index(), expected, check_names=False, check_index_type=False)


def test_bags_and_delayed_calls_work(session):
    assert dask.bag.from_sequence(range(100), npartitions=4).map(lambda x: x + 1).sum().compute() == 5050
    assert dask.delayed(sum)([dask.delayed(abs)(-1), 2]).compute() == 3


def test_collections_compute_on_the_sessions_workers(workers):
    import os

    pid = dask.delayed(os.getpid)(pure=False).compute()
    assert pid in workers.client.run(os.getpid).values()


def test_a_serial_session_computes_in_this_process(tmp_path):
    import os

    with connect(lake=tmp_path, progress="off"):
        assert dask.delayed(os.getpid)(pure=False).compute() == os.getpid()


def test_a_serial_session_shuffles_in_this_process_even_if_a_client_is_open(tmp_path, workers):
    with connect(lake=tmp_path, progress="off"):
        lazy, table = frame()
        assert len(lazy.shuffle("city").compute()) == len(table)


def test_persist_leaves_the_data_on_the_workers(workers):
    lazy, table = frame()
    persisted = lazy.persist()
    assert len(persisted) == len(table)
    wait(persisted, timeout=patience(10))
    assert any(workers.client.who_has(persisted).values())


@pytest.fixture
def no_cluster(monkeypatch):
    def refuse(*_):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("lightwork.cluster.cluster.Cluster.__init__", refuse)


def test_a_run_whose_elements_are_all_cached_starts_no_cluster(tmp_path, no_cluster):
    with connect(lake=tmp_path, progress="off"):
        list(double.map(range(10)))
    with connect(on="local", lake=tmp_path, progress="off") as session:
        assert list(double.map(range(10))) == [2 * x for x in range(10)]
        assert double.submit(3).result() == 6
        assert session.elements["cached"] == 11


def test_closing_a_session_restores_dasks_settings(tmp_path):
    before = dask.config.get("scheduler", None)
    with connect(lake=tmp_path, progress="off"):
        assert dask.config.get("scheduler") is not before
    assert dask.config.get("scheduler", None) == before


def test_closing_a_session_with_a_client_restores_dasks_settings(scheduler, tmp_path):
    before = dask.config.get("scheduler", None)
    with connect(on=scheduler, lake=tmp_path, progress="off") as session:
        assert session.client.submit(int, "1").result() == 1
    assert dask.config.get("scheduler", None) is before
    assert dask.delayed(int)("2").compute() == 2
