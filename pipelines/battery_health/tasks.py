"""Tasks for one battery and one day: simulating its telemetry, and estimating its cells' health."""

from __future__ import annotations

import datetime as dt
from hashlib import blake2b
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lightwork import LightworkError, task
from lightwork.lake import Lake
from pipelines.battery_health.estimation import COLUMNS, Health, estimate
from pipelines.battery_health.files import path_of
from pipelines.battery_health.models import MODELS
from pipelines.battery_health.simulation import battery, telemetry, truth


class SimulatedFile(NamedTuple):
    """A file of simulated telemetry.

    Attributes:
        path: the file's path in the lake.
        digest: the digest of its content.
        rows: its number of rows.
        bytes: its size.
        capacity_ah: the true capacity of each cell, Ah.
        resistance_mohm: the true resistance of each cell at 25 °C, mOhm.
    """

    path: str
    digest: str
    rows: int
    bytes: int
    capacity_ah: tuple[float, ...]
    resistance_mohm: tuple[float, ...]


@task(ignore=["lake"])
def simulate(number: int, day: str, seed: int, folder: str, lake: Lake) -> SimulatedFile:
    """Simulate a battery's telemetry for a day and write it to the lake.

    Args:
        number: the battery's number in the fleet, from 0.
        day: the day, ISO 8601.
        seed: the fleet's seed.
        folder: the folder of the lake for the fleet's telemetry.
        lake: the lake to write to.
    """
    unit, date = battery(seed, number), dt.date.fromisoformat(day)
    table, real = telemetry(unit, date), truth(unit, date)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = memoryview(sink.getvalue())
    path = path_of(folder, unit.model, unit.region, unit.name, day)
    lake.write(path, data)
    digest = blake2b(data, digest_size=16).hexdigest()
    capacity, resistance = (tuple(values.tolist()) for values in (real.capacity_ah, real.resistance_mohm))
    return SimulatedFile(path, digest, table.num_rows, len(data), capacity, resistance)


simulate_again = task(cache=False)(simulate.fn)
"""`simulate` without the cache, for files that were deleted."""


@task(ignore=["lake"])
def cell_health(path: str, version: str, model: str, lake: Lake) -> list[Health]:  # noqa: ARG001
    """Estimate the health of a battery's cells on a day.

    Args:
        path: the path of the telemetry in the lake.
        version: the file's version; unused, but it makes changed content a new call.
        model: the cells' model, a key of `MODELS`.
        lake: the lake that holds the file.

    Raises:
        LightworkError: the file does not exist, or is not telemetry.
    """
    return estimate(read(lake, path), MODELS[model])


def read(lake: Lake, path: str) -> pa.Table:
    """Read the telemetry in a file of the lake.

    Raises:
        LightworkError: the file does not exist, or is not telemetry.
    """
    files, base = lake.arrow()
    expected = f"expected Parquet with the columns {', '.join(COLUMNS)}"
    try:
        with files.open_input_file(f"{base}/{path}") as source, pq.ParquetFile(source) as file:
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise LightworkError(f"{lake.uri(path)} has no column {missing[0]}; {expected}")
            # A single thread: other tasks read other files on the other cores.
            return file.read(columns=list(COLUMNS), use_threads=False)
    except FileNotFoundError:
        raise LightworkError(f"{lake.uri(path)} does not exist") from None
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())
        raise LightworkError(f"{lake.uri(path)} cannot be read ({text}); {expected}") from error
