"""Files of cells, split into discharges; what cannot be used is dropped, with a line that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lightwork import InputError
from lightwork.lake import Entry, Lake
from pipelines.battery_health.lab.columns import LOAD, NAMES, check, chosen
from pipelines.battery_health.lab.parts import one_discharge
from pipelines.battery_health.models import Floats

_SUFFIX = re.compile(r"(\.bdf)?\.(parquet|csv|csv\.gz)$|\.bdf(\.gz)?$", re.IGNORECASE)
_NOTES = (".md", ".txt", ".pdf", ".html")
"""Files beside those of cells that nobody takes for one."""
SAMPLE_COLUMNS = ("seconds", "current", "voltage", "temperature")
"""Columns of a discharge's samples: s since its first sample, A (negative when discharging), V, °C."""
PAUSE = 600.0
"""Time without samples, s, in which a cell may have been charged, if its voltage is higher by `RISE` then."""
RISE = 0.5
FILLED = 300.0
"""Longest time, s, to a sample with a temperature for one without."""


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
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    files = ((path.name, path.read_bytes()) for path in paths if _is_table(path.name))
    return _cells(files, [path.name for path in paths], str(folder))


def read_lake(lake: Lake, folder: str) -> Cells:
    """Read a folder of cells in the lake; raises as `read_cells`."""
    paths = {entry.path.rsplit("/", 1)[-1]: entry.path for entry in _direct(lake, folder)}
    files = ((name, lake.read(path)) for name, path in paths.items() if _is_table(name))
    return _cells(files, list(paths), f"{lake.root}/{folder}")


def is_flat(lake: Lake, folder: str) -> bool:
    """Whether a folder of the lake directly holds files, as one of cells does."""
    return any(_is_table(entry.path.rsplit("/", 1)[-1]) for entry in _direct(lake, folder))


def _direct(lake: Lake, folder: str) -> list[Entry]:
    """List the files of a folder that are in no folder of their own."""
    return [entry for entry in lake.entries(folder) if "/" not in entry.path.removeprefix(f"{folder}/")]


def _is_table(name: str) -> bool:
    return _SUFFIX.search(name) is not None and not name.startswith(".")


def _cells(files: Iterator[tuple[str, bytes]], names: list[str], folder: str) -> Cells:
    discharges: list[Discharge] = []
    remarks = [
        f"{name} is not read; expected .parquet or .csv"
        for name in names
        if not (_is_table(name) or name.startswith(".") or name.lower().endswith(_NOTES))
    ]
    seen: dict[str, str] = {}
    signatures: dict[tuple[float, ...], str] = {}
    for name, data in files:
        cell = _SUFFIX.sub("", name)
        if cell in seen:
            raise InputError(
                f"battery-health: {folder}: {seen[cell]} and {name} are the same cell; expected one file"
            )
        seen[cell] = name
        of_cell = _split(cell, _columns(data, name, f"{folder}/{name}"), remarks)
        marks = [_signature(one) for one in of_cell]
        if twins := [signatures[mark] for mark in marks if mark in signatures]:
            remarks.append(
                f"{cell}: {len(twins)} of its {len(marks)} discharges are also those of {twins[0]}, "
                "so it is the same cell; left out"
            )
            continue
        signatures |= dict.fromkeys(marks, cell)
        discharges += of_cell
    if not seen:
        raise InputError(f"battery-health: no files of cells in {folder}; expected .parquet, .csv")
    if not discharges:
        raise InputError(f"battery-health: {folder} has no usable discharge: {remarks[-1]}")
    return Cells(discharges, remarks)


def _signature(one: Discharge) -> tuple[float, ...]:
    """Return what no two measured discharges share, and single precision or a CSV file does not change."""
    return one.samples.shape[1], *np.round(one.samples.mean(axis=1), 4).tolist()


def _columns(data: bytes, name: str, where: str) -> dict[str, Floats]:
    table, header = _table(data, name, where)
    names = chosen(header, where)
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


def _table(data: bytes, name: str, where: str) -> tuple[pa.Table, list[str]]:
    """Read a file: its table, and the names of the columns."""
    import pyarrow.csv
    import pyarrow.parquet as pq

    buffer = pa.BufferReader(data)
    try:
        if name.lower().endswith(".parquet"):
            table = pq.ParquetFile(buffer).read(use_threads=False)
        else:
            stream = pa.CompressedInputStream(buffer, "gzip") if name.lower().endswith(".gz") else buffer
            table = pyarrow.csv.read_csv(stream, read_options=pyarrow.csv.ReadOptions(use_threads=False))
        return table, table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())[:200]
        expected = ", ".join(accepted[0] for accepted in NAMES.values())
        raise InputError(
            f"battery-health: {where} cannot be read ({text}); expected the columns {expected}"
        ) from error


def _split(cell: str, columns: dict[str, Floats], remarks: list[str]) -> list[Discharge]:
    """Split a cell's samples into its discharges."""
    columns = _with_temperatures(cell, columns, remarks)
    whole = np.isfinite(np.sum(list(columns.values()), axis=0))
    if not whole.any():
        empty = [name for name, values in columns.items() if not np.isfinite(values).any()]
        without = f" ({', '.join(empty)} has none)" if empty else ""
        remarks.append(f"{cell}: no sample has all values{without}; the cell is left out")
        return []
    if not whole.all():
        remarks.append(f"{cell}: {(~whole).sum():,} samples without a value are dropped")
        columns = {name: values[whole] for name, values in columns.items()}
    samples = np.stack([columns[name] for name in SAMPLE_COLUMNS])
    numbers = columns["cycle"] if "cycle" in columns else _numbered(samples)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    if (runs := len(edges) - 1) > 2 * len(np.unique(numbers)) + 10:
        raise InputError(
            f"battery-health: {cell}: cycle changes {runs:,} times from row to row; expected rows in order"
        )
    check(columns, numbers, cell)
    found: dict[int, Floats] = {}
    contents: dict[bytes, int] = {}
    for start, end in pairwise(edges):
        number = int(numbers[start])
        where = f"{cell}, discharge {number}"
        part = one_discharge(where, samples[:, start:end], "cycle" in columns, remarks)
        if part is None:
            continue
        twin = contents.setdefault(part.tobytes(), number)
        if twin != number or number in found:
            reason = f"the same samples as {twin}" if twin != number else "its number occurs twice"
            remarks.append(f"{where}: {reason}; dropped")
            continue
        found[number] = part
    if list(found) != sorted(found):
        remarks.append(f"{cell}: discharges are out of order; their numbers are used")
    return [Discharge(cell, number, found[number]) for number in sorted(found)]


def _with_temperatures(cell: str, columns: dict[str, Floats], remarks: list[str]) -> dict[str, Floats]:
    """Fill gaps between temperatures, which many cyclers record less often than voltages."""
    celsius, seconds = columns["temperature"], columns["seconds"]
    known = np.flatnonzero(np.isfinite(celsius))
    if len(known) in (0, len(celsius)):
        return columns
    at = np.searchsorted(known, np.arange(len(celsius)))
    before, after = known[np.maximum(at - 1, 0)], known[np.minimum(at, len(known) - 1)]
    cycles = columns.get("cycle", np.zeros(len(celsius)))
    away = [
        np.where(cycles[other] == cycles, np.abs(seconds[other] - seconds), np.inf)
        for other in (before, after)
    ]
    filled = (np.minimum(*away) <= FILLED) & ~np.isfinite(celsius)
    if not filled.any():
        return columns
    remarks.append(f"{cell}: {filled.sum():,} samples without a temperature have that of their neighbours")
    nearer = np.where(away[0] <= away[1], celsius[before], celsius[after])
    return {**columns, "temperature": np.where(filled, nearer, celsius)}


def _numbered(samples: Floats) -> Floats:
    """Number the discharges of a file without cycles.

    Each begins after charging, where time starts again, or where the cell must have been charged meanwhile.
    """
    seconds, current, voltage, _ = samples
    limit = LOAD * float(np.abs(current).max())
    charging = current > limit
    passed = np.diff(seconds)
    unseen = (passed > PAUSE) & (np.diff(voltage) > RISE)
    ends = np.concatenate(([False], (charging[:-1] & ~charging[1:]) | (passed < 0.0) | unseen))
    parts = np.cumsum(ends)
    discharged = np.bincount(parts, weights=current < -limit) > 0
    return np.asarray(np.cumsum(discharged)[parts], dtype=np.float64)
