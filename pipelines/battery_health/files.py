"""Where telemetry lies in a lake: a Parquet file a battery and day, in folders that say which."""

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
        path: of its file, in the lake.
        version: changes whenever the file's content does.
        model: of the battery's cells.
        region: where the battery is.
        battery: its name.
        day: ISO 8601.
    """

    path: str
    version: str
    model: str
    region: str
    battery: str
    day: str


def path_of(folder: str, model: str, region: str, battery: str, day: str) -> str:
    """The path of a battery's day."""
    return f"{folder}/model={model}/region={region}/battery={battery}/day={day}/cells.parquet"


def battery_day(folder: str, path: str, version: str) -> BatteryDay:
    """What a file's folders say.

    Raises:
        InputError: they don't say it, or name a model that is not known.
    """
    found = _PATH.fullmatch(path.removeprefix(f"{folder}/"))
    if found is None:
        raise InputError(
            f"battery-health: {path} is not where telemetry belongs; expected {folder}/{PATTERN}"
        )
    if found["model"] not in MODELS:
        raise InputError(
            f"battery-health: {path}: no model {found['model']!r} is known{near(found['model'], MODELS)}"
        )
    return BatteryDay(path, version, **found.groupdict())


def stored(lake: Lake, folder: str) -> list[BatteryDay]:
    """The telemetry in a folder of the lake, ordered by model, region, battery and day.

    A file's version is its size and the time it was written.

    Raises:
        InputError: there is none, two files for one battery and day, or files that don't belong there.
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
            raise InputError(f"battery-health: {both} are of one battery and day; expected one file")
    return days
