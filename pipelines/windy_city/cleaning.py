"""Cleaning of the readings: what is dropped, why, and how many of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Literal

import numpy as np
import pandas as pd

Unit = Literal["m/s", "km/h", "mph", "kn"]

RECORD: dict[Unit, float] = {"m/s": 113.2, "km/h": 408.0, "mph": 253.0, "kn": 220.0}
"""The strongest gust ever measured at the surface outside tornadoes: Barrow Island, Australia, 10 April 1996
(World Meteorological Organization, World Weather and Climate Extremes Archive). No true reading is higher."""

MISSING = "no value"
IMPOSSIBLE = "impossible"
REPEATED = "repeated time"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Readings that can be compared.

    Attributes:
        speeds: a row per hour with any reading, in order of time (UTC); a column per place, in alphabetical
            order; NaN where a place has no reading.
        dropped: a row per place: rows in the input, and how many were dropped for each reason.
        remarks: the same in sentences, for the log.
        unit: the unit of the speeds; empty if unknown.
    """

    speeds: pd.DataFrame
    dropped: pd.DataFrame
    remarks: tuple[str, ...]
    unit: str

    def by_hour(self, count: int | None = None) -> dict[str, dict[str, float]]:
        """Return the speed by place for each of the earliest hours, keyed by hour (UTC, ISO 8601)."""
        earliest = self.speeds.iloc[:count]
        times = pd.DatetimeIndex(earliest.index).tz_localize(None).to_numpy()
        minutes = times.astype("datetime64[m]")
        exact = minutes if bool((minutes == times).all()) else times.astype("datetime64[us]")
        hours = [f"{text}Z" for text in np.datetime_as_string(exact).tolist()]
        places = [str(place) for place in earliest.columns]
        values = earliest.to_numpy("float64")
        whole = not np.isnan(values).any()
        rows = (dict(zip(places, row, strict=True)) for row in values.tolist())
        if not whole:
            rows = ({place: speed for place, speed in row.items() if not isnan(speed)} for row in rows)
        return dict(zip(hours, rows, strict=True))


def clean(raw: Mapping[str, pd.Series[float]], unit: Unit | None) -> Cleaned:
    """Keep the readings that can be compared, and count the others.

    Drops rows without a value or a time, and speeds that are negative, infinite or above `RECORD`. If the
    unit is unknown, the limit is 408, the largest number that the record has in any unit. If a place has
    several readings at one time, the highest counts, whatever their order.

    Args:
        raw: each place's readings by time (UTC), NaN for a missing value.
        unit: the unit of the speeds; None if unknown.
    """
    limit = max(RECORD.values()) if unit is None else RECORD[unit]
    kept: dict[str, pd.Series[float]] = {}
    counts: dict[str, dict[str, int]] = {}
    remarks: list[str] = []
    for place in sorted(raw):
        readings = raw[place]
        present = readings[readings.notna().to_numpy() & readings.index.notna()]
        good = ((present >= 0) & (present <= limit)).to_numpy()
        possible, impossible = present[good], present[~good]
        highest = possible.groupby(level=0).max()
        kept[place] = highest
        counts[place] = {
            "rows": len(readings),
            MISSING: len(readings) - len(present),
            IMPOSSIBLE: len(impossible),
            REPEATED: len(possible) - len(highest),
            "used": len(highest),
        }
        bounds = f"expected 0 to {limit:g}{'' if unit is None else f' {unit}'}"
        remarks += _remarks("dropped", place, impossible, f"impossible, {bounds}")
        if unit is None:
            suspect = highest[(highest > RECORD["m/s"]).to_numpy()]
            remarks += _remarks("kept", place, suspect, "impossible in m/s; unit=m/s drops it")
    speeds = pd.DataFrame(kept).sort_index()
    dropped = pd.DataFrame.from_dict(counts, orient="index").rename_axis("place")
    dropped["hours without"] = len(speeds) - dropped["used"]
    return Cleaned(speeds, dropped, (*_totals(dropped, speeds), *remarks), unit or "")


def _remarks(verb: str, place: str, readings: pd.Series[float], reason: str) -> list[str]:
    """Describe each of the readings in a sentence, the first five at most."""
    times = pd.DatetimeIndex(readings.index).strftime("%Y-%m-%d %H:%M UTC")
    values = readings.to_numpy().tolist()
    lines = [
        f"{verb} {place}, {time}: {value:,.6g} is {reason}" for time, value in zip(times, values, strict=True)
    ]
    return (
        lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"{verb} {place}: {len(lines) - _SHOWN:,} more"]
    )


def _totals(dropped: pd.DataFrame, speeds: pd.DataFrame) -> list[str]:
    total = dropped.sum()
    partly = int(speeds.isna().any(axis=1).sum())
    kinds = (MISSING, IMPOSSIBLE, REPEATED)
    reasons = ", ".join(f"{total[name]:,} {name}" for name in kinds if total[name])
    used = f"{total['rows']:,} rows of {len(dropped)} places, {total['used']:,} used"
    lines = [f"{used}; dropped: {reasons or 'none'}"]
    if gaps := missing_everywhere(speeds):
        lines.append(f"{gaps:,} hours between the first and the last have no readings and are not counted")
    if partly:
        lines.append(
            f"{partly:,} of {len(speeds):,} hours lack the reading of a place; the others are compared"
        )
    return lines


def missing_everywhere(speeds: pd.DataFrame) -> int:
    """Count the hours between the first and the last without any reading; 0 if readings are not hourly."""
    if len(speeds) < 2:
        return 0
    times = (
        pd.DatetimeIndex(speeds.index).tz_localize(None).to_numpy().astype("datetime64[s]").astype("int64")
    )
    steps = np.diff(times)
    if int(np.median(steps)) != 3600:
        return 0
    return int((steps // 3600 - 1).sum())
