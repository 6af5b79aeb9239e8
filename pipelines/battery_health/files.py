"""Layout of telemetry in a lake: one Parquet file per battery and day, in folders named after both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from lightwork import InputError
from lightwork.errors import near
from lightwork.lake import Lake
from pipelines.battery_health.models import MODELS

PATTERN = "model=…/region=…/battery=…/day=YYYY-MM-DD/….parquet"
_PATH = re.compile(
    r"model=(?P<model>[^/]+)/region=(?P<region>[^/]+)/battery=(?P<battery>[^/]+)"
    r"/day=(?P<day>\d{4}-\d\d-\d\d)/[^/]+\.parquet"
)


@dataclass(frozen=True, slots=True)
class BatteryDay:
    """The telemetry of one battery on one day.

    Attributes:
        path: the file's path in the lake.
        version: the file's version, which changes whenever its content does.
        model: the model of the battery's cells.
        region: where the battery is.
        battery: the battery's name.
        day: the day, ISO 8601.
    """

    path: str
    version: str
    model: str
    region: str
    battery: str
    day: str


def path_of(folder: str, model: str, region: str, battery: str, day: str) -> str:
    """Return the path of a battery's file for a day."""
    return f"{folder}/model={model}/region={region}/battery={battery}/day={day}/cells.parquet"


def battery_day(folder: str, path: str, version: str) -> BatteryDay:
    """Parse the path of a telemetry file.

    Raises:
        InputError: the path does not match the layout, or names an unknown model.
    """
    match = _PATH.fullmatch(path.removeprefix(f"{folder}/"))
    if match is None:
        raise InputError(f"battery-health: {path} is not a telemetry path; expected {folder}/{PATTERN}")
    if match["model"] not in MODELS:
        raise InputError(
            f"battery-health: {path}: unknown model {match['model']!r}{near(match['model'], MODELS)}"
        )
    return BatteryDay(path, version, **match.groupdict())


def stored(lake: Lake, folder: str) -> list[BatteryDay]:
    """List the telemetry in a folder of the lake, ordered by model, region, battery and day.

    A file's version is its size and the time it was written.

    Raises:
        InputError: the folder has no telemetry, a file outside the layout, or two for one battery and day.
    """
    folder = folder.strip("/")
    entries = [entry for entry in lake.entries(folder) if entry.path.endswith(".parquet")]
    if not entries:
        raise InputError(
            f"battery-health: no Parquet files in {lake.root}/{folder}; "
            f"expected a folder of this lake with {PATTERN}"
        )
    days = [battery_day(folder, entry.path, f"{entry.size}@{entry.modified!r}") for entry in entries]
    for before, after in pairwise(sorted(days, key=lambda day: (day.battery, day.day))):
        if (before.battery, before.day) == (after.battery, after.day):
            both = f"{before.path} and {after.path}"
            raise InputError(f"battery-health: {both} cover the same battery and day; expected one file")
    return days
