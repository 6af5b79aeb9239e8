from __future__ import annotations

import numpy as np
import pytest

from pipelines.battery_health.lab.discharge import PULSE, measure
from pipelines.battery_health.lab.history import outliers, returned
from pipelines.battery_health.lab.like import Conditions, discharge
from pipelines.battery_health.lab.reference import known, reference, stride

LIKE = Conditions(2.0, 100.0, -2.0, 24.0, 20.0)


def line(interval: float = 10.0, begin: float = 30.0, ohms: float = 0.1) -> np.ndarray:
    """A rest, then 2 A: the voltage falls at once by 0.1 Ohm, then evenly from 4.0 to 2.6 V in an hour."""
    seconds = np.arange(0.0, 3600.0, interval)
    loaded = seconds > begin
    current = np.where(loaded, -2.0, 0.0)
    voltage = np.where(loaded, 4.2 - 2.0 * ohms - 1.4 * (seconds - begin) / 3600.0, 4.2)
    return np.vstack([seconds, current, voltage, np.full_like(seconds, 24.0)])


def test_the_capacity_is_the_charge_until_the_first_sample_at_the_cut_off():
    samples = line()
    at = int((samples[2] <= 2.7).argmax())
    trapezoids = -0.5 * (samples[1][1:] + samples[1][:-1]) * np.diff(samples[0])
    found = measure(samples)
    assert found.capacity_ah == pytest.approx(trapezoids[:at].sum() / 3600, rel=1e-12)
    assert found.full
    assert measure(samples, cutoff=3.0).capacity_ah < found.capacity_ah


def test_a_discharge_that_never_reaches_the_cut_off_has_no_capacity():
    aborted = line()[:, :150]
    found = measure(aborted)
    assert np.isnan(found.capacity_ah)
    assert (found.full, found.curve) == (False, None)
    assert found.charge_ah == pytest.approx(2.0 * (aborted[0][-1] - 35.0) / 3600, rel=0.01)
    assert found.lowest == aborted[2].min()


@pytest.mark.parametrize("interval", [5.0, 10.0, 20.0])
def test_the_resistance_does_not_depend_on_how_often_was_sampled(interval):
    # The begin lies in the middle between two samples, as is assumed.
    found = measure(line(interval, begin=2.5 * interval))
    drift = 1000 * 1.4 * PULSE / 3600 / 2.0
    assert found.resistance_mohm == pytest.approx(100.0 + drift, abs=0.4)


def test_without_a_rest_before_the_load_there_is_no_resistance():
    assert np.isnan(measure(line()[:, 5:]).resistance_mohm)
    gap = line()
    gap[0][4:] += 100.0
    assert np.isnan(measure(gap).resistance_mohm)


def test_noise_is_told_from_the_course():
    rng = np.random.default_rng(0)
    noisy = line(2.0)
    noisy[1] += 0.0015 * rng.standard_normal(noisy.shape[1])
    noisy[2] += 0.0001 * rng.standard_normal(noisy.shape[1])
    found = measure(noisy)
    assert found.voltage_noise == pytest.approx(0.0001, rel=0.15)
    assert found.current_noise == pytest.approx(0.0015, rel=0.15)


def test_a_load_in_pulses_is_one_discharge():
    samples = line()
    samples[1] = np.where(np.arange(samples.shape[1]) % 2, samples[1], 0.0)
    found = measure(samples)
    assert found.duty == pytest.approx(0.5, abs=0.01)
    assert found.full


def lives(capacities) -> dict:
    """Discharges with these capacities."""
    one = measure(line())
    return {number: one._replace(capacity_ah=value) for number, value in enumerate(capacities, start=1)}


def test_capacity_that_returns_is_named_with_how_long_it_lasts():
    (rise,) = returned(lives([2.0, 1.98, 1.96, 2.02, 2.0, 1.97, 1.95, 1.94]))
    assert (rise.number, rise.lasted) == (4, 3)
    assert rise.gained_ah == pytest.approx(0.06)
    (last,) = returned(lives([2.0, 1.9, 1.95]))
    assert last.lasted is None


def test_single_outliers_are_named():
    (found,) = outliers(lives([2.0, 1.99, 1.98, 1.80, 1.96, 1.95, 1.94]))
    assert (found.number, found.measure, found.value) == (4, "capacity_ah", 1.80)
    assert found.usual == pytest.approx(1.97)
    assert outliers(lives([2.0, 1.99, 1.98, 2.05, 2.04, 2.03, 2.02])) == []
    assert outliers(lives([2.0, 1.99, 1.98, 1.7, 1.4, 1.39, 1.38])) == []


def test_what_is_known_of_a_cell_is_never_later_and_never_of_other_conditions():
    cell = lives(np.linspace(2.0, 1.5, 40))
    assert known(1, cell) is None
    assert known(5, cell).number == 1
    assert known(11, cell).number == 1
    assert known(30, cell).number == 20
    cell[20] = cell[20]._replace(current=-4.0)
    assert known(30, cell).number == 19
    cell[19] = cell[19]._replace(celsius=43.0)
    assert known(30, cell).number == 18
    cell[18] = cell[18]._replace(curve=None)
    assert known(30, cell).number == 17
    cell[30] = cell[30]._replace(current=-4.0)
    assert known(30, cell).number == 20


def test_a_new_discharge_seldom_changes_the_reference():
    assert [stride([-2.0] * count) for count in (24, 25, 48, 168, 192, 193)] == [1, 2, 2, 8, 8, 16]
    assert stride([-1.0, -2.0, -4.0] * 20) == 1
    cell = {number: measure(discharge(LIKE, 2.7, 1, number)) for number in range(25, 36)}
    cell |= dict.fromkeys(range(1, 25), cell[30])
    short = {number: one for number, one in cell.items() if number < 34}
    before, after = (reference({"A": cells}, 2.7).cells[0] for cells in (short, {**short, 34: cell[34]}))
    assert before.numbers.tolist() == after.numbers.tolist()
    assert np.array_equal(before.charge, after.charge)
