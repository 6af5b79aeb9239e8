"""Discharges made over at random: other loads, temperatures, sampling, gaps, ends.

There is never a traceback, a wrong capacity without a word, or an estimate without an interval.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pipelines.battery_health.lab import measure, read_cells
from pipelines.battery_health.lab.like import Conditions, discharge
from pipelines.battery_health.lab.outcome import COARSE, note
from pipelines.battery_health.lab.reference import known, reference
from pipelines.battery_health.lab.windows import WindowError, window_errors

LIKE = Conditions(2.0, 100.0, -2.0, 24.0, 20.0)
NUMBERS = range(1, 162, 20)
COLUMNS = ("seconds", "current", "voltage", "temperature")


@pytest.fixture(scope="module")
def curves():
    measured = {f"C{c}": {n: measure(discharge(LIKE, 2.7, c, n)) for n in NUMBERS} for c in range(1, 5)}
    return measured, reference(measured, 2.7)


def other_load(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    factor, ohms = rng.choice([0.5, 1.0, 2.0]), rng.uniform(0.0, 0.3)
    drop = np.vstack([np.zeros((2, one.shape[1])), 2.0 * ohms * factor * (one[1] < -0.1), 0.0 * one[3]])
    return (one - drop) * np.array([1.0 / factor, factor, 1.0, 1.0])[:, None]


def other_temperature(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    return one + np.array([0.0, 0.0, 0.0, rng.choice([-20.0, 19.0])])[:, None]


def pulsed(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    off = np.arange(one.shape[1]) % int(rng.integers(2, 7)) == 0
    return np.vstack([one[0], np.where(off, 0.0, one[1]), one[2] + 0.2 * off * (one[1] < -0.1), one[3]])


def sampled(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    return one[:, (np.arange(one.shape[1]) < rng.integers(3, 60)) | (rng.random(one.shape[1]) < 0.4)]


def with_a_gap(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    begin = int(rng.integers(3, one.shape[1]))
    return np.delete(one, slice(begin, begin + int(rng.integers(1, 80))), axis=1)


def stopped(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    return one[:, : int(rng.integers(4, one.shape[1]))]


def collapsed(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    changed = one.copy()
    changed[2, int(rng.integers(2, 12)) :] = rng.uniform(0.9, 2.69)
    return changed


def rested(rng: np.random.Generator, one: np.ndarray) -> np.ndarray:
    after = one[:, -1:] + np.array([[20.0], [0.0], [0.0], [0.0]]) * np.arange(1, 15)
    after[1], after[2] = 0.0, one[2, -1] + 0.6 * (1.0 - np.exp(-np.arange(14) / 4.0))
    return np.hstack([one, after])


CHANGES = (other_load, other_temperature, pulsed, sampled, with_a_gap, stopped, collapsed, rested)


def plain(seconds: list[float], current: list[float], voltage: list[float], cutoff: float) -> float:
    """The definition in a loop: the charge until the first sample at or below the cut-off under load."""
    charge, load = 0.0, 0.05 * max(map(abs, current))
    loaded = False
    for at in range(len(seconds)):
        if at:
            charge -= 0.5 * (current[at] + current[at - 1]) * (seconds[at] - seconds[at - 1])
        loaded = loaded or current[at] < -load
        if loaded and voltage[at] <= cutoff:
            return charge / 3600.0
    return math.nan


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.sample(6)) for seed in range(60)])
def test_whatever_is_made_of_discharges(tmp_path, curves, seed):
    rng = np.random.default_rng(seed)
    measured, others = curves
    ones = {}
    for number in range(1, 6):
        one = discharge(LIKE, 2.7, 1, 30 * number)
        for change in rng.choice(np.array(CHANGES), size=int(rng.integers(0, 4)), replace=False):
            one = change(rng, one) if one.shape[1] > 5 else one
        ones[number] = one
    table = pd.concat(
        [pd.DataFrame({"cycle": n, **dict(zip(COLUMNS, one, strict=True))}) for n, one in ones.items()]
    )
    table.to_parquet(tmp_path / "C1.parquet")
    cells = read_cells(tmp_path)
    text = "\n".join(cells.remarks)
    for number in set(ones) - {one.number for one in cells.discharges}:
        assert f"discharge {number}: " in text
    past = known(161, {**measured["C1"], 161: measured["C1"][161]})
    for one in cells.discharges:
        found = measure(one.samples, 2.7)
        seconds, current, voltage, _ = ones[one.number].tolist()
        capacity = plain(seconds, current, voltage, 2.7)
        if f"discharge {one.number}: " not in text:  # nothing of it was dropped
            assert found.capacity_ah == pytest.approx(capacity, rel=1e-6, nan_ok=True)
        for window in window_errors.fn("C1", one.number, one.samples, past, others):
            assert_honest(window)
        if not found.full or found.unsampled > COARSE:
            assert note(found, window, 2.7)


def assert_honest(window: WindowError) -> None:
    """Either an estimate within its interval, or a reason."""
    if window.reason:
        assert math.isnan(window.capacity_ah)
    else:
        assert 0.0 < window.low < window.capacity_ah < window.high < 4.0 * window.low
