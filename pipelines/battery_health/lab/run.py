"""A run over a folder of laboratory cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from lightwork import InputError, Session
from pipelines.battery_health.lab.discharge import Measured, measure
from pipelines.battery_health.lab.errors import summary, window_table
from pipelines.battery_health.lab.like import conditions, simulated_errors
from pipelines.battery_health.lab.outcome import health_table, result
from pipelines.battery_health.lab.reading import Cells, Discharge, is_flat, read_cells, read_lake
from pipelines.battery_health.lab.reference import known, reference
from pipelines.battery_health.lab.reporting import report
from pipelines.battery_health.lab.windows import WindowError, window_errors

LOGGED = 20
"""Lines about what was dropped that are logged."""

Health = dict[str, dict[int, Measured]]
Errors = dict[str, dict[int, list[WindowError]]]


def cells_in(session: Session, data: str) -> Cells | None:
    """Read the cells in a folder: of this machine or, first if the path is relative, of the lake.

    Returns:
        The cells; None if the folder holds telemetry, or is not there.

    Raises:
        InputError: it holds something else.
    """
    local, folder = Path(data).expanduser(), data.strip("/")
    if not folder and not local.is_absolute():
        raise InputError("battery-health: data is empty; expected a folder of the lake or of this machine")
    if local.is_absolute() or data.startswith(".") or local.is_file():
        if not local.is_dir():
            raise InputError(
                f"battery-health: {data} is not a folder of this machine; expected one with cells' files"
            )
        return read_cells(local)
    if is_flat(session.lake, folder):
        return read_lake(session.lake, folder)
    return read_cells(local) if local.is_dir() and not session.lake.entries(folder) else None


def estimates(discharges: list[Discharge], cutoff: float) -> tuple[Health, Errors]:
    """Measure all discharges, and estimate their windows: an element for each cell and discharge.

    Measuring one takes a tenth of a millisecond, less than an element does, so it happens here.

    Raises:
        InputError: all discharges are at or below the cut-off with their first sample under load.
    """
    measured: Health = {}
    for one in discharges:
        measured.setdefault(one.cell, {})[one.number] = measure(one.samples, cutoff)
    every = [one for cell in measured.values() for one in cell.values()]
    if all(one.unsampled == 1.0 for one in every):
        raise InputError(
            f"battery-health: cutoff={cutoff:g}: every discharge begins at or below it; "
            "expected the voltage at which one is full, V"
        )
    samples = [one.samples for one in discharges]
    names, numbers = [one.cell for one in discharges], [one.number for one in discharges]
    past = [known(one.number, measured[one.cell]) for one in discharges]
    curves = reference(measured, cutoff)
    errors: Errors = {}
    windows = window_errors.map(names, numbers, samples, past, shared={"reference": curves})
    for one, rows in zip(discharges, windows, strict=True):
        errors.setdefault(one.cell, {})[one.number] = rows
    return measured, errors


def run(session: Session, cells: Cells, cutoff: float, source: str) -> dict[str, Any]:
    """Estimate the health of laboratory cells, write the artifacts and the report.

    Args:
        session: the run's session.
        cells: what the folder holds.
        cutoff: the voltage at which a discharge is full, V.
        source: the folder.
    """
    for line in cells.remarks[:LOGGED]:
        session.log.warning(line)
    if more := len(cells.remarks[LOGGED:]):
        session.log.warning(f"{more:,} more lines about what was dropped; the report has the first 200")
    session.log.info(
        f"{len(cells.discharges):,} discharges of {len({one.cell for one in cells.discharges}):,} cells"
    )
    measured, errors = estimates(cells.discharges, cutoff)
    if not any(one.full for cell in measured.values() for one in cell.values()):
        lowest = min(one.lowest for cell in measured.values() for one in cell.values())
        session.log.warning(
            f"no discharge fell to {cutoff:g} V (the lowest to {lowest:.2f} V), so none has a capacity; "
            "cutoff= is the voltage at which one is full"
        )
    health = health_table(cells.discharges, measured, errors, cutoff, source)
    windows = window_table(measured, errors)
    session.artifacts.write("cell-health", health)
    session.artifacts.write("window-errors", windows)
    session.artifacts.write("errors", summary(windows).astype({"share": "string"}))
    like = conditions(measured)
    simulated: tuple[Health, pd.DataFrame] | None = None
    if like is not None:
        (found,) = simulated_errors.map([like], shared={"cutoff": cutoff})
        simulated = found.measured, window_table(found.measured, found.errors)
    report(session, measured, health, windows, simulated, cells.remarks)
    return result(health, windows, cells.remarks)
