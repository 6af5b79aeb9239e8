"""Ridge regressions over the discharges of several cells: with all cells, and with each of them left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.battery_health.models import Floats

RIDGE = 1e-4
"""Ridge, per row; features are logarithms of charges."""

Block = tuple[Floats, Floats]
"""Features and values of one cell: a row for each discharge."""


class Fits(NamedTuple):
    """Regressions, the first axis of each: with all cells, then without the first cell, without the second …

    Attributes:
        means: means of the features.
        mean: means of the values.
        slopes: slopes.
        inverse: inverse of the mean products of the features.
    """

    means: Floats
    mean: Floats
    slopes: Floats
    inverse: Floats

    def predict(self, which: object, rows: Floats) -> tuple[Floats, Floats]:
        """Predict values, and how much wider errors are at rows that lie far from those that were fitted.

        Args:
            which: for each row, the number of its regression.
            rows: features.
        """
        chosen = np.asarray(which)
        away = rows - self.means[chosen]
        values = self.mean[chosen] + (away * self.slopes[chosen]).sum(axis=-1)
        leverage = np.einsum("ij,ijk,ik->i", away, self.inverse[chosen], away) / away.shape[-1]
        return values, np.sqrt(1.0 + leverage)


def fits(blocks: Sequence[Block], centred: bool) -> Fits:
    """Fit the regressions, from the sums of products of each cell.

    Args:
        blocks: the cells.
        centred: whether values may have a mean; otherwise no change of the features is none of the value.
    """
    joined = [np.column_stack([rows, values]) for rows, values in blocks]
    counts = _with_each_left_out(np.array([float(len(one)) for one in joined]))
    products = _with_each_left_out(np.stack([one.T @ one for one in joined])) / counts[:, None, None]
    means = np.zeros(products.shape[:2])
    if centred:
        means = _with_each_left_out(np.stack([one.sum(axis=0) for one in joined])) / counts[:, None]
        products = products - means[:, :, None] * means[:, None, :]
    size = products.shape[1] - 1
    inverse = np.linalg.inv(products[:, :size, :size] + RIDGE * np.eye(size))
    slopes = (inverse @ products[:, :size, size:])[:, :, 0]
    return Fits(means[:, :size], means[:, size], slopes, inverse)


def _with_each_left_out(parts: Floats) -> Floats:
    """Return the sum of all, and the sums without each; of a single one, itself twice."""
    whole = parts.sum(axis=0)
    return np.stack([whole, *(whole - parts if len(parts) > 1 else parts)])


def quantile(values: Floats, share: float) -> float:
    """Return a quantile, linear between neighbours; `numpy.quantile` takes ten times as long for few."""
    ordered = np.sort(values)
    at = share * (len(ordered) - 1)
    left = int(at)
    right = min(left + 1, len(ordered) - 1)
    return float(ordered[left] + (at - left) * (ordered[right] - ordered[left]))
