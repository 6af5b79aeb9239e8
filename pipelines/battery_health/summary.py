"""Fleet overview: the oldest cells, and the state of health over time. Dask DataFrames of any size."""

from __future__ import annotations

from typing import Any

import pandas as pd

RECENT_DAYS = 7
"""Days at the end of the fleet's telemetry over which a cell's state is averaged."""
OLDEST = 3
"""Number of cells listed per model and region."""

_MEASURES = ("soh", "capacity_ah", "resistance_mohm")


def fleet_summary(health: Any) -> Any:
    """Find the oldest cells (lowest state of health) of each model and region, as a Dask DataFrame.

    Two groupbys, each with a shuffle: first over the recent days of each cell, then over the cells of each
    model and region.

    Args:
        health: the artifact `cell-health` as a Dask DataFrame.

    Returns:
        Columns model, region, rank (1 is the oldest), battery, cell, soh, capacity_ah, resistance_mohm; and
        for the whole group cells, mean_soh.
    """
    last = health["day"].max().compute()
    recent = health[health["day"] > last - pd.Timedelta(days=RECENT_DAYS)]
    keys = ["model", "region", "battery", "cell"]
    cells = recent.groupby(keys, observed=True)[list(_MEASURES)].mean(split_out=health.npartitions)
    cells = cells.reset_index().dropna(subset=["soh"])
    empty = _oldest(cells._meta)  # noqa: SLF001 - how Dask itself describes a result
    grouped = cells.groupby(["model", "region"], group_keys=False)[list(cells.columns)]
    return grouped.apply(_oldest, meta=empty).reset_index(drop=True)


def _oldest(group: pd.DataFrame) -> pd.DataFrame:
    first = group.sort_values(["soh", "battery", "cell"]).head(OLDEST)
    first = first[["model", "region", "battery", "cell", *_MEASURES]]
    first.insert(2, "rank", range(1, len(first) + 1))
    first["cells"], first["mean_soh"] = len(group), group["soh"].mean()
    return first


def soh_by_model(health: Any) -> pd.DataFrame:
    """Compute the mean state of health, %, by day (rows) and model (columns)."""
    means: pd.Series[float] = health.groupby(["day", "model"], observed=True)["soh"].mean().compute()
    table: pd.DataFrame = 100.0 * means.unstack("model").sort_index().sort_index(axis="columns")
    return table
