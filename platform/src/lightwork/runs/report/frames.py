"""Frames of lines before they are drawn: numbers only, in the order of the index, thinned, summarised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lightwork.runs.report.axis import over

MAX_POINTS = 2000


def numeric(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns as floats; what is missing becomes NaN.

    Raises:
        TypeError, ValueError, OverflowError: a column is not numeric.
    """
    columns: list[Any] = []
    for position in range(len(frame.columns)):
        column = frame.iloc[:, position]
        if column.dtype.kind == "c":
            raise TypeError("complex numbers")
        if column.dtype == object:
            column = column.where(column.notna(), np.nan)
            if any(isinstance(value, complex) for value in column):
                raise TypeError("complex numbers")
        columns.append(column.astype("float64").to_numpy())
    values = np.column_stack(columns) if columns else np.empty((len(frame), 0))
    return pd.DataFrame(values, index=frame.index, columns=frame.columns)


def arranged(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Sort rows by times or numbers, and drop what cannot be drawn.

    Returns:
        The frame, with NaN in place of infinite values, and notes that say what was changed.
    """
    notes = []
    infinite = int(np.isinf(frame.to_numpy()).sum())
    if infinite:
        frame = frame.where(np.isfinite(frame))
        notes.append(f"omitted {infinite:,} infinite {'value' if infinite == 1 else 'values'}")
    axis = over(frame.index)
    if axis.kind == "label":
        return frame, notes
    gone = np.isnat(axis.local) if axis.kind == "time" else ~np.isfinite(axis.values)
    if missing := int(gone.sum()):
        frame = frame[~gone]
        what = "a time" if axis.kind == "time" else "a finite index"
        notes.append(f"omitted {missing:,} {'row' if missing == 1 else 'rows'} without {what}")
    values = axis.values[~gone]
    if (values[1:] < values[:-1]).any():
        frame = frame.iloc[np.argsort(values, kind="stable")]
        notes.append("rows sorted by the index")
    return frame, notes


def thinned(frame: pd.DataFrame, points: int = MAX_POINTS) -> pd.DataFrame:
    """Thin out a frame to at most `points` rows, keeping each column's minimum and maximum per interval.

    Args:
        frame: numbers over an index.
        points: maximum number of rows; even.

    Returns:
        A copy of the frame if it is short enough. Otherwise two rows for each of points / 2 equally long
        intervals, at the interval's first and middle row; an interval without values has none either.
    """
    count = len(frame)
    if count <= points:
        return frame.copy()
    intervals = points // 2
    edges = np.linspace(0, count, intervals + 1).astype(int)
    rows = np.sort(np.concatenate([edges[:-1], (edges[:-1] + edges[1:]) // 2]))
    columns = []
    for position in range(len(frame.columns)):
        values = frame.iloc[:, position].to_numpy()
        lows = np.where(np.isnan(values), np.inf, values)
        highs = np.where(np.isnan(values), -np.inf, values)
        low = np.minimum.reduceat(lows, edges[:-1])
        high = np.maximum.reduceat(highs, edges[:-1])
        rising = _first(highs == np.repeat(high, np.diff(edges)), edges) > _first(
            lows == np.repeat(low, np.diff(edges)), edges
        )
        pair = np.where(rising, (low, high), (high, low)).T.ravel()
        columns.append(np.where(np.isfinite(pair), pair, np.nan))
    return pd.DataFrame(np.column_stack(columns), index=frame.index[rows], columns=frame.columns)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each line: its number of values, the lowest, the mean, the highest and the last."""
    where = over(frame.index).texts()
    rows: list[list[Any]] = []
    for position in range(len(frame.columns)):
        values = frame.iloc[:, position].to_numpy()
        present = np.flatnonzero(~np.isnan(values))
        if not len(present):
            rows.append([0, *[None] * 6])
            continue
        low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
        mean = float(np.mean(values[present] / len(present)) * len(present))
        last = float(values[present[-1]])
        rows.append(
            [len(present), float(values[low]), where[low], mean, float(values[high]), where[high], last]
        )
    columns = ["values", "lowest", "at", "mean", "highest", "at ", "last"]
    result = pd.DataFrame(rows, columns=columns, dtype=object)
    result.insert(0, "line", [str(name) for name in frame.columns])
    return result


def _first(hits: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the position of the first hit in each interval."""
    positions = np.where(hits, np.arange(len(hits)), len(hits))
    return np.minimum.reduceat(positions, edges[:-1])
