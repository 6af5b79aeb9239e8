from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.battery_health.lab import estimate, measure
from pipelines.battery_health.lab.discharge import POINTS, STEP, drawn
from pipelines.battery_health.lab.like import Conditions, discharge
from pipelines.battery_health.lab.reference import known, reference

LIKE = Conditions(2.0, 100.0, -2.0, 24.0, 20.0)
NUMBERS = range(1, 162, 8)
AT = 129


@pytest.fixture(scope="module")
def samples():
    return {
        f"C{cell}": {number: discharge(LIKE, 2.7, cell, number) for number in NUMBERS} for cell in range(1, 5)
    }


@pytest.fixture(scope="module")
def measured(samples):
    return {cell: {n: measure(one) for n, one in discharges.items()} for cell, discharges in samples.items()}


@pytest.fixture(scope="module")
def curves(measured):
    return reference(measured, 2.7)


def part(one: np.ndarray, begin: float = 0.3, share: float = 0.4) -> np.ndarray:
    """The window that begins after a share of the charge and holds another."""
    charge = drawn(one[0], one[1])
    a, b = np.searchsorted(charge, [begin * charge[-1], (begin + share) * charge[-1]])
    return one[:, a:b]


def of(samples, measured, curves, change=lambda window: window, past=True):
    """The estimate from a changed window of an aged discharge of the first cell."""
    own = known(AT, measured["C1"]) if past else None
    return estimate(change(part(samples["C1"][AT])), "C1", AT, own, curves)


@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize("begin", [0.02, 0.3, 0.55])
def test_simulated_cells_are_estimated_near_the_truth(samples, measured, curves, past, begin):
    for cell, discharges in measured.items():
        own = known(AT, discharges) if past else None
        found = estimate(part(samples[cell][AT], begin), cell, AT, own, curves)
        assert found.capacity_ah == pytest.approx(discharges[AT].capacity_ah, rel=0.015 if past else 0.08)
        assert found.low < found.capacity_ah < found.high
        assert found.reason == ""


def test_a_cells_own_curves_in_the_reference_are_not_used(samples, measured, curves):
    others = curves._replace(cells=tuple(one for one in curves.cells if one.cell != "C1"))
    assert of(samples, measured, others) == of(samples, measured, curves)
    assert of(samples, measured, others, past=False) == of(samples, measured, curves, past=False)


def test_a_larger_cell_of_the_same_kind_has_the_same_relative_estimate(samples, measured, curves):
    one = measured["C1"][AT - 16]
    larger = known(AT, measured["C1"])
    larger = larger._replace(
        capacity_ah=1.2 * one.capacity_ah, curve=one.curve._replace(charge=1.2 * one.curve.charge)
    )
    window = part(samples["C1"][AT]) * np.array([[1.2], [1.0], [1.0], [1.0]])
    found = estimate(window, "C1", AT, larger, curves)
    assert found.capacity_ah == pytest.approx(1.2 * of(samples, measured, curves).capacity_ah, rel=1e-6)


def width(found) -> float:
    return math.log(found.high / found.low)


@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize(
    "scale",
    [
        pytest.param((1.0, 1.0, 1.0, 1.7), id="warmer"),
        pytest.param((0.5, 2.0, 1.0, 1.0), id="twice the current"),
        pytest.param((2.0, 0.5, 1.0, 1.0), id="half the current"),
    ],
)
def test_intervals_widen_under_other_conditions(samples, measured, curves, scale, past):
    plain = of(samples, measured, curves, past=past)
    other = of(samples, measured, curves, lambda window: window * np.array(scale)[:, None], past)
    assert other.distance > plain.distance + 0.7
    assert width(other) > 1.5 * width(plain)
    if not past:  # the capacity itself may be another one there
        assert width(other) > width(plain) + 0.3 * (other.distance - 0.5)


def test_intervals_widen_off_what_was_fitted_but_stay_finite(samples, measured, curves):
    plain = of(samples, measured, curves)

    def shrunk(window):
        return window * np.array([0.3, 1.0, 1.0, 1.0])[:, None]

    other = of(samples, measured, curves, shrunk)
    assert 2 * width(plain) < width(other) < 1.0


def test_an_interval_that_would_say_nothing_is_no_estimate(samples, measured, curves):
    change = np.array([2.0, 0.2, 1.0, 2.5])[:, None]
    found = of(samples, measured, curves, lambda window: window * change, past=False)
    assert "times as much, or as little: other cells are too unlike" in found.reason
    assert math.isnan(found.capacity_ah)
    assert math.isnan(found.high)


def test_why_there_is_no_estimate_is_said(samples, measured, curves):
    window = part(samples["C1"][AT])

    def reason(samples, cells=curves.cells):
        return estimate(samples, "C1", AT, known(AT, measured["C1"]), curves._replace(cells=cells)).reason

    assert reason(window[:, :5]) == "too few samples under load"
    flat = window.copy()
    flat[2] = 3.5
    assert reason(flat) == "its voltage falls by less than 0.03 V"
    assert reason(window, curves.cells[:1]) == "no other cell to compare with"
    beyond = "the curves of the other cells do not reach its voltages"
    assert reason(window, tuple(one._replace(tops=one.tops - 2.0) for one in curves.cells)) == beyond
    high = window + np.array([[0.0], [0.0], [2.0], [0.0]])
    assert reason(high) == "the curves of the other cells do not reach its voltages"
    two = curves._replace(cells=curves.cells[:2])
    alone = "only one other cell under like conditions: how far cells differ is unknown"
    assert estimate(window, "C1", AT, None, two).reason == alone
    assert estimate(window, "C1", AT, known(AT, measured["C1"]), two).reason == ""
    few = tuple(type(one)(one.cell, *(values[:2] for values in one[1:])) for one in curves.cells)
    assert reason(window, few) == "too few discharges of other cells to compare with"


def test_voltages_above_the_end_of_all_curves_are_not_taken_for_some_without_charge():
    low = {f"C{cell}": {n: discharge(LIKE, 1.0, cell, n) for n in NUMBERS[::4]} for cell in range(1, 4)}
    measured = {
        cell: {n: measure(one, 1.0) for n, one in discharges.items()} for cell, discharges in low.items()
    }
    curves = reference(measured, 1.0)
    window = part(low["C1"][AT], begin=0.02)
    assert window[2].min() > 1.0 + STEP * POINTS
    beyond = "the curves of the other cells do not reach its voltages"
    assert estimate(window, "C1", AT, known(AT, measured["C1"]), curves).reason == beyond
