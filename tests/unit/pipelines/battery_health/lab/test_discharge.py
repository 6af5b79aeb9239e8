from __future__ import annotations

import numpy as np
import pytest

from pipelines.battery_health.lab.discharge import PULSE, measure
from pipelines.battery_health.lab.history import outliers, returned
from pipelines.battery_health.lab.like import Conditions, discharge
from pipelines.battery_health.lab.reference import CELLS, first_like, known, reference, stride

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


def test_before_the_first_sample_the_resistance_follows_the_root_of_time():
    samples = line(50.0, begin=125.0)
    begin = int((samples[1] < 0).argmax())
    since = samples[0][begin:] - 125.0
    samples[2][begin:] = samples[2][begin - 1] - 2.0 * (0.08 + 0.003 * np.sqrt(since))
    assert measure(samples).resistance_mohm == pytest.approx(80.0 + 3.0 * np.sqrt(PULSE), abs=0.01)


def test_a_sensor_that_stands_still_or_a_short_pulse_gives_no_resistance():
    stuck = line()
    stuck[2] = 3.7
    assert np.isnan(measure(stuck).resistance_mohm)
    pulse = line(2.0)
    pulse[1][18:] = 0.0  # the load lasts 4 s
    assert np.isnan(measure(pulse).resistance_mohm)


def test_the_resistance_follows_the_root_of_time_to_the_end_of_a_pulse_and_a_little_farther():
    samples = line(2.0)
    begin = int((samples[1] < 0).argmax())
    since = samples[0][begin:] - samples[0][begin] + 1.0
    samples[2][begin:] = samples[2][begin - 1] - 2.0 * (0.08 + 0.003 * np.sqrt(since))
    samples[1][begin + 5 :] = 0.0  # the last sample under load is 9 s after its begin
    assert measure(samples).resistance_mohm == pytest.approx(80.0 + 3.0 * np.sqrt(PULSE), abs=0.01)


def test_a_long_rest_adds_nothing_to_the_charge():
    samples = line()
    rested = np.hstack([samples[:, :1] + np.array([[0.0], [-0.005], [0.0], [0.0]]), samples])
    rested[0][1:] += 36_000.0
    rested[1][1:4] = -0.005
    assert measure(rested).capacity_ah == pytest.approx(measure(samples).capacity_ah, rel=1e-3)


def test_how_much_of_the_capacity_no_sample_saw_is_known():
    assert measure(line()).unsampled == pytest.approx(10.0 / 2900.0, rel=0.3)
    gap = np.delete(line(), slice(100, 200), axis=1)
    assert measure(gap).unsampled == pytest.approx(0.3, abs=0.05)
    assert measure(gap).curve is None
    collapsed = line()[:, :8]
    collapsed[2][4:] = 2.5
    found = measure(collapsed)
    assert (found.unsampled, found.full) == (1.0, True)


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


def test_time_under_load_is_counted_not_samples():
    samples = line()
    at = np.arange(samples.shape[1])
    samples[1] = np.where(at % 20 < 10, -2.0, 0.0)
    thinned = samples[:, (at % 20 < 10) | (at % 3 == 0)]  # fewer samples at rest
    assert measure(thinned).duty == pytest.approx(0.5, abs=0.08)  # of the samples, 0.75


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


def test_conditions_are_not_mixed_in_what_a_life_shows():
    cell = lives([2.0, 1.5, 1.99, 1.49, 1.98, 1.48, 1.97, 1.47, 1.96, 1.46])
    for number in range(2, 11, 2):
        cell[number] = cell[number]._replace(current=-4.0)
    assert returned(cell) == []
    assert outliers(cell) == []
    assert first_like(cell) == {number: 2.0 if number % 2 else 1.5 for number in cell}
    cell[1] = cell[1]._replace(capacity_ah=0.01, curve=None)  # it collapsed
    assert first_like(cell)[9] == 1.99
    assert first_like(lives([0.0, np.nan])) == {}


def test_of_many_like_cells_few_are_compared_with_and_a_new_one_rarely_changes_them():
    cell = lives([2.0, 1.9])
    cold = {number: one._replace(celsius=4.0) for number, one in cell.items()}
    many = {f"C{number}": cell for number in range(200)}
    kept = [one.cell for one in reference(many, 2.7).cells]
    assert len(kept) == CELLS
    assert kept == sorted(kept)
    assert len(reference({**many, "cold": cold}, 2.7).cells) == CELLS + 1
    more = [one.cell for one in reference({**many, "one more": cell}, 2.7).cells]
    assert more == kept


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
