"""The capacity of a cell from a part of a discharge, with an interval.

Between two voltages, a cell gives less charge the more it has aged. How much less capacity goes with how
much less charge is learned from the other cells, anew for the very voltages of each window. What is compared
has no size: ratios of charges to those of an earlier full discharge of the same cell (`known`) or, where
there is none, the other cells' curves themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipelines.battery_health.lab.discharge import APART, POINTS, STEP, drawn, load, under_load
from pipelines.battery_health.lab.reference import CellCurves, Known, Reference
from pipelines.battery_health.lab.regression import Block, fits, quantile
from pipelines.battery_health.models import Floats

PARTS = 4
"""Parts of equal charge into which a window is split: their ratios show the shape, their sum the size."""
LEAST_CHARGE = 0.005
"""Least charge of a part between two voltages, Ah; keeps logarithms finite where a curve does not reach."""
LEAST_FALL = 0.03
"""Least fall of the voltage over a window, V."""
FEWEST = 8
"""Fewest samples of a window under load, and fewest rows of a regression."""
FEWEST_OF_CELL = 4
"""Fewest rows of one cell in a regression."""
COVERED = 0.9
"""Share of the intervals that are to cover the truth."""
CELLS_COVERED = 0.75
"""Share of cells whose own interval that of a new cell exceeds: the widest of up to three. Those of the other
quarter still hold the truth mostly, and those of most cells more often than asked for."""
PER_CELSIUS, PER_LOG_CURRENT = 0.1, 1.0 / math.log(2.0)
"""Distance of a curve from a window: 1 for 10 °C, for twice the current, for half the time under load."""
NEAR = 0.5
"""A curve within this distance counts as measured under like conditions."""
FARTHER = 0.25
"""If none is near, the curves up to this much farther than the nearest are used."""
SHIFT = 0.2
"""Without a curve of the cell itself: shift of the capacity, as a share, for each unit of distance beyond
`NEAR`. An assumption, on the safe side: a fifth for 10 °C, or for twice the current."""
WIDEST = math.log(2.0)
"""Half the width of the widest interval: from half to twice the estimate; a wider one says nothing."""
_STUDENT = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)
"""Student's t at 95 %, by degrees of freedom from 1."""
_NORMAL = 1.645


class Estimate(NamedTuple):
    """A capacity with its 90 % interval, Ah.

    Attributes:
        capacity_ah: the estimate; NaN if there is none.
        low: lower end.
        high: upper end.
        reason: why there is no estimate; empty if there is one.
        distance: how far the conditions of the compared curves are from the window's.
    """

    capacity_ah: float
    low: float
    high: float
    reason: str
    distance: float


class _Window(NamedTuple):
    """A window under load: charge drawn in it, Ah; falling voltage, V; and its conditions."""

    charge: Floats
    voltage: Floats
    celsius: float
    current: float
    duty: float


def estimate(samples: Floats, cell: str, number: int, known: Known | None, reference: Reference) -> Estimate:
    """Estimate the capacity from a window of a discharge.

    Args:
        samples: the window, a row for each of `SAMPLE_COLUMNS`; rests in it are left out.
        cell: the cell's name; its curves in the reference are not used.
        number: the discharge's number; tells how much older it is than the known one.
        known: an earlier full discharge of the cell at a like current and temperature.
        reference: the curves of all cells.
    """
    window = _window(samples)
    if isinstance(window, str):
        return _none(window)
    others, distance = _near(window, cell, reference)
    if not others:
        return _none("no other cell to compare with")
    voltages, charges = _voltages(window, others, known, reference.cutoff)
    if voltages is None:
        return _none("the curves of the other cells do not reach its voltages")
    row = _features(charges)
    base = 0.0
    if known is not None:
        row = row - _features(_charges(known.curve.charge, voltages, reference.cutoff))
        base = math.log(known.capacity_ah)
    gap = None if known is None else number - known.number
    blocks = [_rows(one, voltages, gap, reference.cutoff) for one in others]
    blocks = [(rows, values) for rows, values in blocks if len(rows) >= FEWEST_OF_CELL]
    if sum(len(rows) for rows, _ in blocks) < FEWEST:
        return _none("too few discharges of other cells to compare with")
    if known is None and len(blocks) == 1:
        return _none("only one other cell under like conditions: how far cells differ is unknown")
    return _solve(blocks, row, base, known is None, distance)


def _none(reason: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, reason, math.nan)


def _window(samples: Floats) -> _Window | str:
    """Return what is under load, or why it is too little."""
    loaded = np.flatnonzero(under_load(samples[1]))
    if len(loaded) < FEWEST:
        return "too few samples under load"
    part = samples[:, loaded[0] : loaded[-1] + 1]
    voltage = np.minimum.accumulate(part[2])
    if voltage[0] - voltage[-1] < LEAST_FALL:
        return f"its voltage falls by less than {LEAST_FALL:g} V"
    middle = int(np.searchsorted(-voltage, -0.5 * (voltage[0] + voltage[-1])))
    current, duty = load(part[0], part[1])
    return _Window(drawn(part[0], part[1]), voltage, float(part[3][middle]), current, duty)


def _near(window: _Window, cell: str, reference: Reference) -> tuple[list[CellCurves], float]:
    """Choose the curves of other cells under conditions most like the window's; also their mean distance."""
    middle = 0.5 * (window.voltage[0] + window.voltage[-1])
    others = [one for one in reference.cells if one.cell != cell]
    if not others:
        return [], math.nan
    at = min(max(round((middle - reference.cutoff) / STEP / APART), 0), others[0].celsius.shape[1] - 1)
    distances = [
        PER_CELSIUS * np.abs(one.celsius[:, at] - window.celsius)
        + PER_LOG_CURRENT * np.abs(np.log(one.currents / window.current))
        + PER_LOG_CURRENT * np.abs(np.log(one.duties / window.duty))
        for one in others
    ]
    nearest = float(min(values.min() for values in distances))
    limit = max(NEAR, nearest + FARTHER)
    kept = [_kept(one, values <= limit) for one, values in zip(others, distances, strict=True)]
    mean = float(np.mean(np.concatenate([values[values <= limit] for values in distances])))
    return [one for one in kept if len(one.numbers) >= 2], mean


def _kept(curves: CellCurves, good: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> CellCurves:
    return curves if good.all() else CellCurves(curves.cell, *(values[good] for values in curves[1:]))


def _voltages(
    window: _Window, others: list[CellCurves], known: Known | None, cutoff: float
) -> tuple[Floats | None, Floats]:
    """Choose the voltages that split the window, within what all curves reach; also the window's charges."""
    tops = [float(one.tops.min()) for one in others] + ([known.curve.top] if known is not None else [])
    tops.append(cutoff + STEP * (POINTS - 2))
    high, low = min(float(window.voltage[0]), *tops), max(float(window.voltage[-1]), cutoff)
    if high - low < LEAST_FALL:
        return None, window.charge
    first, last = np.interp([-high, -low], -window.voltage, window.charge)
    marks = np.linspace(first, last, PARTS + 1)
    voltages = np.interp(marks, window.charge, window.voltage)
    return np.asarray(voltages), np.asarray(np.diff(marks))


def _charges(charge: Floats, voltages: Floats, cutoff: float) -> Floats:
    """Return the charge that curves give between neighbouring voltages."""
    at = np.clip((voltages - cutoff) / STEP, 0.0, charge.shape[-1] - 1.001)
    left = at.astype(np.int64)
    share = at - left
    return np.asarray(np.diff(charge[..., left] * (1.0 - share) + charge[..., left + 1] * share))


def _features(charges: Floats) -> Floats:
    """Return the logarithms of each part's share of the charge, and of the whole."""
    parts = np.maximum(charges, LEAST_CHARGE)
    whole = parts.sum(axis=-1, keepdims=True)
    return np.concatenate([np.log(parts / whole), np.log(whole)], axis=-1)


def _rows(one: CellCurves, voltages: Floats, gap: int | None, cutoff: float) -> tuple[Floats, Floats]:
    """Return features and logarithms of capacities of a cell's curves, or differences over like gaps."""
    features = _features(_charges(one.charge, voltages, cutoff))
    if gap is None:
        return features, one.logs
    gaps = one.numbers[None, :] - one.numbers[:, None]
    typical = min(max(gap, np.diff(one.numbers).min()), 0.75 * gaps.max())
    before, after = np.nonzero((gaps >= 0.5 * typical) & (gaps <= 2.0 * typical))
    return features[after] - features[before], one.logs[after] - one.logs[before]


def _solve(blocks: list[Block], row: Floats, base: float, alone: bool, distance: float) -> Estimate:
    """Predict, with the interval that covers `COVERED` of the errors at the worst predicted other cell.

    Each other cell is predicted from the rest in turn, at the same voltages (a conformal interval by cell).
    The interval widens where the row lies off those that were fitted, and with the conditions' distance.
    """
    regressions = fits(blocks, alone)
    counts = [len(rows) for rows, _ in blocks]
    rows, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    predicted, reach = regressions.predict(np.repeat(np.arange(1, len(blocks) + 1), counts), rows)
    errors = np.abs(values - predicted) / reach
    widths = [quantile(part, COVERED) for part in np.split(errors, np.cumsum(counts)[:-1])]
    beyond = max(distance - NEAR, 0.0)
    inside = quantile(
        np.array(widths), min((CELLS_COVERED * (len(widths) + 1) - 1) / max(len(widths) - 1, 1), 1.0)
    )
    if alone or len(blocks) == 1:
        # The cell is one more draw among few: what sets cells apart has been seen that often only.
        inside *= _STUDENT[min(max(len(blocks) - 1, 1), len(_STUDENT)) - 1] / _NORMAL
    (there,), (reached,) = regressions.predict([0], row[None, :])
    mean = float(regressions.mean[0])
    change, width = _held(
        float(there) - mean,
        inside,
        inside * float(reached) * (1.0 + 2.0 * beyond),
        _NORMAL * float(np.sqrt(np.mean((values - mean) ** 2))) * (1.0 + beyond),
    )
    if alone:
        width += SHIFT * beyond
    if width > WIDEST:
        return _none(
            f"it could be {math.exp(width):.1f} times as much, or as little: other cells are too unlike"
        )
    log = base + mean + change
    middle, low, high = (math.exp(value) for value in (log, log - width, log + width))
    return Estimate(middle, low, high, "", distance)


def _held(change: float, inside: float, width: float, usual: float) -> tuple[float, float]:
    """Hold a change that lies beyond what was fitted: return it, and its width, weighed against no change.

    Args:
        change: the predicted change.
        inside: its width if its row lay where others lie.
        width: its width.
        usual: how far changes usually go.
    """
    off = width**2 - inside**2
    weight = usual**2 / (usual**2 + off) if off > 0.0 else 1.0
    return weight * change, math.sqrt(inside**2 + weight * max(off, 0.0) + ((1.0 - weight) * usual) ** 2)
