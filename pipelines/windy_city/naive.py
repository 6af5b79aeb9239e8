"""The same question asked the slow way: every call reads every file. It is here to be compared with.

The answers are those of `pipelines.windy_city` for a folder with nothing to drop.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from distributed import Client


def windiest(timestamp: str, folder: str) -> tuple[str, ...]:
    """The places with the highest speed at an hour, from the Parquet files of a folder."""
    speeds = {}
    for path in sorted(Path(folder).glob("*.parquet")):
        column: pd.Series[float] = pd.read_parquet(path, columns=["wind_speed"])["wind_speed"]
        speeds[path.stem] = column[pd.Timestamp(timestamp)]
    top = max(speeds.values())
    return tuple(place for place, speed in speeds.items() if speed == top)


def winners(client: Client, timestamps: Iterable[str], folder: str) -> list[tuple[str, ...]]:
    """The windiest places at each hour, one submitted call an hour."""
    futures = [client.submit(windiest, timestamp, folder, pure=False) for timestamp in timestamps]
    return list(client.gather(futures))
