"""The same result computed the slow way, for comparison: every call reads every file.

The results equal those of `pipelines.windy_city` for a folder with nothing to drop.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from distributed import Client


def windiest(timestamp: str, folder: str) -> tuple[str, ...]:
    """Return the places with the highest speed at an hour, from the Parquet files of a folder."""
    speeds = {}
    for path in sorted(Path(folder).glob("*.parquet")):
        column: pd.Series[float] = pd.read_parquet(path, columns=["wind_speed"])["wind_speed"]
        speeds[path.stem] = column[pd.Timestamp(timestamp)]
    top = max(speeds.values())
    return tuple(place for place, speed in speeds.items() if speed == top)


def winners(client: Client, timestamps: Iterable[str], folder: str) -> list[tuple[str, ...]]:
    """Return the windiest places at each hour, with one submitted call per hour."""
    futures = [client.submit(windiest, timestamp, folder, pure=False) for timestamp in timestamps]
    return list(client.gather(futures))
