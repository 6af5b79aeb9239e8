"""What a map or a call hands out is never what is kept, and an element is what it was when it was read."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightwork import connect, task
from lightwork.functions.pickling import dump
from lightwork.lake import open_lake
from lightwork.store import segments
from lightwork.store.results import CodeResults


@dataclass
class Reading:
    name: str
    values: list[int] = field(default_factory=list)


KINDS: dict[str, tuple[Any, Any]] = {
    "list": (lambda x: [x], lambda r: r.append("mine")),
    "nested": (lambda x: ({"a": [x]}, x), lambda r: r[0]["a"].append("mine")),
    "dict": (lambda x: {"x": x}, lambda r: r.clear()),
    "set": (lambda x: {x}, lambda r: r.add("mine")),
    "bytearray": (lambda x: bytearray([x]), lambda r: r.extend(b"mine")),
    "frame": (lambda x: pd.DataFrame({"kwh": [x, 2 * x]}), lambda r: r.__setitem__("kwh", r["kwh"] * 1000)),
    "series": (lambda x: pd.Series([x]), lambda r: r.__setitem__(0, 99)),
    "array": (lambda x: np.array([x, x]), lambda r: r.__setitem__(0, 99)),
    "structured": (lambda x: np.array([(x,)], dtype=[("a", int)])[0], lambda r: r.__setitem__("a", 99)),
    "dataclass": (lambda x: Reading("r", [x]), lambda r: r.values.append(99)),
}
VALUES = [1, 2, 2, 3]


@task
def make(x: int, kind: str) -> object:
    return KINDS[kind][0](x)


def texts(results) -> list[str]:
    return [repr(result) for result in results]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_changing_results_changes_neither_later_ones_nor_what_is_kept(session, tmp_path, kind):
    change = KINDS[kind][1]
    right = [repr(KINDS[kind][0](x)) for x in VALUES]
    for cached in (0, 4, 4):
        results = make.map(VALUES, shared={"kind": kind})
        seen = []
        for result in results:
            seen.append(repr(result))
            change(result)
        assert seen == right
        assert results.stats.cached == cached
    with connect(lake=tmp_path / "lake", tenant="acme", progress="off"):
        results = make.map(VALUES, shared={"kind": kind})
        assert texts(results) == right
        assert results.stats.cached == 4


def test_equal_elements_never_share_a_result(session, kind):
    for _ in range(2):
        results = list(make.map([5] * 4, shared={"kind": kind}))
        assert len({id(result) for result in results}) == 4
        KINDS[kind][1](results[0])
        assert texts(results[1:]) == [repr(KINDS[kind][0](5))] * 3


def test_changing_the_result_of_a_call_changes_no_other_result(session, kind):
    change, right = KINDS[kind][1], repr(KINDS[kind][0](7))
    change(next(make.map([7], shared={"kind": kind})))
    change(
        next(make.map([7], shared={"kind": kind}))
    )  # a map sees the newest results, a call those of a second ago
    for _ in range(3):
        result = make.submit(7, kind).result()
        assert repr(result) == right
        change(result)
    assert texts(make.map([7], shared={"kind": kind})) == [right]


@task(cache=False)
def extend(values: list[Any]) -> list[Any]:
    values.append("extended")
    return values


@task
def row(x: int) -> list[Any]:
    return [x]


def test_a_future_hands_out_one_object_and_arguments_of_their_own(session):
    for _ in range(2):
        future = row.submit(1)
        assert extend.submit(future).result() == [1, "extended"]
        assert extend.submit(future).result() == [1, "extended"]
        future.result().append("mine")
        assert future.result() == [1, "mine"]
        assert extend.submit(future).result() == [1, "extended"]


def test_calls_at_once_do_not_share_an_argument_on_a_worker(workers):
    future = row.submit(1)
    assert [f.result() for f in [extend.submit(future) for _ in range(8)]] == [[1, "extended"]] * 8


TABLE = {0: ["zero"], 1: ["one"]}


@task(version="1")
def look_up(x: int) -> list[str]:
    return TABLE[x % 2]


def test_a_caller_cannot_change_what_the_task_returns_next(session):
    for _ in range(2):
        for result in look_up.map(range(4)):
            assert len(result) == 1
            result.append("mine")
    assert TABLE == {0: ["zero"], 1: ["one"]}
    result = look_up.submit(5).result()
    result.append("mine")
    assert look_up.submit(7).result() == ["one"]


BUFFER: list[int] = []


@task(version="1")
def refill(x: int) -> list[int]:
    BUFFER[:] = [x]
    return BUFFER


def test_a_task_may_return_one_buffer_again_and_again(session):
    for _ in range(2):
        assert list(refill.map(range(20))) == [[x] for x in range(20)]


def test_results_of_one_segment_share_nothing(tmp_path):
    shared = ["shared"]
    lake = open_lake(str(tmp_path), tenant="acme")
    keys = [bytes([n]) * 16 for n in range(3)]
    CodeResults(lake, "t", "c").commit(b"".join(keys), segments.to_blocks([[shared], 7, (shared, shared)]))
    results = CodeResults(lake, "t", "c").refresh()
    first, seven, pair = results.lookup(keys)
    first[0].append("mine")
    assert (seven, pair) == (7, (["shared"], ["shared"]))
    assert pair[0] is pair[1]  # within one result, what was one object is one object
    assert results.lookup(keys[:1] * 2) == [[["shared"]], [["shared"]]]


def test_results_that_were_pickled_together_share_nothing(tmp_path):
    shared = ["shared"]
    lake = open_lake(str(tmp_path), tenant="acme")
    keys = [bytes([n]) * 16 for n in range(2)]
    CodeResults(lake, "t", "c").commit(b"".join(keys), [(2, dump([shared, shared]))])
    results = CodeResults(lake, "t", "c").refresh()
    first, second = results.lookup(keys)
    first.append("mine")
    assert second == ["shared"]
    assert results.lookup(keys) == [["shared"], ["shared"]]


def test_merged_segments_keep_large_and_small_results(tmp_path):
    lake = open_lake(str(tmp_path), tenant="acme")
    values = [[n] * (1 if n % 3 else 50_000) for n in range(1, 12)]
    keys = [bytes([n]) * 16 for n in range(len(values))]
    for key, value in zip(keys, values, strict=True):
        CodeResults(lake, "t", "c").commit(key, segments.to_blocks([value]))
    assert CodeResults(lake, "t", "c").compact() == len(values)
    assert CodeResults(lake, "t", "c").refresh().lookup(keys) == values


class Counted:
    """Counts how often an instance is pickled."""

    pickled = 0

    def __reduce__(self) -> Any:
        Counted.pickled += 1
        return Counted, ()


def test_a_serial_session_encodes_nothing_without_a_cache(tmp_path):
    Counted.pickled = 0
    elements = [Counted() for _ in range(3)]

    @task(cache=False)
    def same(x: Counted) -> Counted:
        return x

    with connect(lake=tmp_path, progress="off"):
        assert all(a is b for a, b in zip(same.map(elements), elements, strict=True))
        assert same.submit(elements[0]).result() is elements[0]
    assert Counted.pickled == 0


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


@pytest.mark.parametrize("make_result", [threading.Lock, Unloadable])
def test_a_result_that_cannot_be_encoded_is_handed_out_and_warned_about_once(tmp_path, caplog, make_result):
    @task
    def odd(x: int) -> object:
        return make_result() if x else x

    with connect(lake=tmp_path, progress="off"):
        results = list(odd.map(range(4)))
        assert [type(result).__name__ for result in results] == ["int", *[type(make_result()).__name__] * 3]
        assert caplog.text.count("are not cached") == 1
        assert type(odd.submit(1).result()) is type(make_result())
        assert caplog.text.count("are not cached") == 2
        again = odd.map(range(4))
        list(again)
        assert again.stats.cached == 1


# Elements


@task
def double(values: Any) -> int:
    return 2 * int(np.ravel(values[0])[0])


uncached_double = task(cache=False)(double.fn)


def of_array():
    buffer = np.zeros(1, dtype=int)
    for x in range(5):
        buffer[0] = x
        yield buffer


def of_bytearray():
    buffer = bytearray(1)
    for x in range(5):
        buffer[0] = x
        yield buffer


def of_list():
    buffer = [0]
    for x in range(5):
        buffer[0] = x
        yield buffer


def of_tuple():
    yield from ((buffer,) for buffer in of_array())


def of_both():
    for buffer in of_list():
        yield buffer if buffer[0] % 2 else tuple(buffer)


@pytest.mark.parametrize("tasks", [double, uncached_double], ids=["cached", "uncached"])
@pytest.mark.parametrize("source", [of_array, of_bytearray, of_list, of_tuple, of_both])
def test_a_generator_may_fill_one_buffer_again_and_again(session, source, tasks):
    assert list(tasks.map(source())) == [0, 2, 4, 6, 8]
    again = tasks.map(source())
    assert list(again) == [0, 2, 4, 6, 8]
    assert again.stats.cached == (5 if tasks is double else 0)


@task
def weigh(values: list[int], factor: int) -> int:
    return factor * values[0]


def test_a_buffer_may_be_one_of_several_iterables(session):
    for _ in range(2):
        assert list(weigh.map(of_list(), [10] * 5)) == [0, 10, 20, 30, 40]


def test_keys_are_those_of_the_elements_as_they_were_read(session):
    assert list(double.map(of_list())) == [0, 2, 4, 6, 8]
    results = double.map([[x] for x in range(5)])
    assert list(results) == [0, 2, 4, 6, 8]
    assert results.stats.cached == 5
    assert double.submit([3]).result() == 6


def test_changing_an_element_in_the_loop_keeps_nothing_under_a_wrong_key(session):
    rows = [[x] for x in range(6)]
    for _ in double.map(rows):
        for values in rows:
            values[0] += 100
    assert list(double.map([[x] for x in range(6)])) == [0, 2, 4, 6, 8, 10]


@task
def scale(x: int, table: list[int]) -> int:
    return x * table[0]


def test_changing_a_shared_argument_in_the_loop_keeps_nothing_under_a_wrong_key(session):
    table = [2]
    for _ in scale.map(range(40), shared={"table": table}):
        table[0] = 100
    results = scale.map(range(40), shared={"table": [2]})
    assert list(results) == [2 * x for x in range(40)]
    assert results.stats.cached == 40


@task
def take_first(values: list[int]) -> int:
    return values.pop(0)


def test_a_task_may_use_up_its_element(session):
    for _ in range(2):
        assert list(take_first.map([[x, 99] for x in range(4)])) == [0, 1, 2, 3]


def test_elements_that_are_one_object_do_not_share_it_on_a_worker(workers):
    row = list(range(20))
    assert list(task(batch=20, cache=False)(take_first.fn).map([row] * 20)) == [0] * 20


@task(retries=2, retry_delay=0.01)
def fails_on_a_full_list(values: list[int], marks: str) -> int:
    values.pop()
    mark = Path(marks) / str(values[0])
    if not mark.exists():
        mark.touch()
        raise ValueError("again")
    return len(values)


def test_retries_get_the_element_as_it_was(session, tmp_path):
    marks = {"marks": str(tmp_path)}
    assert list(fails_on_a_full_list.map([[1, 2, 3], [2, 3, 4]], shared=marks)) == [2, 2]
    assert fails_on_a_full_list.submit([3, 4, 5], **marks).result() == 2
    assert fails_on_a_full_list.submit(four.submit(4), **marks).result() == 2


@task
def four(x: int) -> list[int]:
    return [x, x, x]


def test_elements_of_a_class_of_the_script_have_stable_keys(session):
    assert list(count.map(Reading("r", [x]) for x in range(4))) == [1] * 4
    results = count.map([Reading("r", [x]) for x in range(4)])
    assert list(results) == [1] * 4
    assert results.stats.cached == 4


@task
def count(reading: Reading) -> int:
    return len(reading.values)
