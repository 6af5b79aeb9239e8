from __future__ import annotations

import numpy as np
import pytest

from pipelines.battery_health.lab.regression import RIDGE, fits, quantile


@pytest.fixture(scope="module")
def blocks():
    rng = np.random.default_rng(0)
    return [(rng.normal(0.3, 0.1, (count, 3)), rng.normal(0.2, 0.1, count)) for count in (5, 9, 7)]


def plain(blocks, row: np.ndarray, centred: bool) -> float:
    """A ridge regression as it is in books."""
    rows, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    means, mean = (rows.mean(axis=0), values.mean()) if centred else (0.0, 0.0)
    away = rows - means
    slopes = np.linalg.solve(away.T @ away + RIDGE * len(rows) * np.eye(3), away.T @ (values - mean))
    return float(mean + (row - means) @ slopes)


@pytest.mark.parametrize("centred", [True, False])
def test_all_regressions_are_those_of_their_cells(blocks, centred):
    found = fits(blocks, centred)
    row = np.array([0.1, 0.5, 0.2])
    predicted, reach = found.predict([0, 1, 2, 3], np.tile(row, (4, 1)))
    left_out = [blocks, blocks[1:], [blocks[0], blocks[2]], blocks[:2]]
    assert predicted.tolist() == pytest.approx([plain(rest, row, centred) for rest in left_out])
    assert (reach > 1.0).all()


def test_a_single_cell_is_its_own_rest(blocks):
    found = fits(blocks[:1], True)
    predicted, _ = found.predict([0, 1], blocks[0][0][:2])
    assert predicted[1] == pytest.approx(plain(blocks[:1], blocks[0][0][1], True))


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_quantiles_are_those_of_numpy(count):
    values = np.random.default_rng(count).normal(size=count)
    assert quantile(values, 0.9) == pytest.approx(np.quantile(values, 0.9), rel=1e-12)
