"""The hours of daylight of a place, day by day."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from annotated_types import Gt, Le
from astral import LocationInfo, Observer
from astral.geocoder import database, lookup
from astral.sun import daylight as sun_is_up
from astral.sun import elevation, noon

from lightwork import InputError, pipeline, task


@pipeline
def daylight(
    place: str = "Oslo", start: dt.date = dt.date(2026, 1, 1), days: Annotated[int, Gt(0), Le(36_525)] = 365
) -> dict[str, Any]:
    """How long the days of a place are.

    Args:
        place: a city that astral knows.
        start: the first day.
        days: the number of days.

    Returns:
        `place`, `days`, and the `longest` and the `shortest` day in hours.
    """
    where = located(place)
    dates = (start + dt.timedelta(days=number) for number in range(days))
    hours = list(hours_of.map(dates, shared={"latitude": where.latitude, "longitude": where.longitude}))
    return {"place": where.name, "days": days, "longest": max(hours), "shortest": min(hours)}


@task
def hours_of(day: dt.date, latitude: float, longitude: float) -> float:
    """Return the hours between sunrise and sunset."""
    observer = Observer(latitude, longitude)
    try:
        rise, down = sun_is_up(observer, day)
    except ValueError:  # the sun is up, or down, for the whole day
        return 24.0 if elevation(observer, noon(observer, day)) > 0 else 0.0
    return round((down - rise).total_seconds() / 3600, 2)


def located(place: str) -> LocationInfo:
    """Return where a city is.

    Raises:
        InputError: astral does not know it.
    """
    try:
        found = lookup(place, database())
    except KeyError:
        raise InputError(f"place {place!r} is not known; expected a city such as Oslo") from None
    if not isinstance(found, LocationInfo):
        raise InputError(f"place {place!r} is a group of cities; expected one city such as Oslo")
    return found
