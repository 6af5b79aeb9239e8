"""The fleet at a glance: its oldest cells, and its state of health over time. Dask DataFrames, any size."""

from __future__ import annotations

from typing import Any

import pandas as pd

RECENT_DAYS = 7
"""A cell's state is the mean over the last so many days of the fleet's telemetry."""
OLDEST = 3
"""Cells named of each model and region."""

_MEASURES = ("soh", "capacity_ah", "resistance_mohm")


def fleet_summary(health: Any) -> Any:
    """The oldest cells (lowest state of health) of each model and region, as a Dask DataFrame.

    Two groupbys, each with a shuffle: the recent days of each cell come together, then the cells of each
    model and region.

    Args:
        health: the artifact `cell-health` as a Dask DataFrame.

    Returns:
        model, region, rank (1 is the oldest), battery, cell, soh, capacity_ah, resistance_mohm, and of the
        whole group: cells, mean_soh.
    """
    last = health["day"].max().compute()
    recent = health[health["day"] > last - pd.Timedelta(days=RECENT_DAYS)]
    keys = ["model", "region", "battery", "cell"]
    cells = recent.groupby(keys, observed=True)[list(_MEASURES)].mean(split_out=health.npartitions)
    cells = cells.reset_index().dropna(subset=["soh"])
    empty = _oldest(cells._meta)  # noqa: SLF001 - the way Dask itself describes a result
    grouped = cells.groupby(["model", "region"], group_keys=False)[list(cells.columns)]
    return grouped.apply(_oldest, meta=empty).reset_index(drop=True)


def _oldest(group: pd.DataFrame) -> pd.DataFrame:
    first = group.sort_values(["soh", "battery", "cell"]).head(OLDEST)
    first = first[["model", "region", "battery", "cell", *_MEASURES]]
    first.insert(2, "rank", range(1, len(first) + 1))
    first["cells"], first["mean_soh"] = len(group), group["soh"].mean()
    return first


def soh_by_model(health: Any) -> pd.DataFrame:
    """The mean state of health, %, by day (rows) and model (columns)."""
    means: pd.Series[float] = health.groupby(["day", "model"], observed=True)["soh"].mean().compute()
    table: pd.DataFrame = 100.0 * means.unstack("model").sort_index().sort_index(axis="columns")
    return table
