"""The simulator under the conditions of real cells; its discharges are measured and estimated likewise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lightwork import task
from pipelines.battery_health.lab.discharge import PULSE, Measured, measure
from pipelines.battery_health.lab.reference import known, reference
from pipelines.battery_health.lab.windows import WindowError, window_errors
from pipelines.battery_health.models import (
    CURRENT_NOISE,
    MODELS,
    POLARISATION,
    RELAXATION,
    TEMPERATURE_NOISE,
    VOLTAGE_NOISE,
    Floats,
    resistance_factor,
    voltage_at_rest,
)

CELLS = 4
NUMBERS = tuple(range(1, 162, 8))
"""Numbers of the simulated discharges: as far apart as those that the reference keeps."""
_MODEL = MODELS["nmc-50"]
_FADE = 0.25
"""Capacity lost at the last number by a typical cell."""
_RESTS = 2
"""Samples at rest before the load."""
_COLLAPSE = 30.0
"""Fall of the open-circuit voltage below empty, V for each share of the capacity."""


_MOST_SAMPLES = 2000
"""Most samples, about, of a simulated discharge."""


class Conditions(NamedTuple):
    """Conditions of discharges, rounded, so that one more real discharge hardly ever changes them.

    Attributes:
        capacity_ah: capacity when new, Ah.
        resistance_mohm: resistance when new, mOhm.
        current: under load, A; negative.
        celsius: temperature before the load, °C.
        interval: time between samples, s.
    """

    capacity_ah: float
    resistance_mohm: float
    current: float
    celsius: float
    interval: float


class Simulated(NamedTuple):
    """What the simulated discharges show.

    Attributes:
        measured: by cell and number.
        errors: the windows of each discharge, by cell and number.
    """

    measured: dict[str, dict[int, Measured]]
    errors: dict[str, dict[int, list[WindowError]]]


def conditions(measured: Mapping[str, Mapping[int, Measured]]) -> Conditions | None:
    """Return the typical conditions of cells; None if no discharge has a curve."""
    by_cell = [[one for one in cell.values() if one.curve is not None] for cell in measured.values()]
    full = [one for cell in by_cell for one in cell]
    if not full:
        return None
    newest = [max(one.capacity_ah for one in cell) for cell in by_cell if cell]
    ohms = np.array([one.resistance_mohm for one in full])
    ohms = ohms[~np.isnan(ohms)]
    capacity = _rounded(float(np.median(newest)))
    current = _rounded(float(np.median([one.current for one in full])))
    interval = _rounded(float(np.median([one.interval for one in full])))
    return Conditions(
        capacity,
        _rounded(
            float(np.median(ohms)) if len(ohms) else _MODEL.resistance * _MODEL.capacity / capacity, 0.1
        ),
        current,
        float(np.round(np.median([one.celsius for one in full]))),
        max(interval, _rounded(3600.0 * capacity / -current / _MOST_SAMPLES)),
    )


def _rounded(value: float, step: float = 0.05) -> float:
    """Round to steps of a share of the value."""
    size = math.copysign(math.exp(step * round(math.log(abs(value)) / step)), value)
    return float(f"{size:.2g}")


@task
def simulated_errors(like: Conditions, cutoff: float) -> Simulated:
    """Simulate ageing cells under these conditions, and estimate their capacity from windows.

    Args:
        like: the conditions.
        cutoff: the voltage at which a discharge is full, V.
    """
    samples = {
        f"simulated-{cell}": {number: discharge(like, cutoff, cell, number) for number in NUMBERS}
        for cell in range(1, CELLS + 1)
    }
    measured = {
        cell: {number: measure(one, cutoff) for number, one in discharges.items()}
        for cell, discharges in samples.items()
    }
    curves = reference(measured, cutoff)
    errors = {
        cell: {
            number: window_errors(cell, number, one, known(number, measured[cell]), curves)
            for number, one in discharges.items()
        }
        for cell, discharges in samples.items()
    }
    return Simulated(measured, errors)


def discharge(like: Conditions, cutoff: float, cell: int, number: int) -> Floats:
    """Simulate a discharge at constant current: a row for each of `SAMPLE_COLUMNS`."""
    of_cell = np.random.default_rng([cell, 0])
    size, fragility = 1.0 + 0.02 * of_cell.standard_normal(), float(of_cell.lognormal(0.0, 0.15))
    lost = min(_FADE * fragility * number / NUMBERS[-1], 0.6)
    capacity = like.capacity_ah * size * (1.0 - lost)
    settled = POLARISATION * (1.0 - np.exp(-PULSE / RELAXATION))
    warm = resistance_factor(_MODEL, np.array(like.celsius))
    ohms = 1e-3 * like.resistance_mohm / (1.0 + settled) / warm * (1.0 + 2.0 * lost)

    rng = np.random.default_rng([cell, number])
    seconds = like.interval * np.arange(
        int(1.3 * 3600.0 * capacity / -like.current / like.interval) + _RESTS + 5
    )
    since = np.maximum(seconds - (_RESTS - 0.5) * like.interval, 0.0)
    current = np.where(since > 0.0, like.current, 0.0)
    soc = 1.0 + like.current * since / 3600.0 / capacity
    celsius = like.celsius + 14.0 * (1.0 - soc)
    ohms_now = (
        ohms * resistance_factor(_MODEL, celsius) * (1.0 + POLARISATION * (1.0 - np.exp(-since / RELAXATION)))
    )
    volts = voltage_at_rest(_MODEL, soc) - _COLLAPSE * np.maximum(-soc, 0.0) + ohms_now * current
    count = min(max(int((volts > cutoff).argmin()), _RESTS + 1) + 2, len(seconds))
    noise = rng.standard_normal((3, len(seconds)))
    measured = (
        current + CURRENT_NOISE * like.capacity_ah * noise[0],
        volts + VOLTAGE_NOISE * noise[1],
        celsius + TEMPERATURE_NOISE * noise[2],
    )
    return np.vstack([seconds, *measured])[:, :count]
