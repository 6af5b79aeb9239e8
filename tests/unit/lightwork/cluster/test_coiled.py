"""The branch for Coiled, with a stand-in for its package whose cluster is the tests' own scheduler."""

from __future__ import annotations

import sys
import types

import pytest

from lightwork import InputError, connect, task


@task
def square(number):
    return number * number


@pytest.fixture
def coiled(monkeypatch, scheduler):
    """The stand-in; its `made` are the clusters asked for."""
    module = types.ModuleType("coiled")
    module.made = []

    class Cluster:
        def __init__(self, **options):
            self.options = options
            self.scheduler_address = scheduler
            self.status = None
            self.closed = 0
            module.made.append(self)

        def close(self):
            self.closed += 1

    module.Cluster = Cluster
    monkeypatch.setitem(sys.modules, "coiled", module)
    return module


def test_a_map_runs_on_the_cluster_that_coiled_made(coiled, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_COILED_NAME", "winds")
    with connect(on="coiled", workers=3, lake=tmp_path, progress="off") as session:
        assert coiled.made == []  # a cluster costs money: none before there is something to run
        assert list(square.map(range(4))) == [0, 1, 4, 9]
        assert square.submit(5).result() == 25
        assert session.elements["computed"] == 5
        (cluster,) = coiled.made
        assert cluster.options == {"n_workers": 3, "name": "winds", "shutdown_on_close": True}
        assert cluster.closed == 0
    assert cluster.closed == 1


def test_a_run_that_fails_shuts_the_cluster_down(coiled, tmp_path):
    def fails():
        with connect(on="coiled", workers=1, lake=tmp_path, progress="off"):
            square.submit(2).result()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [cluster.closed for cluster in coiled.made] == [1]


def test_what_is_cached_starts_no_cluster(coiled, tmp_path):
    with connect(on="serial", lake=tmp_path, progress="off"):
        list(square.map(range(4)))
    with connect(on="coiled", workers=1, lake=tmp_path, progress="off"):
        assert list(square.map(range(4))) == [0, 1, 4, 9]
    assert coiled.made == []


def test_a_cluster_that_cannot_be_reached_is_shut_down(coiled, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "0.2")
    made = coiled.Cluster

    def elsewhere(**options):
        cluster = made(**options)
        cluster.scheduler_address = "tcp://127.0.0.1:9"
        return cluster

    monkeypatch.setattr(coiled, "Cluster", elsewhere)
    with (
        pytest.raises(Exception, match="no scheduler answers at coiled"),
        connect(on="coiled", workers=1, lake=tmp_path, progress="off"),
    ):
        list(square.map([1]))
    assert [cluster.closed for cluster in coiled.made] == [1]


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "coiled", None)
    with (
        connect(on="coiled", workers=1, lake=tmp_path, progress="off"),
        pytest.raises(InputError, match=r"needs the package coiled: pip install 'lightwork\[coiled\]'"),
    ):
        list(square.map([1]))
