"""What one discharge shows by itself: its capacity, its resistance, its noise and its curve."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipelines.battery_health.models import Floats

CUTOFF = 2.7
"""Voltage at which a discharge is full, V; the data sheet's limit of the 18650 cells of the source."""
STEP = 0.005
"""Distance between two voltages of a curve, V."""
POINTS = 461
"""Voltages of a curve: up to 2.3 V above the cut-off."""
APART = 10
"""The temperature is kept at every tenth voltage of a curve."""
PULSE = 10.0
"""Seconds after the begin of the load at which the resistance is read."""
LATER = 60.0
"""Seconds after the begin of the load at which it is read again, with what has relaxed by then."""
LONGEST_STEP = 60.0
"""Longest time, in seconds, between the last sample at rest and the first under load."""
LONGEST_REST = 600.0
"""Seconds of the rest before the load that count for the charge: as the source counts, but no long rests."""
IN_REST = 0.05
"""A cell is at rest below this share of a discharge's largest current."""
FEWEST = 8
"""Fewest samples of a curve."""
WIDEST = 0.1
"""Largest share of a curve's charge between two samples."""


class Curve(NamedTuple):
    """The curve of a full discharge over voltages that are `STEP` apart, from the cut-off upwards.

    Attributes:
        charge: Ah since the begin of the load, when the voltage first fell to each voltage.
        celsius: the temperature then, °C, at every `APART`th voltage.
        top: the first voltage under load, V.
    """

    charge: Floats
    celsius: Floats
    top: float


class Measured(NamedTuple):
    """What one discharge shows.

    Attributes:
        capacity_ah: the charge until the voltage first fell to the cut-off, Ah; NaN if it never did.
        unsampled: the largest share of this charge that flowed between two samples.
        charge_ah: all charge that was drawn, Ah.
        lowest: the lowest voltage, V.
        resistance_mohm: voltage drop per current `PULSE` seconds after the load's begin, mOhm; NaN without a
            rest before it.
        later_mohm: the same after `LATER` seconds.
        celsius: the temperature before the load, °C.
        current: mean current under load, A; negative.
        duty: the share of the time under load, from its begin to its end; less than 1 if it is pulsed.
        interval: median time between samples, s.
        voltage_noise: standard deviation of a voltage sample under load, V.
        current_noise: standard deviation of a current sample under load, A.
        curve: the curve; None without a capacity, with fewer than `FEWEST` samples until the cut-off, or with
            more than `WIDEST` between two of them.
    """

    capacity_ah: float
    unsampled: float
    charge_ah: float
    lowest: float
    resistance_mohm: float
    later_mohm: float
    celsius: float
    current: float
    duty: float
    interval: float
    voltage_noise: float
    current_noise: float
    curve: Curve | None

    @property
    def full(self) -> bool:
        """Whether it has a capacity."""
        return not np.isnan(self.capacity_ah)


def measure(samples: Floats, cutoff: float = CUTOFF) -> Measured:
    """Measure a discharge.

    Args:
        samples: a row for each of `SAMPLE_COLUMNS`, a column for each sample.
        cutoff: the voltage at which the discharge is full, V.
    """
    seconds, current, voltage, celsius = samples
    loaded = np.flatnonzero(under_load(current))
    begin, last = int(loaded[0]), int(loaded[-1])
    charge = drawn(seconds, current)
    # In a long rest, what a sensor reads without a current would add up.
    charge -= charge[int(np.searchsorted(seconds, seconds[begin] - LONGEST_REST))]
    below = np.flatnonzero(voltage[begin:] <= cutoff)
    end = begin + int(below[0]) if len(below) else None
    unsampled = math.nan if end is None else _unsampled(charge[max(begin - 1, 0) : end + 1])
    usable = end is not None and end - begin >= FEWEST and unsampled <= WIDEST
    resistance, later = resistances(samples, begin)
    mean, duty = load(seconds[begin : last + 1], current[begin : last + 1])
    return Measured(
        capacity_ah=math.nan if end is None else float(charge[end]),
        unsampled=unsampled,
        charge_ah=float(charge[last]),
        lowest=float(voltage[begin : last + 1].min()),
        resistance_mohm=resistance,
        later_mohm=later,
        celsius=float(celsius[max(begin - 1, 0)]),
        current=mean,
        duty=duty,
        interval=float(np.median(np.diff(seconds))),
        voltage_noise=_noise(voltage[begin : last + 1]),
        current_noise=_noise(current[begin : last + 1]),
        curve=_curve(charge, voltage, celsius, begin, end, cutoff) if end is not None and usable else None,
    )


def _unsampled(charge: Floats) -> float:
    """Return the largest share of a charge that flowed in one step."""
    whole = float(charge[-1] - charge[0])
    return float(np.diff(charge).max(initial=0.0)) / whole if whole > 0.0 else 1.0


def load(seconds: Floats, current: Floats) -> tuple[float, float]:
    """Return the mean current while there is a load, A, and the share of the time in which there is."""
    loaded = under_load(current)
    mean = float(current[loaded].mean())
    if loaded.all():
        return mean, 1.0
    between = 0.5 * (loaded[1:] + loaded[:-1].astype(np.float64))
    return mean, max(float(between @ np.diff(seconds)) / float(seconds[-1] - seconds[0]), 1e-3)


def under_load(current: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return whether each sample is one under load."""
    return np.asarray(current < -IN_REST * float(np.abs(current).max()))


def drawn(seconds: Floats, current: Floats) -> Floats:
    """Return the charge drawn before each sample, Ah: the trapezoids of the current, as the source counts."""
    steps = -0.5 * (current[1:] + current[:-1]) * np.diff(seconds)
    return np.concatenate(([0.0], np.cumsum(steps))) / 3600.0


def resistances(samples: Floats, begin: int) -> tuple[float, float]:
    """Return the voltage drop per current `PULSE` and `LATER` seconds after the load's begin, mOhm.

    The moment of the begin is not recorded; it is taken as the middle between the last sample at rest and the
    first under load. The drop follows the square root of time: between samples, before the first if that is
    later, and after the last one of a load that is interrupted within the second half of the time.

    Returns:
        Both; NaN without a sample at rest at most `LONGEST_STEP` before the load, if the load is interrupted
        earlier, or if the voltage does not fall.
    """
    seconds, current, voltage, _ = samples
    if begin == 0 or seconds[begin] - seconds[begin - 1] > LONGEST_STEP:
        return math.nan, math.nan
    loaded = under_load(current)[begin:]
    count = int(loaded.argmin()) or len(loaded)  # until the load is first interrupted
    since = np.sqrt(seconds[begin : begin + count] - 0.5 * (seconds[begin - 1] + seconds[begin]))
    change = current[begin - 1] - current[begin : begin + count]
    drop = 1000.0 * (voltage[begin - 1] - voltage[begin : begin + count]) / change
    wanted = np.sqrt([PULSE, LATER])
    values = np.interp(wanted, since, drop, left=np.nan, right=np.nan)
    if count > 1:
        slopes = np.diff(drop)[[0, -1]] / np.diff(since)[[0, -1]]
        values = np.where(wanted < since[0], drop[0] + (wanted - since[0]) * slopes[0], values)
        soon = (wanted > since[-1]) & (since[-1] > wanted * math.sqrt(0.5))
        values = np.where(soon, drop[-1] + (wanted - since[-1]) * slopes[1], values)
    values[~(values > 0.0)] = np.nan
    return float(values[0]), float(values[1])


def _noise(values: Floats) -> float:
    """Estimate the noise of a smooth course from its third differences, robustly."""
    if len(values) < 8:
        return float("nan")
    return float(1.4826 * np.median(np.abs(np.diff(values, 3))) / np.sqrt(20.0))


def _curve(charge: Floats, voltage: Floats, celsius: Floats, begin: int, end: int, cutoff: float) -> Curve:
    grid = cutoff + STEP * np.arange(POINTS)
    falling = -np.minimum.accumulate(voltage[begin : end + 1])
    since = charge[begin : end + 1] - charge[begin]
    return Curve(
        np.interp(-grid, falling, since).astype(np.float32),
        np.interp(-grid[::APART], falling, celsius[begin : end + 1]).astype(np.float32),
        float(voltage[begin]),
    )
