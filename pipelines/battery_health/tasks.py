"""The work for one battery and one day: making its telemetry, and estimating its cells' health."""

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


class Made(NamedTuple):
    """A file of simulated telemetry.

    Attributes:
        path: in the lake.
        digest: of its content.
        rows: how many it has.
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
def simulate(number: int, day: str, seed: int, folder: str, lake: Lake) -> Made:
    """Write the telemetry of a simulated battery on a day.

    Args:
        number: of the battery in its fleet, from 0.
        day: ISO 8601.
        seed: of the fleet.
        folder: of the lake, where the fleet's telemetry is.
        lake: where to write.
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
    return Made(path, digest, table.num_rows, len(data), capacity, resistance)


simulate_again = task(cache=False)(simulate.fn)
"""`simulate`, whatever is cached: for files that are gone."""


@task(ignore=["lake"])
def cell_health(path: str, version: str, model: str, lake: Lake) -> list[Health]:  # noqa: ARG001
    """The health of a battery's cells on a day.

    Args:
        path: of the telemetry, in the lake.
        version: of the file; it is here so that another content is another call.
        model: of the cells, one of `MODELS`.
        lake: where the file is.

    Raises:
        LightworkError: the file is gone, or is no telemetry.
    """
    return estimate(read(lake, path), MODELS[model])


def read(lake: Lake, path: str) -> pa.Table:
    """The telemetry in a file of the lake.

    Raises:
        LightworkError: there is no such file, or it is no telemetry.
    """
    files, base = lake.arrow()
    right = f"expected Parquet with the columns {', '.join(COLUMNS)}"
    try:
        with files.open_input_file(f"{base}/{path}") as source, pq.ParquetFile(source) as file:
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise LightworkError(f"{lake.uri(path)} has no column {missing[0]}; {right}")
            # The other cores have files of their own to read.
            return file.read(columns=list(COLUMNS), use_threads=False)
    except FileNotFoundError:
        raise LightworkError(f"{lake.uri(path)} is gone") from None
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())
        raise LightworkError(f"{lake.uri(path)} cannot be read ({text}); {right}") from error
