"""What a smooth curve of a cell's life would hide: capacity that returns, and single outliers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipelines.battery_health.lab.discharge import Measured
from pipelines.battery_health.lab.reference import groups
from pipelines.battery_health.models import Floats

RETURNED = 0.01
"""Smallest rise of the capacity from one full discharge to the next that is named."""
FAR = 5.0
"""An outlier lies this many typical steps away from both its neighbours, on the same side."""
LEAST = 0.01
"""... and at least this share of their value."""


class Returned(NamedTuple):
    """A rise of the capacity, as real cells show after a rest.

    Attributes:
        number: the discharge with more capacity than the one before.
        gained_ah: how much more, Ah.
        lasted: full discharges until the capacity is below that before the rise; None if it never is.
    """

    number: int
    gained_ah: float
    lasted: int | None


class Outlier(NamedTuple):
    """A single value away from both its neighbours.

    Attributes:
        number: the discharge.
        measure: `capacity_ah` or `resistance_mohm`.
        value: its value.
        usual: the mean of its neighbours.
    """

    number: int
    measure: str
    value: float
    usual: float


def returned(discharges: Mapping[int, Measured]) -> list[Returned]:
    """Find the rises of a cell's capacity under like conditions."""
    rises = [
        rise for group in groups(discharges) for rise in _rises(*_course(discharges, group, "capacity_ah"))
    ]
    return sorted(rises)


def _rises(numbers: list[int], values: Floats) -> list[Returned]:
    rises = []
    for index in np.flatnonzero(np.diff(values) > RETURNED * values[:-1]).tolist():
        below = np.flatnonzero(values[index + 1 :] < values[index])
        rises.append(
            Returned(
                numbers[index + 1],
                float(values[index + 1] - values[index]),
                int(below[0]) if len(below) else None,
            )
        )
    return rises


def outliers(discharges: Mapping[int, Measured]) -> list[Outlier]:
    """Find single values of a cell that lie away from both neighbours under like conditions."""
    found: list[Outlier] = []
    for measure, group in itertools.product(("capacity_ah", "resistance_mohm"), groups(discharges)):
        numbers, values = _course(discharges, group, measure)
        if len(values) < 5:
            continue
        steps = np.diff(values)
        least = np.maximum(FAR * float(np.median(np.abs(steps))), LEAST * values[1:-1])
        away = (steps[:-1] * steps[1:] < 0) & (np.minimum(np.abs(steps[:-1]), np.abs(steps[1:])) > least)
        found += [
            Outlier(numbers[at], measure, float(values[at]), float(0.5 * (values[at - 1] + values[at + 1])))
            for at in (np.flatnonzero(away) + 1).tolist()
        ]
    return found


def _course(discharges: Mapping[int, Measured], group: list[int], measure: str) -> tuple[list[int], Floats]:
    pairs = [(number, float(getattr(discharges[number], measure))) for number in group]
    pairs = [(number, value) for number, value in pairs if not np.isnan(value)]
    return [number for number, _ in pairs], np.array([value for _, value in pairs])
