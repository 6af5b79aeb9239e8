"""Uses that make no sense are refused in one line, alike everywhere."""

from __future__ import annotations

import pytest
from distributed import LocalCluster

from lightwork import ElementError, InputError, LightworkError, connect, task
from lightwork.lake import open_lake


@task
def double(x):
    return 2 * x


@task
def add(x, y):
    return x + y


@task(retries=2, retry_delay=0.001, cache=False)
def fails(x):
    raise ValueError(x)


@task(retries=1, retry_delay=0.001, cache=False)
def fails_with_a_context(x):
    try:
        raise KeyError(x)
    except KeyError:
        raise ValueError(x)  # noqa: B904 - the context is what is tested


@pytest.mark.parametrize("two", [False, True])
def test_a_future_is_not_an_element(session, two):
    future = double.submit(1)
    with pytest.raises(ElementError, match=r"a future cannot be an element of a map; pass its result\(\)"):
        list(add.map([future], [1]) if two else double.map([future]))


def test_results_are_read_once(session):
    results = double.map([1, 2])
    assert list(results) == [2, 4]
    with pytest.raises(InputError, match="have been read already"):
        list(results)
    with pytest.raises(StopIteration):
        next(results)
    assert results.wait().total == 2
    assert list(double.map([1, 2])) == [2, 4]


def test_results_are_read_on_after_a_loop_was_left(session):
    results = double.map([1, 2, 3])
    for value in results:
        assert value == 2
        break
    assert list(results) == [4, 6]


def test_the_traceback_of_a_retried_element_is_that_of_its_last_attempt(session):
    with pytest.raises(ElementError) as failed:
        list(fails.map([1]))
    assert failed.value.traceback.count("Traceback") == 1
    assert "During handling" not in failed.value.traceback
    assert failed.value.__cause__.__context__ is None


def test_the_context_that_an_element_makes_itself_stays(session):
    with pytest.raises(ElementError) as failed:
        list(fails_with_a_context.map([1]))
    assert failed.value.traceback.count("Traceback") == 2
    assert failed.value.traceback.count("KeyError: 1") == 1


def test_refresh_and_no_cache_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match="expected one of the two"):
        connect("serial", lake=tmp_path, refresh=True, cache=False)


def test_a_file_system_that_takes_no_folders_is_an_error_of_one_line():
    with pytest.raises(LightworkError, match="does not allow it; use another lake"):
        open_lake("/proc/x", tenant="acme").write("a", b"")


@pytest.mark.parametrize("dashboard", [None, "127.0.0.1:0"])
def test_a_dashboard_is_named_only_where_there_is_one(tmp_path, dashboard):
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=dashboard) as cluster,
        connect(on=cluster.scheduler_address, lake=tmp_path, progress="off") as session,
    ):
        link = session.runner.cluster.dashboard
        assert (link is None) == (dashboard is None), link
