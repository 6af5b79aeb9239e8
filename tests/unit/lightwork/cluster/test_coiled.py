"""Sessions on Coiled, with a stand-in for its package whose cluster is the tests' own scheduler."""

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
    """The stand-in for the package; `clusters` lists the clusters that it has created."""
    module = types.ModuleType("coiled")
    module.clusters = []

    class Cluster:
        def __init__(self, **options):
            self.options = options
            self.scheduler_address = scheduler
            self.status = None
            self.closed = 0
            module.clusters.append(self)

        def close(self):
            self.closed += 1

    module.Cluster = Cluster
    monkeypatch.setitem(sys.modules, "coiled", module)
    return module


def test_a_map_runs_on_the_cluster_that_coiled_creates(coiled, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_COILED_NAME", "winds")
    with connect(on="coiled", workers=3, lake=tmp_path, progress="off") as session:
        assert coiled.clusters == []  # a cluster costs money: it starts when there is work
        assert list(square.map(range(4))) == [0, 1, 4, 9]
        assert square.submit(5).result() == 25
        assert session.elements["computed"] == 5
        (cluster,) = coiled.clusters
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
    assert [cluster.closed for cluster in coiled.clusters] == [1]


def test_a_cached_map_starts_no_cluster(coiled, tmp_path):
    with connect(on="serial", lake=tmp_path, progress="off"):
        list(square.map(range(4)))
    with connect(on="coiled", workers=1, lake=tmp_path, progress="off"):
        assert list(square.map(range(4))) == [0, 1, 4, 9]
    assert coiled.clusters == []


def test_a_cluster_that_cannot_be_reached_is_shut_down(coiled, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "0.2")
    create = coiled.Cluster

    def create_unreachable(**options):
        cluster = create(**options)
        cluster.scheduler_address = "tcp://127.0.0.1:9"
        return cluster

    monkeypatch.setattr(coiled, "Cluster", create_unreachable)
    with (
        pytest.raises(Exception, match="no scheduler responds at coiled"),
        connect(on="coiled", workers=1, lake=tmp_path, progress="off"),
    ):
        list(square.map([1]))
    assert [cluster.closed for cluster in coiled.clusters] == [1]


def test_an_invalid_timeout_is_refused_before_a_cluster_starts(coiled, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "soon")
    with (
        pytest.raises(InputError, match=r"LIGHTWORK_CONNECT_SECONDS: 'soon'.*expected seconds"),
        connect(on="coiled", workers=1, lake=tmp_path, progress="off"),
    ):
        list(square.map([1]))
    assert coiled.clusters == []


def test_a_missing_package_is_reported_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "coiled", None)
    with (
        connect(on="coiled", workers=1, lake=tmp_path, progress="off"),
        pytest.raises(InputError, match=r"needs the package coiled: pip install 'lightwork\[coiled\]'"),
    ):
        list(square.map([1]))
