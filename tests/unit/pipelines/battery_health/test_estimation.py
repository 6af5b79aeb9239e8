from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.battery_health import estimate, simulation
from pipelines.battery_health.models import MODELS, Model, resistance_factor, state_of_charge, voltage_at_rest
from pipelines.battery_health.simulation import CELLS, battery, telemetry, truth

CAPACITY_TOLERANCE, RESISTANCE_TOLERANCE = 0.01, 0.03  # as the README states and derives them
DAY = dt.date(2026, 3, 1)


def errors(seed: int, number: int, day: dt.date) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the estimates of a battery's cells, as shares of the true values."""
    unit = battery(seed, number)
    estimates = estimate(telemetry(unit, day), MODELS[unit.model])
    real = truth(unit, day)
    capacity = np.array([cell.capacity_ah for cell in estimates]) / real.capacity_ah - 1
    return capacity, np.array([cell.resistance_mohm for cell in estimates]) / real.resistance_mohm - 1


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_estimates_are_within_the_stated_tolerance_of_the_truth(seed):
    days = [dt.date(2026, 1, 1), dt.date(2026, 7, 20)]
    pairs = [errors(seed, number, day) for number in range(6) for day in days]
    capacity = np.abs(np.concatenate([capacities for capacities, _ in pairs]))
    resistance = np.abs(np.concatenate([resistances for _, resistances in pairs]))
    assert len(capacity) == 6 * 2 * CELLS
    assert capacity.max() < CAPACITY_TOLERANCE
    assert resistance.max() < RESISTANCE_TOLERANCE


def ideal(ohms: float = 0.002, celsius: float = 25.0, capacity: float = 40.0) -> tuple[pa.Table, Model]:
    """Rest, a pulsed discharge of 20 Ah, rest; without noise or slow effects."""
    model = Model(50.0, 2.0, 0.3, (3.0, 4.0))
    pulses = np.tile(np.repeat([-20.0, -60.0], 30), 30)
    current = np.concatenate([np.zeros(400), pulses, np.zeros(400)])
    seconds = np.arange(len(current)) * 1.0
    flowed = np.concatenate(([0.0], np.cumsum(current[:-1]))) / 3600
    real = ohms * resistance_factor(model, np.array([celsius]))
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
    (health,) = estimate(*ideal(ohms=0.002, celsius=celsius, capacity=40.0))
    assert health.cell == 1
    assert health.capacity_ah == pytest.approx(40.0, rel=1e-4)
    assert health.resistance_mohm == pytest.approx(2.0, rel=1e-4)


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
    (health,), (whole,) = (estimate(samples, MODELS[unit.model]) for samples in (holes, day))
    assert health.capacity_ah == pytest.approx(whole.capacity_ah, rel=1e-3)
    assert health.resistance_mohm == pytest.approx(whole.resistance_mohm, rel=1e-2)


def test_an_offset_of_the_current_sensor_is_found_at_rest():
    day, model = ideal()
    shifted = day.set_column(2, "current", pc.add(day["current"], 0.3))
    (health,) = estimate(shifted, model)
    assert health.capacity_ah == pytest.approx(40.0, rel=1e-4)


def test_a_gap_between_the_rests_leaves_the_capacity_unknown():
    day, model = ideal()
    gap = pa.concat_tables([day.slice(0, 1000), day.slice(1100)])
    (health,) = estimate(gap, model)
    assert np.isnan(health.capacity_ah)
    assert health.resistance_mohm == pytest.approx(2.0, rel=1e-3)


def test_a_day_at_rest_gives_no_estimates():
    day, model = ideal()
    (health,) = estimate(day.slice(0, 400), model)
    assert np.isnan(health.capacity_ah)
    assert np.isnan(health.resistance_mohm)


def test_too_few_steps_give_no_resistance():
    day, model = ideal()
    (few,), (enough,) = (estimate(day.slice(0, 400 + 30 * steps), model) for steps in (10, 11))
    assert np.isnan(few.resistance_mohm)
    assert enough.resistance_mohm == pytest.approx(2.0, rel=1e-3)


def test_an_empty_table_has_no_cells():
    day, model = ideal()
    assert estimate(day.slice(0, 0), model) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_models_voltage_gives_its_state_of_charge(name):
    soc = np.linspace(0, 1, 101)
    assert np.allclose(state_of_charge(MODELS[name], voltage_at_rest(MODELS[name], soc)), soc)


def test_a_days_telemetry_does_not_depend_on_what_else_is_generated():
    alone = telemetry(battery(5, 3), DAY)
    telemetry(battery(5, 2), DAY)
    assert telemetry(battery(5, 3), DAY).equals(alone)
    assert not telemetry(battery(6, 3), DAY).equals(alone)
    noise = telemetry(replace(battery(5, 3), seed=6), DAY)["temperature"]
    assert not noise.equals(alone["temperature"])
    assert not telemetry(battery(5, 3), DAY + dt.timedelta(days=1)).equals(alone)


def test_cells_only_age():
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
