from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.battery_health import estimate, simulation
from pipelines.battery_health.models import MODELS, Model, state_of_charge, voltage_at_rest, warmth
from pipelines.battery_health.simulation import CELLS, battery, telemetry, truth

CAPACITY_TOLERANCE, RESISTANCE_TOLERANCE = 0.01, 0.03  # as the README states and derives them
DAY = dt.date(2026, 3, 1)


def errors(seed: int, number: int, day: dt.date) -> tuple[np.ndarray, np.ndarray]:
    """Of the estimates of a battery's cells, as shares of the truth."""
    unit = battery(seed, number)
    found = estimate(telemetry(unit, day), MODELS[unit.model])
    real = truth(unit, day)
    capacity = np.array([cell.capacity_ah for cell in found]) / real.capacity_ah - 1
    return capacity, np.array([cell.resistance_mohm for cell in found]) / real.resistance_mohm - 1


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_estimates_are_within_the_stated_tolerance_of_the_truth(seed):
    days = [dt.date(2026, 1, 1), dt.date(2026, 7, 20)]
    found = [errors(seed, number, day) for number in range(6) for day in days]
    capacity = np.abs(np.concatenate([one for one, _ in found]))
    resistance = np.abs(np.concatenate([one for _, one in found]))
    assert len(capacity) == 6 * 2 * CELLS
    assert capacity.max() < CAPACITY_TOLERANCE
    assert resistance.max() < RESISTANCE_TOLERANCE


def ideal(ohms: float = 0.002, celsius: float = 25.0, capacity: float = 40.0) -> tuple[pa.Table, Model]:
    """Rest, a discharge in pulses by 20 Ah, rest; without noise, and without anything slow."""
    model = Model(50.0, 2.0, 0.3, (3.0, 4.0))
    pulses = np.tile(np.repeat([-20.0, -60.0], 30), 30)
    current = np.concatenate([np.zeros(400), pulses, np.zeros(400)])
    seconds = np.arange(len(current)) * 1.0
    flowed = np.concatenate(([0.0], np.cumsum(current[:-1]))) / 3600
    real = ohms * warmth(model, np.array([celsius]))
    volts = voltage_at_rest(model, 0.9 + flowed / capacity) + real * current
    return table(seconds * 5, 1, current / 5, volts - real * current * 0.8, celsius), model


def table(seconds, cell, current, volts, celsius) -> pa.Table:
    times = np.datetime64("2026-03-01", "ms") + (np.asarray(seconds) * 1000).astype("timedelta64[ms]")
    rows = len(times)
    return pa.table(
        {
            "time": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "cell": pa.array(np.full(rows, cell, dtype=np.int16)),
            "current": pa.array(np.asarray(current, dtype=np.float32)),
            "voltage": pa.array(np.asarray(volts, dtype=np.float64)),
            "temperature": pa.array(np.full(rows, celsius, dtype=np.float32)),
        }
    )


@pytest.mark.parametrize("celsius", [-10.0, 25.0, 45.0])
def test_without_noise_the_estimate_is_the_truth_at_any_temperature(celsius):
    (found,) = estimate(*ideal(ohms=0.002, celsius=celsius, capacity=40.0))
    assert found.cell == 1
    assert found.capacity_ah == pytest.approx(40.0, rel=1e-4)
    assert found.resistance_mohm == pytest.approx(2.0, rel=1e-4)


def test_the_order_of_the_rows_changes_nothing():
    unit = battery(1, 1)
    day = telemetry(unit, DAY)
    shuffled = day.take(np.random.default_rng(0).permutation(day.num_rows))
    assert estimate(shuffled, MODELS[unit.model]) == estimate(day, MODELS[unit.model])


def test_samples_with_a_missing_value_are_left_out():
    unit = battery(1, 1)
    day = telemetry(unit, DAY).slice(0, 8640)
    volts = day["voltage"].to_pylist()
    volts[2100], volts[2200] = None, float("nan")  # at the end of a rest, and in a journey
    holes = day.set_column(3, "voltage", pa.array(volts, pa.float32()))
    (found,), (whole,) = (estimate(one, MODELS[unit.model]) for one in (holes, day))
    assert found.capacity_ah == pytest.approx(whole.capacity_ah, rel=1e-3)
    assert found.resistance_mohm == pytest.approx(whole.resistance_mohm, rel=1e-2)


def test_an_offset_of_the_current_sensor_is_found_at_rest():
    day, model = ideal()
    shifted = day.set_column(2, "current", pc.add(day["current"], 0.3))
    (found,) = estimate(shifted, model)
    assert found.capacity_ah == pytest.approx(40.0, rel=1e-4)


def test_a_gap_between_the_rests_leaves_the_capacity_unknown():
    day, model = ideal()
    gap = pa.concat_tables([day.slice(0, 1000), day.slice(1100)])
    (found,) = estimate(gap, model)
    assert np.isnan(found.capacity_ah)
    assert found.resistance_mohm == pytest.approx(2.0, rel=1e-3)


def test_a_day_at_rest_says_nothing():
    day, model = ideal()
    (found,) = estimate(day.slice(0, 400), model)
    assert np.isnan(found.capacity_ah)
    assert np.isnan(found.resistance_mohm)


def test_a_few_steps_say_nothing_of_the_resistance():
    day, model = ideal()
    (few,), (enough,) = (estimate(day.slice(0, 400 + 30 * steps), model) for steps in (10, 11))
    assert np.isnan(few.resistance_mohm)
    assert enough.resistance_mohm == pytest.approx(2.0, rel=1e-3)


def test_no_rows_are_no_cells():
    day, model = ideal()
    assert estimate(day.slice(0, 0), model) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_models_voltage_tells_its_state_of_charge(name):
    soc = np.linspace(0, 1, 101)
    assert np.allclose(state_of_charge(MODELS[name], voltage_at_rest(MODELS[name], soc)), soc)


def test_a_day_is_the_same_whenever_and_with_whatever_others_it_is_made():
    alone = telemetry(battery(5, 3), DAY)
    telemetry(battery(5, 2), DAY)
    assert telemetry(battery(5, 3), DAY).equals(alone)
    assert not telemetry(battery(6, 3), DAY).equals(alone)
    noise = telemetry(replace(battery(5, 3), seed=6), DAY)["temperature"]
    assert not noise.equals(alone["temperature"])
    assert not telemetry(battery(5, 3), DAY + dt.timedelta(days=1)).equals(alone)


def test_cells_only_grow_older():
    unit = battery(0, 0)
    today, later = truth(unit, DAY), truth(unit, DAY + dt.timedelta(days=365))
    assert (later.capacity_ah < today.capacity_ah).all()
    assert (later.resistance_mohm > today.resistance_mohm).all()


def test_a_simulated_cell_is_never_empty_or_overfull():
    for number in range(20):
        unit = battery(2, number)
        current = telemetry(unit, DAY)["current"].to_numpy()[: simulation.SAMPLES]
        flowed = np.cumsum(current) * simulation.SECONDS / 3600
        soc = simulation._start(unit, DAY) + flowed / truth(unit, DAY).capacity_ah.min()
        assert 0.02 < soc.min() < soc.max() < 0.99
