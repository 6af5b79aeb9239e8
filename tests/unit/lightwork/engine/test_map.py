"""`Task.map`, with the same results in one process and on worker processes."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from lightwork import ElementError, InputError, connect, current_session, task
from lightwork.engine import scatter, sizing
from tests.waiting import wait_until


@task
def double(x: int) -> int:
    return 2 * x


@task(cache=False)
def uneven(x: int) -> int:
    time.sleep(0.02 * (x % 3 == 0))
    return x


@task
def weigh(x: int, y: int, *, factor: int = 1) -> int:
    return (x + y) * factor


@task(cache=False)
def sum_of(x: int, table: list[int]) -> int:
    return x + sum(table)


@task(cache=False)
def bad_at_seven(x: int) -> int:
    if x == 7:
        raise ValueError(f"seven is\nnot allowed: {x}")
    return x


def test_calling_a_task_calls_its_function():
    assert double(3) == 6


def test_results_come_in_the_order_of_the_input(session):
    assert list(uneven.map(range(40))) == list(range(40))


def test_the_stats_add_up(session):
    results = double.map(range(1000))
    list(results)
    stats = results.stats
    assert (stats.total, stats.computed, stats.cached, stats.failed) == (1000, 1000, 0, 0)
    assert stats.batches >= 1
    assert stats.seconds > 0


def test_cached_elements_are_not_computed_again(session):
    list(double.map(range(500)))
    again = double.map(range(600))
    assert list(again) == [2 * x for x in range(600)]
    assert (again.stats.cached, again.stats.computed) == (500, 100)


def test_cached_and_computed_results_come_in_order(session):
    list(double.map(range(0, 400, 2)))
    again = double.map(range(400))
    assert list(again) == [2 * x for x in range(400)]
    assert (again.stats.cached, again.stats.computed) == (200, 200)


def test_nothing_runs_before_the_first_result_is_asked_for(session):
    read = []

    def source():
        for x in range(3):
            read.append(x)
            yield x

    results = double.map(source())
    assert read == []
    assert next(results) == 0
    assert read


def test_results_have_the_length_of_the_input_if_it_has_one(session):
    assert len(double.map(range(9))) == 9
    assert len(weigh.map(range(9), [1, 2])) == 2
    with pytest.raises(TypeError):
        len(double.map(x for x in range(9)))


def test_an_input_without_length_is_read_to_its_end(session):
    assert sum(double.map(iter(range(5000)))) == 2 * sum(range(5000))


def test_an_empty_input_gives_nothing(session):
    assert list(double.map([])) == []


def test_an_endless_input_is_read_only_as_needed(session):
    assert list(itertools.islice(double.map(itertools.count()), 5)) == [0, 2, 4, 6, 8]


def test_several_iterables_are_combined_as_by_the_builtin_map(session):
    assert list(weigh.map([1, 2, 3], [10, 20])) == [11, 22]


def test_shared_arguments_reach_every_element(session):
    assert list(weigh.map([1, 2], [1, 1], shared={"factor": 5})) == [10, 15]


def test_large_shared_arguments_reach_every_element(session):
    table = list(range(100_000))
    assert list(sum_of.map([1, 2], shared={"table": table})) == [1 + sum(table), 2 + sum(table)]


def test_closing_a_session_deletes_its_jobs_from_the_lake(scheduler, tmp_path):
    with connect(on=scheduler, lake=tmp_path, progress="off") as session:
        list(sum_of.map([1], shared={"table": list(range(100_000))}))
        assert session.lake.entries("runs")
    assert not session.lake.entries("runs")


def test_a_map_can_be_the_input_of_a_map(session):
    assert list(double.map(double.map(range(100)))) == [4 * x for x in range(100)]


def test_a_fixed_batch_size_is_used(workers):
    sized = task(cache=False, batch=10)(uneven.fn)
    results = sized.map(range(40))
    assert list(results) == list(range(40))
    assert results.stats.batches == 4


def test_tiny_elements_share_few_batches(workers):
    results = task(cache=False)(double.fn).map(range(100_000))
    assert sum(results) == 2 * sum(range(100_000))
    assert results.stats.batches < 1000, "at least a hundred elements a batch, even on a slow machine"


def test_slow_elements_are_spread_over_the_workers(workers, tmp_path):
    @task(cache=False)
    def process_id(x: int, folder: Path) -> int:
        (folder / str(os.getpid())).touch()
        wait_until(lambda: len(list(folder.iterdir())) == 2, "the other worker has an element too")
        time.sleep(0.05)
        return os.getpid()

    (tmp_path / "workers").mkdir()
    results = process_id.map(range(24), shared={"folder": tmp_path / "workers"})
    process_ids = list(results)
    assert len(set(process_ids)) == 2
    assert results.stats.batches >= 6


def test_one_slow_element_does_not_hold_up_its_batch(workers, monkeypatch):
    """A worker returns the rest of a batch when its time budget is used up."""
    sent, pack = [], scatter.pack_batch

    def record_and_pack(parcel, elements, keys, budget):
        sent.extend(elements)
        return pack(parcel, elements, keys, budget)

    monkeypatch.setattr(scatter, "pack_batch", record_and_pack)

    @task(cache=False)
    def sometimes_slow(x: int) -> int:
        if x == 3:
            time.sleep(10 * sizing.FIRST_BUDGET)
        return x

    assert list(sometimes_slow.map(range(256))) == list(range(256))
    resent = {x for x in sent if sent.count(x) > 1}
    assert resent & set(range(4, 64)), "the rest of its batch was sent again"
    assert not resent & set(range(4)), "finished elements were not sent again"


def test_an_error_names_the_element_and_shows_the_tasks_traceback(session):
    with pytest.raises(ElementError) as caught:
        list(bad_at_seven.map(range(100)))
    error = caught.value
    assert (error.index, error.input, error.attempts) == (7, "7", 1)
    assert error.error == "ValueError: seven is not allowed: 7"
    assert "in bad_at_seven" in error.traceback
    assert "compute.py" not in error.traceback
    assert "serial.py" not in error.traceback
    assert isinstance(error.__cause__, ValueError)
    assert "\n" not in str(error)


class UnprintableError(Exception):
    def __str__(self):
        raise TypeError("no text")


@task(cache=False, on_error="collect")
def raise_unprintable(x: int) -> int:
    if x == 1:
        raise UnprintableError
    return x


def test_an_error_whose_text_cannot_be_read_fails_its_element_alone(session):
    first, second, third = raise_unprintable.map(range(3))
    assert (first, third) == (0, 2)
    assert isinstance(second, ElementError)
    assert second.error == "UnprintableError"


def test_raise_stops_early_and_keeps_finished_results(session):
    @task
    def careful(x: int) -> int:
        if x == 50:
            raise ValueError
        return x

    with pytest.raises(ElementError):
        list(careful.map(itertools.count()))
    again = careful.map(range(50))
    list(again)
    assert again.stats.cached > 0


def test_skip_leaves_the_element_out(session):
    results = task(cache=False, on_error="skip")(bad_at_seven.fn).map(range(10))
    assert list(results) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert (results.stats.failed, results.stats.computed) == (1, 9)


def test_collect_yields_the_error_in_its_place(session):
    results = list(task(cache=False, on_error="collect")(bad_at_seven.fn).map(range(10)))
    assert isinstance(results[7], ElementError)
    assert results[7].index == 7
    assert results[:7] + results[8:] == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_a_failed_element_is_not_cached(session):
    @task(on_error="skip")
    def picky(x: int) -> int:
        if x == 2:
            raise ValueError
        return x

    list(picky.map(range(4)))
    again = picky.map(range(4))
    assert list(again) == [0, 1, 3]
    assert (again.stats.cached, again.stats.failed) == (3, 1)


def test_an_element_is_retried_before_it_fails(session, tmp_path):
    @task(cache=False, retries=2, retry_delay=0.01)
    def third_time(x: int, folder: str) -> int:
        tries = len(os.listdir(folder))
        Path(folder, str(tries)).touch()
        if tries < 2:
            raise OSError("not yet")
        return x

    folder = tmp_path / "tries"
    folder.mkdir()
    assert list(third_time.map([5], shared={"folder": str(folder)})) == [5]
    assert len(os.listdir(folder)) == 3


def test_an_error_tells_the_number_of_attempts(session):
    @task(cache=False, retries=1, retry_delay=0)
    def never(x: int) -> int:
        raise OSError("no")

    with pytest.raises(ElementError, match="after 2 attempts"):
        list(never.map([1]))


def test_an_input_that_cannot_be_sent_fails_alone(workers):
    @task(cache=False, on_error="collect")
    def show(x: object) -> str:
        return type(x).__name__

    first, second, third = show.map([1, threading.Lock(), "a"])
    assert (first, third) == ("int", "str")
    assert isinstance(second, ElementError)
    assert "type lock cannot be sent" in str(second)


def test_a_result_that_cannot_be_sent_fails_alone(workers):
    @task(cache=False, on_error="collect")
    def make(x: int) -> object:
        return threading.Lock() if x == 1 else x

    first, second, third = make.map(range(3))
    assert (first, third) == (0, 2)
    assert "type lock cannot be sent" in str(second)


def test_a_result_that_cannot_be_pickled_is_returned_and_not_cached(tmp_path):
    @task
    def make(x: int) -> object:
        return threading.Lock() if x == 1 else x

    with connect(lake=tmp_path, progress="off"):
        assert len(list(make.map(range(3)))) == 3
        again = make.map(range(3))
        list(again)
        assert again.stats.cached == 2


def test_a_task_can_run_a_map_on_its_own_worker(workers):
    @task(cache=False)
    def outer(x: int) -> int:
        return sum(double.map(range(x)))

    assert list(outer.map([3, 4, 5, 6])) == [6, 12, 20, 30]


def test_refresh_computes_again_and_caches_the_new_results(tmp_path):
    calls = []

    @task(version="1")
    def note(x: int) -> int:
        calls.append(x)
        return len(calls)

    with connect(lake=tmp_path, progress="off"):
        assert list(note.map([0])) == [1]
    with connect(lake=tmp_path, progress="off", refresh=True):
        assert list(note.map([0])) == [2]
    with connect(lake=tmp_path, progress="off"):
        assert list(note.map([0])) == [2]


def test_without_cache_results_are_neither_looked_up_nor_kept(tmp_path):
    for _ in range(2):
        with connect(lake=tmp_path, progress="off", cache=False) as session:
            results = double.map(range(3))
            list(results)
            assert results.stats.cached == 0
    assert not session.lake.entries("results")


def test_a_map_outside_a_session_runs_in_a_default_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_LAKE", str(tmp_path / "lake"))
    monkeypatch.delenv("LIGHTWORK_ON", raising=False)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    monkeypatch.setattr("lightwork.runs.session._default", None)
    assert list(double.map([1])) == [2]
    assert (tmp_path / "lake" / "local" / "results").is_dir()


def test_there_is_no_current_session_outside_one():
    with pytest.raises(InputError, match="connect"):
        current_session()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: double.map(), "nothing to map over"),
        (lambda: double.map(5), "argument 1: expected an iterable, got int"),
        (lambda: double.map([1], [2]), "too many positional arguments"),
        (lambda: weigh.map([1]), "missing a required argument: 'y'"),
        (lambda: double.map([1], shared={"z": 1}), "unexpected keyword argument 'z'"),
        (lambda: double.submit(), "missing a required argument: 'x'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_once(session, call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retrys": 2}, "did you mean 'retries'"),
        ({"retries": -1}, "0 or more"),
        ({"on_error": "ignore"}, "raise, skip, collect"),
        ({"batch": 0}, "1 or more"),
        ({"ignore": ["verbose"]}, "'verbose', which is not one of its parameters"),
    ],
)
def test_an_invalid_option_is_refused_by_the_decorator(options, words):
    with pytest.raises(InputError, match=words):
        task(**options)(double.fn)


def test_a_generator_function_is_refused():
    with pytest.raises(InputError, match="return the values instead"):

        @task
        def many(x: int):
            yield x
