"""Curves of other cells, and of the cell itself from earlier: what a part of a discharge is compared with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

from pipelines.battery_health.lab.discharge import Curve, Measured
from pipelines.battery_health.models import Floats

CURVES = 24
"""About as many curves of a cell and current are kept: all of 24, every second of 48, and so on."""
CELLS = 16
"""Most cells kept whose usual conditions are like each other."""
AGO = 10
"""A full discharge of the cell itself counts as known once it is this many discharges old."""
LIKE_CURRENT = 0.1
"""Largest difference in the logarithm of the current between discharges that are compared directly."""
LIKE_CELSIUS = 5.0
"""Largest difference in temperature, °C, between them."""


class CellCurves(NamedTuple):
    """The kept curves of a cell, ordered by number.

    Attributes:
        cell: its name.
        numbers: the numbers of the discharges.
        logs: the logarithms of their capacities in Ah.
        currents: their currents, A; negative.
        duties: the shares of the time under load.
        tops: their first voltages under load, V.
        charge: a row for each curve, as `Curve.charge`.
        celsius: likewise the temperatures.
    """

    cell: str
    numbers: Floats
    logs: Floats
    currents: Floats
    duties: Floats
    tops: Floats
    charge: Floats
    celsius: Floats


class Reference(NamedTuple):
    """The kept curves of cells; an estimate leaves out those of its own cell.

    Attributes:
        cells: ordered by name.
        cutoff: the voltage at which a discharge is full, V.
    """

    cells: tuple[CellCurves, ...]
    cutoff: float


class Known(NamedTuple):
    """An earlier full discharge of the cell itself.

    Attributes:
        number: its number.
        capacity_ah: its capacity, Ah.
        curve: its curve.
    """

    number: int
    capacity_ah: float
    curve: Curve


def stride(currents: Sequence[float]) -> int:
    """Return how far apart the kept discharges are: a power of two, so that a new one rarely changes it.

    What counts is the most common of the currents, in classes whose edges lie between whole amperes.
    """
    classes = Counter(np.round(2.0 * np.log(np.abs(currents))).tolist())
    apart = 1
    while max(classes.values()) > apart * CURVES:
        apart *= 2
    return apart


def reference(measured: Mapping[str, Mapping[int, Measured]], cutoff: float) -> Reference:
    """Choose the curves to keep: those of numbers 1, 1 + stride, 1 + 2 strides of each cell.

    A new discharge of another number therefore leaves the reference as it was, and with it all results. Of
    many cells under like conditions `CELLS` are kept, in an order in which a new one is rarely among them.
    """
    cells = []
    taken: Counter[tuple[float, ...]] = Counter()
    for cell in sorted(measured, key=lambda name: (crc32(name.encode()), name)):
        discharges = measured[cell]
        apart = stride([one.current for one in discharges.values()])
        kept = [
            (number, one, one.curve)
            for number, one in sorted(discharges.items())
            if (number - 1) % apart == 0 and one.curve is not None and one.capacity_ah > 0.0
        ]
        if len(kept) < 2:
            continue
        usual = Counter(_class(one) for _, one, _ in kept).most_common(1)[0][0]
        taken[usual] += 1
        if taken[usual] <= CELLS:
            cells.append(_curves(cell, kept))
    return Reference(tuple(sorted(cells, key=lambda one: one.cell)), cutoff)


def _class(one: Measured) -> tuple[float, ...]:
    """Return the class of a discharge's conditions: current, temperature (edges at 9, 19, 29 °C …), duty."""
    return (
        round(2.0 * math.log(-one.current)),
        math.floor((one.celsius + 1.0) / 10.0),
        round(2.0 * math.log(one.duty)),
    )


def _curves(cell: str, kept: list[tuple[int, Measured, Curve]]) -> CellCurves:
    return CellCurves(
        cell,
        np.array([number for number, _, _ in kept], dtype=np.float64),
        np.log([one.capacity_ah for _, one, _ in kept]),
        np.array([one.current for _, one, _ in kept]),
        np.array([one.duty for _, one, _ in kept]),
        np.array([curve.top for _, _, curve in kept]),
        np.stack([curve.charge for _, _, curve in kept]),
        np.stack([curve.celsius for _, _, curve in kept]),
    )


def known(number: int, discharges: Mapping[int, Measured]) -> Known | None:
    """Choose what is known of the cell itself at one of its discharges.

    It is the newest full discharge at least `AGO` older, at a like current and temperature; among the first
    `AGO`, the first. A later one is never used.
    """
    now = discharges[number]
    earlier = sorted(other for other in discharges if other < number)
    old = [other for other in earlier if other <= number - AGO]
    young = earlier[len(old) :]
    for other in (*reversed(old), *young):
        one = discharges[other]
        if one.curve is not None and _alike(one, now):
            return Known(other, one.capacity_ah, one.curve)
    return None


def groups(discharges: Mapping[int, Measured]) -> list[list[int]]:
    """Group a cell's discharges by conditions: each is like the first of its group."""
    found: list[list[int]] = []
    for number, one in sorted(discharges.items()):
        group = next((group for group in found if _alike(discharges[group[0]], one)), None)
        if group is None:
            found.append([number])
        else:
            group.append(number)
    return found


def first_like(discharges: Mapping[int, Measured]) -> dict[int, float]:
    """Return for each discharge the capacity of the cell's first full one under like conditions, Ah.

    One with a curve is preferred: another was cut short, or has too few samples.
    """
    found: dict[int, float] = {}
    for group in groups(discharges):
        full = [discharges[number] for number in group if discharges[number].capacity_ah > 0.0]
        good = [one for one in full if one.curve is not None] or full
        if good:
            found |= dict.fromkeys(group, good[0].capacity_ah)
    return found


def _alike(one: Measured, other: Measured) -> bool:
    return (
        abs(math.log(one.current / other.current)) <= LIKE_CURRENT
        and abs(math.log(one.duty / other.duty)) <= LIKE_CURRENT
        and abs(one.celsius - other.celsius) <= LIKE_CELSIUS
    )
