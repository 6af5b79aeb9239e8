"""Drawing long lines with few points, without losing their peaks."""

from __future__ import annotations

import numpy as np
import pandas as pd

MAX_POINTS = 2000


def thinned(frame: pd.DataFrame, points: int = MAX_POINTS) -> pd.DataFrame:
    """At most `points` rows that keep each column's lowest and highest value of every stretch.

    Args:
        frame: numbers over an index.
        points: rows at most; even.

    Returns:
        The frame itself if it is short enough. Otherwise two rows for each of points / 2 equally long
        stretches, at the stretch's first and middle row; a stretch without values stays without.
    """
    count = len(frame)
    if count <= points:
        return frame.copy()
    stretches = points // 2
    edges = np.linspace(0, count, stretches + 1).astype(int)
    places = np.sort(np.concatenate([edges[:-1], (edges[:-1] + edges[1:]) // 2]))
    columns = {}
    for column in frame.columns:
        values = frame[column].to_numpy()
        lows = np.where(np.isnan(values), np.inf, values)
        highs = np.where(np.isnan(values), -np.inf, values)
        low = np.minimum.reduceat(lows, edges[:-1])
        high = np.maximum.reduceat(highs, edges[:-1])
        rising = _first(np.isclose(highs, np.repeat(high, np.diff(edges))), edges) > _first(
            np.isclose(lows, np.repeat(low, np.diff(edges))), edges
        )
        pair = np.where(rising, (low, high), (high, low)).T.ravel()
        columns[column] = np.where(np.isfinite(pair), pair, np.nan)
    return pd.DataFrame(columns, index=frame.index[places])


def _first(hits: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """For each stretch, the position of its first hit."""
    positions = np.where(hits, np.arange(len(hits)), len(hits))
    return np.minimum.reduceat(positions, edges[:-1])
