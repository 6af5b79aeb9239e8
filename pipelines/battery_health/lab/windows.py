"""Windows of discharges: what a fleet in the field gives, with the truth beside it."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import numpy as np

from lightwork import task
from pipelines.battery_health.lab.discharge import drawn, under_load
from pipelines.battery_health.lab.estimate import estimate
from pipelines.battery_health.lab.reference import Known, Reference
from pipelines.battery_health.models import Floats

SHARES = {"third": 1.0 / 3.0, "half": 0.5}
"""Windows by the share of the discharge's charge that they hold."""
RANDOM = 5
"""Windows at random places of each share; one more begins with the rest before the load."""


class WindowError(NamedTuple):
    """An estimate from a window, with what it was made from.

    Attributes:
        share: a key of `SHARES`, or "all" for a discharge that never reached the cut-off.
        place: where the window begins, from 0 (at the load's begin) to 1 (as late as it can).
        rest: whether the rest before the load is in it.
        own: whether an earlier full discharge of the cell was known.
        celsius: its mean temperature, °C.
        capacity_ah: the estimate, Ah; NaN if there is none.
        low: lower end of the 90 % interval, Ah.
        high: upper end, Ah.
        distance: how far the conditions of the compared curves are; see `estimate`.
        reason: why there is no estimate.
    """

    share: str
    place: float
    rest: bool
    own: bool
    celsius: float
    capacity_ah: float
    low: float
    high: float
    distance: float
    reason: str


@task
def window_errors(
    cell: str, number: int, samples: Floats, known: Known | None, reference: Reference
) -> list[WindowError]:
    """Estimate the capacity from windows of a discharge, with and without what is known of the cell itself.

    One element for each cell and discharge.

    An estimate sees the window, and nothing of its place in the discharge or the share that it holds.

    Args:
        cell: the cell's name.
        number: the discharge's number.
        samples: the discharge, a row for each of `SAMPLE_COLUMNS`.
        known: an earlier full discharge of the cell.
        reference: the curves of all cells, of which those of this cell are not used.
    """
    seconds, current, voltage, _ = samples
    charge = drawn(seconds, current)
    begin = int(under_load(current).argmax())
    below = np.flatnonzero(voltage[begin:] <= reference.cutoff)
    if not len(below):
        parts = [("all", 0.0, True, samples)]
    else:
        parts = _parts(samples, charge, begin, begin + int(below[0]), cell, number)
    errors = []
    for share, place, rest, part in parts:
        for past in (None,) if known is None else (known, None):
            found = estimate(part, cell, number, past, reference)
            errors.append(
                WindowError(
                    share,
                    place,
                    rest,
                    past is not None,
                    float(part[3].mean()),
                    *found[:3],
                    found.distance,
                    found.reason,
                )
            )
    return errors


def _parts(
    samples: Floats, charge: Floats, begin: int, end: int, cell: str, number: int
) -> list[tuple[str, float, bool, Floats]]:
    """Cut a full discharge into windows: share, place, whether it begins with the rest, samples."""
    rng = np.random.default_rng([crc32(cell.encode()), number])
    first, whole = float(charge[begin]), float(charge[end] - charge[begin])
    parts: list[tuple[str, float, bool, Floats]] = []
    for name, share in SHARES.items():
        places = rng.uniform(0.0, 1.0, RANDOM)
        for place in (*places.tolist(), None):
            low = first + (place or 0.0) * (1.0 - share) * whole
            a, b = (int(at) for at in np.searchsorted(charge[: end + 1], [low, low + share * whole], "left"))
            a = 0 if place is None else max(a, begin)
            parts.append((name, place or 0.0, place is None, samples[:, a : min(b, end) + 1]))
    return parts
