from __future__ import annotations

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightwork.runs.report.numbers import labels, number, ticks

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (26115.0, "26,115"), (0.03125, "0.03125"), (1234.56, "1,234.6"),
        (-2.25, "-2.25"), (1e20, "1×10²⁰"), (-1.25e-7, "-1.25×10⁻⁷"), (math.nan, "–"), (math.inf, "∞"),
        (-math.inf, "-∞"), (1.7e308, "1.7×10³⁰⁸"), (5e-324, "4.941×10⁻³²⁴"),
    ],
)  # fmt: skip
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text


@given(FINITE, FINITE, st.integers(3, 10))
@example(1.7e308, -1.7e308, 6)
@example(0.0, 5e-324, 3)
@example(1e16, 1e16 + 2, 6)
@example(5.0, 5.0, 6)
@example(0.0, 0.0, 6)
def test_ticks_are_even_and_surround_the_values(a: float, b: float, most: int) -> None:
    low, high = min(a, b), max(a, b)
    result = ticks(low, high, most, around=True)
    assert 2 <= len(result) <= most
    assert result[0] <= Decimal(repr(low))
    assert result[-1] >= Decimal(repr(high))
    assert len({y - x for x, y in itertools.pairwise(result)}) == 1
    texts = labels(result)
    assert len(set(texts)) == len(texts)


@given(FINITE, FINITE, st.integers(2, 10))
def test_ticks_within_stay_within(a: float, b: float, most: int) -> None:
    low, high = min(a, b), max(a, b)
    if low == high:
        return
    result = ticks(low, high, most)
    assert len(result) <= most
    assert all(Decimal(repr(low)) <= value <= Decimal(repr(high)) for value in result)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["0", "2500", "5000"], ["0", "2,500", "5,000"]),
        (["0", "0.5", "1"], ["0.0", "0.5", "1.0"]),
        (["-0.0", "1"], ["0", "1"]),
        (["0", "1E+7", "2E+7"], ["0", "10M", "20M"]),
        (["0", "5E+10"], ["0", "50bn"]),
        (["-5E+12", "0", "5E+12"], ["-5tn", "0", "5tn"]),
        (["0", "5E+6"], ["0", "5,000,000"]),
        (["0", "1E+20", "2E+20"], ["0", "1×10²⁰", "2×10²⁰"]),
        (["-5E-7", "0", "5E-7"], ["-5×10⁻⁷", "0", "5×10⁻⁷"]),
        (["1000000000", "1000000001"], ["1,000,000,000", "1,000,000,001"]),
    ],
)
def test_labels_of_one_axis_are_alike(values: list[str], texts: list[str]) -> None:
    assert labels([Decimal(value) for value in values]) == texts
