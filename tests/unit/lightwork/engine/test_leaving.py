"""A map that is left before its end."""

from __future__ import annotations

import gc

import pytest

from lightwork import connect, task
from lightwork.engine import scatter


@task
def square(number):
    return number * number


@pytest.fixture
def no_collection():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_leaving_a_loop_early_ends_the_map_at_once_and_keeps_its_results(session):
    for value in square.map(range(10)):
        if value == 4:
            break
    assert session.elements["total"] == 10
    assert session.elements["computed"] >= 3
    results = square.map(range(3))
    assert list(results) == [0, 1, 4]
    assert results.stats.cached == 3


@pytest.mark.usefixtures("no_collection")
def test_leaving_a_map_cancels_its_batches(scheduler, tmp_path, monkeypatch):
    cancelled = []
    monkeypatch.setattr(scatter.Scatter, "_cancel", lambda scatter: cancelled.append(scatter))
    with connect(on=scheduler, lake=tmp_path, progress="off"):
        for _ in square.map(range(10)):
            break
        assert len(cancelled) == 1
