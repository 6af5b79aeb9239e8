"""Capacity and resistance of each cell from its telemetry: pure functions on Arrow and numpy."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.battery_health.models import Floats, Model, resistance_factor, state_of_charge

COLUMNS = ("time", "cell", "current", "voltage", "temperature")
"""Columns of telemetry: timestamp, cell number (integer), A (positive when charging), V, °C."""

REST_CURRENT = 0.02
"""A cell is at rest while its current stays below this share of the capacity per hour..."""
REST_SECONDS = 1800.0
"""... for at least this many seconds."""
SETTLED_SECONDS = 900.0
"""Length of the end of a rest, in seconds, over which voltage and current are averaged."""
LEAST_CHANGE = 0.15
"""Smallest change in state of charge between two rests that yields a capacity."""
LONGEST_GAP = 120.0
"""Longest gap between samples, in seconds, over which charge is counted."""
STEP_CURRENT = 0.1
"""Smallest change in current that counts as a step, as a share of the capacity per hour."""
STEP_SECONDS = 30.0
"""Longest time between the two samples of a step, in seconds."""
LEAST_STEPS = 10
"""Fewest steps that yield a resistance."""


class Health(NamedTuple):
    """A cell's health on one day.

    Attributes:
        cell: the cell's number.
        capacity_ah: capacity, Ah; NaN if no two rests were far enough apart.
        resistance_mohm: ohmic resistance at 25 °C, mOhm; NaN if there were too few steps.
    """

    cell: int
    capacity_ah: float
    resistance_mohm: float


def estimate(table: pa.Table, model: Model) -> list[Health]:
    """Estimate the health of each cell in a table of telemetry, ordered by cell.

    Args:
        table: the columns of `COLUMNS`, rows in any order; samples with a missing value are ignored.
        model: the model of all the cells.
    """
    cells = np.asarray(table["cell"])
    seconds = _seconds(table["time"])
    values = [np.asarray(table[name], dtype=np.float64) for name in COLUMNS[2:]]
    good = ~np.isnan(values[0] + values[1] + values[2])
    if not good.all():
        cells, seconds, values = cells[good], seconds[good], [column[good] for column in values]
    ahead, later = cells[1:] > cells[:-1], (cells[1:] == cells[:-1]) & (seconds[1:] > seconds[:-1])
    if not (ahead | later).all():
        order = np.lexsort((seconds, cells))
        cells, seconds, values = cells[order], seconds[order], [column[order] for column in values]
    edges = [0, *(np.flatnonzero(np.diff(cells)) + 1).tolist(), len(cells)]
    estimates = []
    for start, end in pairwise(edges):
        if start == end:
            continue
        current, voltage, celsius = (column[start:end] for column in values)
        time = seconds[start:end]
        estimates.append(
            Health(
                int(cells[start]),
                capacity(time, current, voltage, model),
                resistance(time, current, voltage, celsius, model),
            )
        )
    return estimates


def capacity(seconds: Floats, current: Floats, voltage: Floats, model: Model) -> float:
    """Estimate the capacity, Ah, by counting charge between rests; NaN if the rests do not allow it.

    At the end of a rest, the voltage gives the state of charge and the current gives the sensor's offset.
    Between two rests, the capacity is the charge divided by the change in state of charge. All pairs of
    neighbouring rests are combined by least squares.
    """
    rests = _rests(seconds, current, REST_CURRENT * model.capacity)
    if len(rests) < 2:
        return float("nan")
    ends = [(int(np.searchsorted(seconds, seconds[b - 1] - SETTLED_SECONDS)), b) for _, b in rests]
    soc = state_of_charge(model, np.array([voltage[a:b].mean() for a, b in ends]))
    offset = np.concatenate([current[a:b] for a, b in ends]).mean()
    steps = np.diff(seconds)
    flowed = np.concatenate(([0.0], np.cumsum((current[1:] + current[:-1]) * 0.5 * steps)))
    numerator = denominator = 0.0
    for number in range(len(ends) - 1):
        # Integrate from the middle of one settled stretch to the middle of the next: no current flows there.
        start, end = (sum(ends[i]) // 2 for i in (number, number + 1))
        change = soc[number + 1] - soc[number]
        if abs(change) < LEAST_CHANGE or steps[start:end].max() > LONGEST_GAP:
            continue
        charge = (flowed[end] - flowed[start] - offset * (seconds[end] - seconds[start])) / 3600.0
        numerator += charge * change
        denominator += change * change
    return float(numerator / denominator) if denominator else float("nan")


def resistance(seconds: Floats, current: Floats, voltage: Floats, celsius: Floats, model: Model) -> float:
    """Estimate the ohmic resistance at 25 °C, mOhm, by regressing voltage on current over current steps.

    Each change in current is scaled by the ratio of the resistance at its temperature to that at 25 °C, so
    the slope is the resistance at 25 °C. A second regressor, the charge since the previous sample, absorbs
    the drift of the open-circuit voltage.
    """
    change, steps = np.diff(current), np.diff(seconds)
    at = np.flatnonzero((np.abs(change) > STEP_CURRENT * model.capacity) & (steps <= STEP_SECONDS))
    if len(at) < LEAST_STEPS:
        return float("nan")
    jump = change[at] * resistance_factor(model, 0.5 * (celsius[at] + celsius[at + 1]))
    drift = current[at] * steps[at]
    volts = voltage[at + 1] - voltage[at]
    a, b, c = jump @ jump, jump @ drift, drift @ drift
    determinant = a * c - b * b
    if determinant <= 1e-9 * a * c:
        return float(1000.0 * (jump @ volts) / a)
    return float(1000.0 * (c * (jump @ volts) - b * (drift @ volts)) / determinant)


def _rests(seconds: Floats, current: Floats, limit: float) -> list[tuple[int, int]]:
    """Find the long enough stretches of rest, each as its first sample and the one after its last."""
    quiet = np.concatenate(([False], np.abs(current) < limit, [False]))
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(a, b) for a, b in pairs if seconds[b - 1] - seconds[a] >= REST_SECONDS]


def _seconds(times: pa.ChunkedArray) -> Floats:
    """Convert times to seconds since the first of them."""
    unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.type.unit]
    ticks = np.asarray(times.cast(pa.int64()))
    if not len(ticks):
        return np.empty(0)
    return np.asarray((ticks - ticks[0]) / unit, dtype=np.float64)
