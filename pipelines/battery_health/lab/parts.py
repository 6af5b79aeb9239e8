"""One discharge's samples: in order of time, without charging, and without what a sensor made up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipelines.battery_health.lab.columns import LOAD
from pipelines.battery_health.models import Floats

FEWEST = 3
"""Fewest samples under load of a discharge."""
_DISORDER = 0.05
"""Largest share of a discharge's samples that may be out of order or jump; more are not single samples."""
_BRIEF = 0.02
"""Charging between two loads that gives back less than this share of what they draw, such as braking,
belongs to the discharge."""
_BESIDE = 0.02
"""Share of the charge drawn, before or after charging, beside the discharge that is used; more is named."""
_JUMP = 0.3
"""A voltage that jumps away by so much, V, and back at a steady current is the sensor's, not the cell's …"""
_LONGEST_JUMP = 5
"""… if it is back after no more samples than this."""
_UNFELT = 0.1
"""A current that jumps away by half of the load and back is the sensor's if the voltage moves by less than
this share of what it moved by when the load began."""
_NOTHING = 0.2
"""A voltage below this share of high ones is that of a sensor that reads nothing."""


def one_discharge(where: str, samples: Floats, numbered: bool, remarks: list[str]) -> Floats | None:
    """Return a discharge's samples that can be used; None if there is none.

    Args:
        where: the discharge, for remarks.
        samples: a row for each of `SAMPLE_COLUMNS`, a column for each sample.
        numbered: whether the file says that it is a cycle.
        remarks: lines on what is dropped are added.
    """
    seconds = samples[0]
    ahead = np.concatenate(([True], seconds[1:] > np.maximum.accumulate(seconds)[:-1]))
    if (dropped := int((~ahead).sum())) > _DISORDER * len(seconds):
        remarks.append(f"{where}: {dropped} of {len(seconds)} samples are out of order or doubled; dropped")
        return None
    if dropped:
        remarks.append(f"{where}: {dropped} samples that are out of order or doubled are dropped")
        samples = samples[:, ahead]
    samples = _without_charging(where, samples, remarks)
    true = _plausible(samples[1], samples[2])
    if not true.all():
        remarks.append(
            f"{where}: {(~true).sum()} samples whose voltage or current jumps away and back by itself, "
            "or whose voltage reads nothing, are dropped"
        )
        samples = samples[:, true]
    limit = 0.05 * float(np.abs(samples[1]).max(initial=0.0))
    if int((samples[1] < -limit).sum()) < FEWEST:
        # A cycle without a discharge is one; a stretch that only charging separates is not.
        if numbered:
            remarks.append(f"{where}: fewer than {FEWEST} samples under load; dropped")
        return None
    return np.ascontiguousarray(np.vstack([samples[:1] - samples[0, 0], samples[1:]]))


def _without_charging(where: str, samples: Floats, remarks: list[str]) -> Floats:
    """Return the stretch between two charges in which most was drawn."""
    seconds, current = samples[:2]
    limit = LOAD * float(np.abs(current).max())
    charging = np.concatenate(([False], current > limit, [False]))
    if not charging.any():
        return samples
    edges = np.flatnonzero(np.diff(charging.astype(np.int8)))
    passed = 0.5 * np.diff(seconds, prepend=seconds[0], append=seconds[-1])
    flowed = current * (passed[1:] + passed[:-1])
    drawn = np.concatenate(([0.0], np.cumsum(np.where(current < -limit, -flowed, 0.0))))
    given = np.concatenate(([0.0], np.cumsum(np.maximum(flowed, 0.0))))
    brief = _BRIEF * float(drawn[-1])
    walls = [
        (start, end)
        for start, end in edges.reshape(-1, 2).tolist()
        if given[end] - given[start] > brief or drawn[start] == 0.0 or drawn[end] == drawn[-1]
    ]
    bounds = [0, *(at for wall in walls for at in wall), len(current)]
    stretches = [(bounds[at], bounds[at + 1]) for at in range(0, len(bounds), 2)]
    amounts = [float(drawn[end] - drawn[start]) for start, end in stretches]
    best = int(np.argmax(amounts))
    if (beside := sum(amounts) - amounts[best]) > _BESIDE * amounts[best]:
        remarks.append(
            f"{where}: {beside / 3600.0:.3g} Ah were drawn before or after a charge within it, beside "
            f"{amounts[best] / 3600.0:.3g} Ah; only these are used"
        )
    return samples[:, slice(*stretches[best])]


def _plausible(current: Floats, voltage: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which voltages a cell can have had."""
    true = np.asarray(voltage > _NOTHING * np.quantile(voltage, 0.9)) if len(voltage) else voltage > 0.0
    true &= ~_unfelt(current, voltage)
    steady = np.abs(np.diff(current)) < 0.1 * np.abs(current).max(initial=0.0)
    change = np.diff(voltage)
    jumps = np.flatnonzero(steady & (np.abs(change) > _JUMP)).tolist()
    jumped = np.zeros(len(true), dtype=np.bool_)
    back = -1
    for away, after in pairwise(jumps):
        if away != back and after - away <= _LONGEST_JUMP and change[away] * change[after] < 0.0:
            jumped[away + 1 : after + 1] = True
            back = after
    # Many of them are a load that the current's samples miss.
    return true & ~jumped if jumped.sum() <= _DISORDER * len(true) else true


def _unfelt(current: Floats, voltage: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which single currents jump away and back, while the voltage feels nothing of it."""
    unfelt = np.zeros(len(current), dtype=np.bool_)
    if len(current) < 2 * _LONGEST_JUMP:
        return unfelt
    usual = 0.5 * np.partition(current, _LONGEST_JUMP)[_LONGEST_JUMP]  # a few may be made up
    begin = int((current < usual).argmax())
    load = float(np.median(current[current < usual])) if usual < 0.0 else 0.0
    if begin == 0 or load == 0.0 or voltage[begin - 1] <= voltage[begin]:
        return unfelt
    ohms = (voltage[begin - 1] - voltage[begin]) / (current[begin - 1] - current[begin])
    steps, moves = np.diff(current), np.abs(np.diff(voltage))
    alone = (np.abs(steps) > -0.5 * load) & (moves < _UNFELT * ohms * np.abs(steps))
    unfelt[1:-1] = alone[:-1] & alone[1:] & (steps[:-1] * steps[1:] < 0.0)
    return unfelt if unfelt.sum() <= _DISORDER * len(unfelt) else np.zeros_like(unfelt)
