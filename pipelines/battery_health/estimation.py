"""Capacity and resistance of each cell from its telemetry: pure functions on Arrow and numpy."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.battery_health.models import Floats, Model, state_of_charge, warmth

COLUMNS = ("time", "cell", "current", "voltage", "temperature")
"""What telemetry has: time (timestamp), cell (whole number), A (charging is positive), V, °C."""

REST_CURRENT = 0.02
"""At rest is a cell whose current, as a share of the capacity an hour, is below this..."""
REST_SECONDS = 1800.0
"""... for at least so long."""
SETTLED_SECONDS = 900.0
"""The end of a rest, over which voltage and current are averaged."""
LEAST_CHANGE = 0.15
"""Two rests whose states of charge are closer than this say nothing of the capacity."""
LONGEST_GAP = 120.0
"""Charge is not counted over a gap between samples longer than this, in seconds."""
STEP_CURRENT = 0.1
"""A change of current is a step if it is larger than this share of the capacity an hour."""
STEP_SECONDS = 30.0
"""Two samples of a step are at most so far apart."""
LEAST_STEPS = 10
"""Fewer steps than these give no resistance."""


class Health(NamedTuple):
    """A cell on a day.

    Attributes:
        cell: its number.
        capacity_ah: Ah; NaN if there were no two rests far enough apart.
        resistance_mohm: ohmic, at 25 °C, mOhm; NaN if there were too few steps.
    """

    cell: int
    capacity_ah: float
    resistance_mohm: float


def estimate(table: pa.Table, model: Model) -> list[Health]:
    """The health of each cell in a table of telemetry, ordered by cell.

    Args:
        table: the columns of `COLUMNS`, in any order of rows; samples with a missing value are left out.
        model: of all its cells.
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
    found = []
    for start, end in pairwise(edges):
        if start == end:
            continue
        current, voltage, celsius = (column[start:end] for column in values)
        time = seconds[start:end]
        found.append(
            Health(
                int(cells[start]),
                capacity(time, current, voltage, model),
                resistance(time, current, voltage, celsius, model),
            )
        )
    return found


def capacity(seconds: Floats, current: Floats, voltage: Floats, model: Model) -> float:
    """The capacity, Ah, by counting charge between rests; NaN if the rests do not allow it.

    At the end of a rest the voltage tells the state of charge, and the current the sensor's offset. Between
    two rests, charge over change of state of charge is the capacity; all pairs of neighbouring rests of the
    day give it together, by least squares.
    """
    rests = _rests(seconds, current, REST_CURRENT * model.capacity)
    if len(rests) < 2:
        return float("nan")
    ends = [(int(np.searchsorted(seconds, seconds[b - 1] - SETTLED_SECONDS)), b) for _, b in rests]
    soc = state_of_charge(model, np.array([voltage[a:b].mean() for a, b in ends]))
    offset = np.concatenate([current[a:b] for a, b in ends]).mean()
    steps = np.diff(seconds)
    flowed = np.concatenate(([0.0], np.cumsum((current[1:] + current[:-1]) * 0.5 * steps)))
    top = bottom = 0.0
    for number in range(len(ends) - 1):
        # From the middle of one rest's end to the middle of the next one's: no current flows at either.
        here, there = (sum(ends[i]) // 2 for i in (number, number + 1))
        change = soc[number + 1] - soc[number]
        if abs(change) < LEAST_CHANGE or steps[here:there].max() > LONGEST_GAP:
            continue
        charge = (flowed[there] - flowed[here] - offset * (seconds[there] - seconds[here])) / 3600.0
        top += charge * change
        bottom += change * change
    return float(top / bottom) if bottom else float("nan")


def resistance(seconds: Floats, current: Floats, voltage: Floats, celsius: Floats, model: Model) -> float:
    """The ohmic resistance at 25 °C, mOhm, by regression of voltage on current over steps of the current.

    Each change of current is scaled by what the resistance at its temperature is to that at 25 °C, so the
    slope is the resistance at 25 °C. A second regressor, the charge that flowed since the sample before,
    takes up the drift of the voltage at rest.
    """
    change, steps = np.diff(current), np.diff(seconds)
    at = np.flatnonzero((np.abs(change) > STEP_CURRENT * model.capacity) & (steps <= STEP_SECONDS))
    if len(at) < LEAST_STEPS:
        return float("nan")
    jump = change[at] * warmth(model, 0.5 * (celsius[at] + celsius[at + 1]))
    drift = current[at] * steps[at]
    volts = voltage[at + 1] - voltage[at]
    a, b, c = jump @ jump, jump @ drift, drift @ drift
    determinant = a * c - b * b
    if determinant <= 1e-9 * a * c:
        return float(1000.0 * (jump @ volts) / a)
    return float(1000.0 * (c * (jump @ volts) - b * (drift @ volts)) / determinant)


def _rests(seconds: Floats, current: Floats, limit: float) -> list[tuple[int, int]]:
    """The stretches at rest, long enough, from the first sample to the one after the last."""
    quiet = np.concatenate(([False], np.abs(current) < limit, [False]))
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(a, b) for a, b in pairs if seconds[b - 1] - seconds[a] >= REST_SECONDS]


def _seconds(times: pa.ChunkedArray) -> Floats:
    """Times as seconds since the first of them."""
    unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.type.unit]
    ticks = np.asarray(times.cast(pa.int64()))
    if not len(ticks):
        return np.empty(0)
    return np.asarray((ticks - ticks[0]) / unit, dtype=np.float64)
