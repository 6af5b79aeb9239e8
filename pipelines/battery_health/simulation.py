"""A simulated fleet with known truth: batteries, cell ageing, and the telemetry of one battery on one day.

Everything is derived from the seed, the battery's number and the day, so any day of any battery can be
generated on its own, anywhere, with the same result.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipelines.battery_health.models import (
    CURRENT_NOISE,
    CURRENT_OFFSET,
    MODELS,
    POLARISATION,
    RELAXATION,
    TEMPERATURE_NOISE,
    VOLTAGE_NOISE,
    Floats,
    Model,
    resistance_factor,
    voltage_at_rest,
)

CELLS = 8
SECONDS = 10
"""Seconds between two samples."""
SAMPLES = 86_400 // SECONDS

REGIONS = {"north": 8.0, "middle": 15.0, "south": 24.0}
"""Mean temperature of each region, °C."""

CURRENT_GAIN = 0.002
"""Standard deviation, over batteries, of the current sensor's gain."""
VOLTAGE_OFFSET = 0.0005
"""Standard deviation, over cells, of the voltage sensor's offset, V."""

_HOUR = 3600 // SECONDS


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery with its cells in series.

    Attributes:
        seed: the seed of its fleet.
        number: its number in the fleet, from 0.
        model: the name of its cells' model.
        region: where it is.
        first_used: the day of its first use.
        cycles: full cycles per day.
        spread: each cell's capacity when new, as a share of the model's.
        fragility: each cell's rate of ageing, relative to a typical cell.
    """

    seed: int
    number: int
    model: str
    region: str
    first_used: dt.date
    cycles: float
    spread: tuple[float, ...]
    fragility: tuple[float, ...]

    @property
    def name(self) -> str:
        """The battery's name in tables and folders."""
        return f"B{self.number:06d}"


@dataclass(frozen=True, slots=True)
class Truth:
    """True state of a battery's cells on a day: capacity, Ah; resistance at 25 °C, mOhm."""

    capacity_ah: Floats
    resistance_mohm: Floats


def battery(seed: int, number: int) -> Battery:
    """Generate a battery of a fleet."""
    rng = np.random.default_rng([seed, number])
    age = dt.timedelta(days=int(rng.integers(30, 6 * 365)))
    return Battery(
        seed=seed,
        number=number,
        model=str(rng.choice(list(MODELS))),
        region=str(rng.choice(list(REGIONS))),
        first_used=dt.date(2026, 1, 1) - age,
        cycles=float(rng.uniform(0.4, 1.0)),
        spread=tuple((1 + 0.01 * rng.standard_normal(CELLS)).tolist()),
        fragility=tuple(rng.lognormal(0.0, 0.15, CELLS).tolist()),
    )


def truth(unit: Battery, day: dt.date) -> Truth:
    """Compute the true state of a battery's cells on a day.

    Capacity falls with the square root of age, faster in warm regions, and with each cycle. Resistance
    rises by twice the lost share of the capacity.
    """
    model = MODELS[unit.model]
    days = max((day - unit.first_used).days, 0)
    heat = 2.0 ** ((REGIONS[unit.region] - 15.0) / 12.0)
    lost = (0.045 * heat * math.sqrt(days / 365.0) + 3.0e-5 * unit.cycles * days) * np.array(unit.fragility)
    lost = np.minimum(lost, 0.5)
    spread = np.array(unit.spread)
    return Truth(model.capacity * spread * (1 - lost), model.resistance * (1 + 2.0 * lost) / spread)


def telemetry(unit: Battery, day: dt.date) -> pa.Table:
    """Generate a battery's telemetry for a day: `estimation.COLUMNS`, ordered by cell and time."""
    rng = np.random.default_rng([unit.seed, unit.number, day.toordinal()])
    model, real = MODELS[unit.model], truth(unit, day)
    current = _current(rng, unit, day, float(real.capacity_ah.mean()))
    flowed = np.concatenate(([0.0], np.cumsum(current[:-1]))) * (SECONDS / 3600.0)  # Ah
    soc = _start(unit, day) + flowed / real.capacity_ah[:, None]
    celsius = _temperature(rng, unit, day, current, model)
    ohms = 1e-3 * real.resistance_mohm[:, None] * resistance_factor(model, celsius)
    volts = voltage_at_rest(model, soc) + ohms * (current + POLARISATION * _settling(current))
    return _measured(rng, unit, day, current, volts, celsius)


def _start(unit: Battery, day: dt.date) -> float:
    """Return the state of charge at midnight, to which the cells are balanced."""
    return float(np.random.default_rng([unit.seed, unit.number, day.toordinal(), 1]).uniform(0.78, 0.88))


def _current(rng: np.random.Generator, unit: Battery, day: dt.date, capacity: float) -> Floats:
    """Generate the current, A, held from sample to sample: rest, two trips, charging in the evening."""
    current = np.zeros(SAMPLES)
    begin = _start(unit, day)
    drop = float(rng.uniform(0.45, 0.6))
    for hour, share in ((6, 0.5), (16, 0.5)):
        start, end = hour * _HOUR, (hour + 2) * _HOUR
        lengths = rng.integers(6, 16, size=2 * _HOUR // 6)
        pulses = np.repeat(rng.normal(0.0, 0.5, len(lengths)), lengths)[: end - start]
        current[start:end] = capacity * (pulses - pulses.mean() - drop * share / 2.0)
    back = _start(unit, day + dt.timedelta(days=1)) - (begin - drop)
    samples = round(back / 0.25 * _HOUR)
    current[20 * _HOUR : 20 * _HOUR + samples] = back * capacity * _HOUR / samples
    return current


def _settling(current: Floats) -> Floats:
    """Filter the current for the slow part of the resistance: first order, time constant `RELAXATION`."""
    follow = np.zeros(len(current))
    edges = [0, *(np.flatnonzero(np.diff(current)) + 1).tolist(), len(current)]
    before = 0.0
    for start, end in pairwise(edges):
        decay = np.exp(-SECONDS / RELAXATION * np.arange(end - start + 1))
        course = current[start] + (before - current[start]) * decay
        follow[start:end], before = course[:-1], float(course[-1])
    return follow


def _temperature(
    rng: np.random.Generator, unit: Battery, day: dt.date, current: Floats, model: Model
) -> Floats:
    """Generate each cell's temperature, °C: the season, the hour, and the heat of its own current."""
    season = -8.0 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 20) / 365.0)
    hours = np.arange(SAMPLES) / _HOUR
    air = REGIONS[unit.region] + season + rng.normal(0.0, 2.0) - 4.0 * np.cos(2 * math.pi * (hours - 3) / 24)
    share = (current / model.capacity) ** 2
    width = _HOUR // 2
    warm = np.convolve(share, np.full(width, 60.0 / width))[:SAMPLES]
    return np.asarray(air + warm + rng.normal(0.0, 0.5, CELLS)[:, None])


def _measured(
    rng: np.random.Generator, unit: Battery, day: dt.date, current: Floats, volts: Floats, celsius: Floats
) -> pa.Table:
    """Add sensor errors: one current sensor for all cells, voltage and temperature sensors per cell."""
    sensors = np.random.default_rng([unit.seed, unit.number, 0, 2])
    gain = 1 + CURRENT_GAIN * sensors.standard_normal()
    offsets = VOLTAGE_OFFSET * sensors.standard_normal(CELLS)[:, None]
    shape = (CELLS, SAMPLES)
    capacity = MODELS[unit.model].capacity
    amperes = current * gain + CURRENT_OFFSET * capacity * rng.standard_normal()
    amperes = amperes + CURRENT_NOISE * capacity * rng.standard_normal(SAMPLES)
    midnight = np.datetime64(day.isoformat(), "ms")
    times = midnight + np.arange(SAMPLES) * np.timedelta64(SECONDS * 1000, "ms")
    # The sensors resolve 10 mA, 0.1 mV and 0.1 °C.
    measured = {
        "current": np.broadcast_to(np.round(amperes, 2), shape),
        "voltage": np.round(volts + offsets + VOLTAGE_NOISE * rng.standard_normal(shape), 4),
        "temperature": np.round(celsius + TEMPERATURE_NOISE * rng.standard_normal(shape), 1),
    }
    return pa.table(
        {
            "time": pa.array(np.tile(times, CELLS), pa.timestamp("ms", tz="UTC")),
            "cell": pa.array(np.repeat(np.arange(1, CELLS + 1, dtype=np.int16), SAMPLES)),
            **{name: pa.array(values.astype(np.float32).ravel()) for name, values in measured.items()},
        }
    )
