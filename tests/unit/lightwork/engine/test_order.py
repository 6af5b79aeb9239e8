"""Earlier elements are computed before later ones, so that a loop over results soon gets its first ones."""

from __future__ import annotations

import itertools
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightwork import task
from lightwork.engine.compute import compute
from lightwork.engine.feed import Feed
from lightwork.engine.places import Places
from lightwork.engine.sizing import Sizer
from tests.waiting import wait_until

SLOTS = 2
COUNT = 400
SECONDS = 0.2
"""Seconds that a slow element takes."""

SLOW = {
    "all slow": lambda x: True,
    "every fifth slow": lambda x: x % 5 == 0,
    "the first one slow": lambda x: x == 0 or x > 300,
    "slow after fast ones": lambda x: x >= 5,
    "one slow for each first batch": lambda x: x % 256 == 0 or x > 300,
    "slow in turns": lambda x: x // 10 % 2 == 0,
}
HANDED_OUT = (1, 4, 10)
"""The numbers of results after which the started elements are counted."""


def work(x: int, log: str, slow: frozenset[int], failing: int) -> int:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x}\n".encode())
    os.close(file)
    if x in slow:
        time.sleep(SECONDS)
    if failing and x % failing == 1:
        raise ValueError(x)
    return x


def started_later(results, log: Path, slow: frozenset[int]) -> list[int]:
    """Return how many later slow elements had started when some of the first results were handed out."""
    counts = []
    for number, _ in enumerate(itertools.islice(results, max(HANDED_OUT)), 1):
        if number in HANDED_OUT:
            started = {int(line) for line in log.read_text().splitlines()}
            assert started >= set(range(number))
            counts.append(len({x for x in started & slow if x >= number}))
    return counts


@pytest.fixture
def warm(workers, tmp_path):
    """A session on two workers, both of which have imported this module."""

    @task(cache=False, batch=1)
    def meet(x: int, folder: Path) -> int:
        (folder / str(os.getpid())).touch()
        wait_until(lambda: len(list(folder.iterdir())) == SLOTS, "the other worker has an element too")
        return work(x, os.devnull, frozenset(), 0)

    (tmp_path / "met").mkdir()
    meet.map(range(4), shared={"folder": tmp_path / "met"}).wait()
    return workers


@pytest.mark.parametrize(
    ("known", "on_error"),
    [(True, "raise"), (False, "collect")],
    ids=["known length", "unknown length, some fail"],
)
@pytest.mark.parametrize("pattern", list(SLOW))
def test_few_later_elements_are_started_before_an_earlier_one_is_handed_out(
    warm, tmp_path, pattern, on_error, known
):
    slow = frozenset(filter(SLOW[pattern], range(COUNT)))
    shared = {"log": str(tmp_path / "log"), "slow": slow, "failing": 3 if on_error == "collect" else 0}
    listed = range(COUNT)
    results = task(cache=False, on_error=on_error)(work).map(listed if known else iter(listed), shared=shared)
    # While one slot ends a batch and then computes the first one, the other computes three.
    in_a_batch = math.ceil(2 * Sizer().target(SLOTS) / SECONDS)
    assert max(started_later(results, tmp_path / "log", slow)) <= SLOTS * (3 * in_a_batch + 1)


def test_a_map_does_not_wait_behind_a_long_call_while_another_worker_is_idle(workers, tmp_path):
    @task(cache=False)
    def wait(file: Path) -> int:
        wait_until(file.exists, "the maps")
        return 1

    @task(cache=False)
    def tiny(x: int) -> int:
        return x

    for _ in range(3):
        tiny.map(range(50)).wait()  # Dask knows now that it is short, and would not move it
    call = wait.submit(tmp_path / "file")
    for _ in range(5):
        assert list(tiny.map(range(50))) == list(range(50))
        assert tiny.submit(3).result() == 3
    (tmp_path / "file").touch()
    assert call.result() == 1


def test_elements_that_were_given_back_are_taken_first_whatever_the_order_they_came_back_in():
    feed = Feed(iter(range(1000)), 1000, None, None)
    while feed.read_page(1000):
        pass
    batches = [feed.take(100) for _ in range(4)]
    for batch in (batches[2], batches[0], batches[3], batches[1]):
        feed.give_back([batch[0]._replace(positions=batch[0].positions[1:]), *batch[1:]])
    indexes = [span.page.start + i for span in feed.take(1000) for i in span.positions]
    assert indexes == [x for x in range(1000) if x not in (0, 100, 200, 300)]
    assert feed.waiting == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300), st.integers(0, 300)), max_size=200))
def test_places_are_in_the_order_of_the_input_however_often_elements_are_sent_again(steps):
    places, sent, furthest = Places(), {}, 0
    for fresh, size, back in steps:
        if fresh or not sent:
            start = furthest
            furthest += size
        else:
            start = max(0, furthest - 1 - back)
        sent[start] = places.place(start)
        places.forget(max(0, furthest - 500))
    ordered = [sent[start] for start in sorted(sent)]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("fast", [0, 1, 5, 30, 300])
def test_a_batch_ends_with_the_element_that_uses_up_its_budget_however_fast_those_before_it_were(fast):
    done = compute(lambda x: time.sleep(0.05 * (x >= fast)), range(1000), budget=0.05)
    assert len(done.values) <= fast + 1


def test_maps_take_turns():
    one, other = Places(), Places()
    first = [one.place(0), other.place(0), one.place(10), other.place(10)]
    assert first == sorted(first)
    assert first[0] < one.place(3) < first[2]
