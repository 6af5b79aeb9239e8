"""The number of elements in a batch."""

from __future__ import annotations

import math

import pytest

from lightwork.engine.sizing import BYTES, FIRST, Sizer


def measured(seconds_each: float, elements: int = 1000, **bytes_each: int) -> Sizer:
    sizer = Sizer()
    sizer.record(
        elements,
        seconds_each * elements,
        bytes_each.get("input_bytes", 8) * elements,
        bytes_each.get("output_bytes", 8) * elements,
    )
    return sizer


def test_the_first_batches_are_small_and_have_a_short_budget():
    assert Sizer().size(2, 1_000_000) == FIRST
    assert Sizer().budget(2) < measured(0.001).budget(2)


def test_few_elements_are_spread_over_the_workers_from_the_start():
    assert Sizer().size(2, 8) == 2


@pytest.mark.parametrize("each", [1e-6, 1e-4, 1e-2, 0.1])
def test_a_batch_takes_about_as_long_as_the_target(each):
    sizer = measured(each)
    assert sizer.size(2, None) * each == pytest.approx(sizer.target(2), rel=0.5)


def test_an_element_that_takes_longer_than_the_target_has_its_own_batch():
    assert measured(10.0).size(2, 100) == 1


def test_batches_are_longer_with_more_workers_so_that_the_scheduler_keeps_up():
    assert Sizer().target(2) < 1.0
    for slots in (100, 200, 500):
        assert slots / Sizer().target(slots) < 120, "batches that the scheduler has to hand out in a second"
    assert Sizer().target(10_000) <= 5.0


def test_batches_shrink_towards_the_end():
    sizer = measured(0.05)
    assert [sizer.size(2, left) for left in (1000, 20, 10, 4, 1)] == sorted(
        (sizer.size(2, left) for left in (1000, 20, 10, 4, 1)), reverse=True
    )
    assert sizer.size(2, 4) == 1


def test_tiny_elements_are_not_split_towards_the_end():
    assert measured(1e-6).size(2, 5000) >= 5000


def test_bytes_limit_a_batch_whatever_its_duration():
    mebibyte = 1 << 20
    assert measured(1e-6, input_bytes=mebibyte).size(2, None) * mebibyte <= BYTES
    assert measured(1e-6, output_bytes=mebibyte).size(2, None) * mebibyte <= BYTES
    assert measured(1e-6, input_bytes=100 * mebibyte).size(2, None) == 1


def test_later_measurements_count_more():
    sizer = measured(1e-3)
    for _ in range(30):
        sizer.record(10, 10 * 0.1, 80, 80)
    assert sizer.seconds == pytest.approx(0.1, rel=0.1)


def test_batches_of_a_fixed_size_have_no_budget():
    sizer = Sizer(fixed=7)
    assert (sizer.size(2, 3), sizer.budget(2)) == (7, math.inf)


def test_no_batch_waits_behind_a_long_element():
    assert (measured(0.05).depth(), measured(2.0).depth()) == (2, 1)


def test_no_batch_waits_behind_one_whose_duration_is_unknown():
    assert Sizer().depth() == 1
