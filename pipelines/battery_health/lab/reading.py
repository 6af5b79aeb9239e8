"""Files of cells, split into discharges; what cannot be used is dropped, with a line that says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lightwork import InputError
from lightwork.lake import Lake
from pipelines.battery_health.lab.columns import NAMES, check, chosen
from pipelines.battery_health.models import Floats

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".bdf", ".bdf.gz")
SAMPLE_COLUMNS = ("seconds", "current", "voltage", "temperature")
"""Columns of a discharge's samples: s since its first sample, A (negative when discharging), V, °C."""
FEWEST = 10
"""Fewest samples under load of a discharge."""
_DISORDER = 0.05
"""Largest share of samples that may be dropped from a discharge before all of it is."""


@dataclass(frozen=True, slots=True)
class Discharge:
    """A discharge of a cell, with the rests before and after it.

    Attributes:
        cell: the cell's name, that of its file.
        number: the discharge's number.
        samples: a row for each of `SAMPLE_COLUMNS`, a column for each sample.
    """

    cell: str
    number: int
    samples: Floats


@dataclass(frozen=True, slots=True)
class Cells:
    """What a folder holds.

    Attributes:
        discharges: ordered by cell and number.
        remarks: a line for everything that was dropped, and why.
    """

    discharges: list[Discharge]
    remarks: list[str]


def read_cells(folder: Path) -> Cells:
    """Read a local folder of cells.

    Raises:
        InputError: there are no such files, or one of them is not a table of samples.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file() and _is_table(path.name))
    return _cells(((path.name, path.read_bytes()) for path in paths), str(folder))


def read_lake(lake: Lake, folder: str) -> Cells:
    """Read a folder of cells in the lake; raises as `read_cells`."""
    paths = sorted(entry.path for entry in lake.entries(folder) if _is_table(entry.path))
    files = ((path.rsplit("/", 1)[-1], lake.read(path)) for path in paths)
    return _cells(files, f"{lake.root}/{folder}")


def is_flat(lake: Lake, folder: str) -> bool:
    """Whether a folder of the lake directly holds files, as one of cells does."""
    return any(
        "/" not in entry.path.removeprefix(f"{folder}/") and _is_table(entry.path)
        for entry in lake.entries(folder)
    )


def _is_table(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _cells(files: Iterator[tuple[str, bytes]], folder: str) -> Cells:
    discharges: list[Discharge] = []
    remarks: list[str] = []
    seen: dict[str, str] = {}
    for name, data in files:
        cell = name.split(".")[0]
        if cell in seen:
            raise InputError(
                f"battery-health: {folder}: {seen[cell]} and {name} are the same cell; expected one file"
            )
        seen[cell] = name
        discharges += _split(cell, _columns(data, name, f"{folder}/{name}"), remarks)
    if not seen:
        raise InputError(f"battery-health: no files of cells in {folder}; expected {', '.join(SUFFIXES[:2])}")
    if not discharges:
        raise InputError(f"battery-health: {folder} has no usable discharge: {remarks[0]}")
    return Cells(discharges, remarks)


def _columns(data: bytes, name: str, where: str) -> dict[str, Floats]:
    table = _table(data, name, where)
    names = chosen(table.column_names, where)
    columns: dict[str, Floats] = {}
    for column, original in names.items():
        try:
            values = table[original].cast(pa.float64())
        except pa.ArrowException as error:
            raise InputError(
                f"battery-health: {where}: {original} is {table[original].type}, not numbers"
            ) from error
        columns[column] = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    if not len(columns["seconds"]):
        raise InputError(f"battery-health: {where} has no rows")
    return columns


def _table(data: bytes, name: str, where: str) -> pa.Table:
    import pyarrow.csv
    import pyarrow.parquet as pq

    buffer = pa.BufferReader(data)
    try:
        if name.lower().endswith(".parquet"):
            return pq.ParquetFile(buffer).read(use_threads=False)
        stream = pa.CompressedInputStream(buffer, "gzip") if name.lower().endswith(".gz") else buffer
        return pyarrow.csv.read_csv(stream, read_options=pyarrow.csv.ReadOptions(use_threads=False))
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())[:200]
        expected = ", ".join(accepted[0] for accepted in NAMES.values())
        raise InputError(
            f"battery-health: {where} cannot be read ({text}); expected the columns {expected}"
        ) from error


def _split(cell: str, columns: dict[str, Floats], remarks: list[str]) -> list[Discharge]:
    """Split a cell's samples into its discharges."""
    whole = ~np.isnan(np.sum(list(columns.values()), axis=0))
    if not whole.any():
        remarks.append(f"{cell}: no sample has all values; the cell is left out")
        return []
    if not whole.all():
        remarks.append(f"{cell}: {(~whole).sum():,} samples without a value are dropped")
        columns = {name: values[whole] for name, values in columns.items()}
    samples = np.stack([columns[name] for name in SAMPLE_COLUMNS])
    numbers = columns["cycle"] if "cycle" in columns else _numbered(samples)
    check(columns, numbers, cell)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    found: dict[int, Floats] = {}
    contents: dict[bytes, int] = {}
    for start, end in pairwise(edges):
        number = int(numbers[start])
        part = _discharge(f"{cell}, discharge {number}", samples[:, start:end], "cycle" in columns, remarks)
        if part is None:
            continue
        twin = contents.setdefault(part.tobytes(), number)
        if twin != number or number in found:
            reason = f"the same samples as {twin}" if twin != number else "its number occurs twice"
            remarks.append(f"{cell}, discharge {number}: {reason}; dropped")
            continue
        found[number] = part
    if list(found) != sorted(found):
        remarks.append(f"{cell}: discharges are out of order; their numbers are used")
    return [Discharge(cell, number, found[number]) for number in sorted(found)]


def _numbered(samples: Floats) -> Floats:
    """Number the discharges of a file without cycles: each begins after charging, or where time restarts."""
    seconds, current = samples[0], samples[1]
    limit = 0.05 * float(np.abs(current).max())
    charging = current > limit
    ends = np.concatenate(([False], charging[:-1] & ~charging[1:])) | np.concatenate(
        ([False], np.diff(seconds) < 0)
    )
    parts = np.cumsum(ends)
    discharged = np.bincount(parts, weights=current < -limit) > 0
    return np.asarray(np.cumsum(discharged)[parts], dtype=np.float64)


def _discharge(where: str, samples: Floats, numbered: bool, remarks: list[str]) -> Floats | None:
    """Return a discharge's samples in order of time, without charging; None if it is unusable."""
    seconds = samples[0]
    ahead = np.concatenate(([True], seconds[1:] > np.maximum.accumulate(seconds)[:-1]))
    if (dropped := int((~ahead).sum())) > _DISORDER * len(seconds):
        remarks.append(f"{where}: {dropped} of {len(seconds)} samples are out of order or doubled; dropped")
        return None
    if dropped:
        remarks.append(f"{where}: {dropped} samples that are out of order or doubled are dropped")
        samples = samples[:, ahead]
    samples = _without_charging(samples)
    limit = 0.05 * float(np.abs(samples[1]).max(initial=0.0))
    if int((samples[1] < -limit).sum()) < FEWEST:
        # A cycle without a discharge is one; a stretch that only charging separates is not.
        if numbered:
            remarks.append(f"{where}: fewer than {FEWEST} samples under load; dropped")
        return None
    return np.ascontiguousarray(np.vstack([samples[:1] - samples[0, 0], samples[1:]]))


def _without_charging(samples: Floats) -> Floats:
    """Return the longest stretch without charging that has a discharge in it."""
    current = samples[1]
    charging = np.concatenate(([True], current > 0.05 * float(np.abs(current).max()), [True]))
    walls = np.flatnonzero(charging)
    drawn = np.concatenate(([0.0], np.cumsum(np.maximum(-current, 0.0))))
    amounts = drawn[walls[1:] - 1] - drawn[walls[:-1]]
    best = int(amounts.argmax())
    return samples[:, walls[best] : walls[best + 1] - 1]
