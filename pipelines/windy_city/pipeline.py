"""The windiest place at each hour, and how often each place wins."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Gt
from pydantic import DirectoryPath

from lightwork import InputError, current_session, pipeline, task
from pipelines.windy_city.cleaning import Unit, clean
from pipelines.windy_city.reading import read_airports, read_folder
from pipelines.windy_city.reporting import report


@task
def windiest(timestamp: str, readings: dict[str, dict[str, float]]) -> tuple[str, ...]:
    """Return the places with the highest speed at an hour: one, or several if they tie.

    Args:
        timestamp: the hour, a key of `readings`.
        readings: for each hour, the speed by place; places without a reading are left out.
    """
    speeds = readings[timestamp]
    top = max(speeds.values())
    return tuple(place for place, speed in speeds.items() if speed == top)


@pipeline
def windy_city(
    data: DirectoryPath | None = None,
    max_timestamps: Annotated[int, Gt(0)] | None = None,
    unit: Unit | None = None,
) -> dict[str, Any]:
    """How often each place is the windiest, hour by hour.

    Args:
        data: a folder with one Parquet file per place, each with a time index and a column `wind_speed`; by
            default a year of readings at the three New York airports.
        max_timestamps: how many hours to use, the earliest first; all by default.
        unit: the unit of the folder's speeds; readings above any wind on record are then dropped. The
            airports' speeds are in mph.

    Returns:
        `wins`, the hours at which each place alone was the windiest; `tied_hours`; `hours`, their sum.
    """
    session = current_session()
    if data is None and unit not in (None, "mph"):
        raise InputError(
            f"windy-city: the airports' speeds are in mph, not {unit}; omit unit, or give data=FOLDER"
        )
    raw = read_airports() if data is None else read_folder(data)
    cleaned = clean(raw, "mph" if data is None else unit)
    for line in cleaned.remarks:
        session.log.info(line)
    if cleaned.speeds.empty:
        raise InputError(f"windy-city: {data} has no usable readings; expected numbers in wind_speed")

    speeds = cleaned.speeds.iloc[:max_timestamps]
    readings = cleaned.by_hour(max_timestamps)
    winners = list(windiest.map(list(readings), shared={"readings": readings}))

    wins = dict.fromkeys(speeds.columns, 0)
    for places in winners:
        if len(places) == 1:
            wins[places[0]] += 1
    report(session, cleaned, speeds, winners, wins)
    return {"wins": wins, "tied_hours": len(winners) - sum(wins.values()), "hours": len(winners)}
