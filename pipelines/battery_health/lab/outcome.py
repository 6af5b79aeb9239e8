"""The artifact `cell-health` of laboratory cells, and the run's result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.battery_health.lab.discharge import LONGEST_STEP, PULSE, Measured
from pipelines.battery_health.lab.errors import OWN, summary
from pipelines.battery_health.lab.reading import Discharge
from pipelines.battery_health.lab.reference import first_like
from pipelines.battery_health.lab.windows import WindowError

COLUMNS = (
    *("battery", "cell", "day", "model", "region", "capacity_ah", "resistance_mohm", "soh"),
    *("discharge", "charge_ah", "estimated_ah", "low_ah", "high_ah"),
    *("celsius", "current_a", "lowest_v", "cutoff_v", "interval_s", "source", "note"),
)
"""Columns of the artifact `cell-health`: the first eight are those of telemetry."""

COARSE = 0.03
"""Share of the capacity between two samples above which a note says so."""

Windows = Mapping[str, Mapping[int, Sequence[WindowError]]]


def health_table(
    discharges: Sequence[Discharge],
    measured: Mapping[str, Mapping[int, Measured]],
    windows: Windows,
    cutoff: float,
    source: str,
) -> pd.DataFrame:
    """Return a row for each cell and discharge: the columns of telemetry's `cell-health`, and more.

    `battery` is the cell's name. `capacity_ah` is that of a full discharge, NaN otherwise; `soh` is relative
    to the cell's first full one at a like current and temperature, and `resistance_mohm` at the discharge's
    own temperature, as no data sheet is known. `estimated_ah`, `low_ah` and `high_ah` come from a window of
    half of the charge at a random place, or from all there is if the discharge never was full.
    """
    rows = []
    bases = {cell: first_like(of_cell) for cell, of_cell in measured.items()}
    for discharge in discharges:
        one = measured[discharge.cell][discharge.number]
        window = _shown(windows[discharge.cell][discharge.number])
        rows.append(
            (
                *(discharge.cell, 1, pd.NaT, None, None, one.capacity_ah, one.resistance_mohm),
                one.capacity_ah / bases[discharge.cell].get(discharge.number, math.nan),
                *(discharge.number, one.charge_ah, window.capacity_ah, window.low, window.high),
                *(one.celsius, one.current, one.lowest, cutoff, one.interval),
                *(source, note(one, window, cutoff)),
            )
        )
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    return table.astype({"cell": "int16", "day": "datetime64[ms]", "model": "string", "region": "string"})


def _shown(windows: Sequence[WindowError]) -> WindowError:
    """Return the window that stands for a discharge: one of half of the charge if there is one."""
    halves = [window for window in windows if window.share in ("half", "all")]
    return next((window for window in halves if window.own), halves[0])


def note(one: Measured, window: WindowError, cutoff: float) -> str:
    """Say what a row lacks, and why."""
    notes = []
    if not one.full:
        notes.append(f"never fell to {cutoff:g} V (lowest {one.lowest:.2f} V): no capacity")
    elif one.unsampled > COARSE:
        notes.append(f"{one.unsampled:.0%} of the capacity flowed between two samples: it is that uncertain")
    if math.isnan(one.resistance_mohm):
        notes.append(
            f"no resistance: no sample at rest up to {LONGEST_STEP:g} s before the load, "
            f"or too few in the first {PULSE:g} s of it"
        )
    if window.reason:
        notes.append(f"no estimate: {window.reason}")
    return "; ".join(notes)


def result(health: pd.DataFrame, windows: pd.DataFrame, remarks: Sequence[str]) -> dict[str, Any]:
    """Build the pipeline's return value."""
    table = summary(windows)
    own = table[table["known"] == OWN]
    shares = [str(share) for share in own["share"]]
    return {
        "cells": int(health["battery"].nunique()),
        "discharges": len(health),
        "without_capacity": int(health["capacity_ah"].isna().sum()),
        "without_resistance": int(health["resistance_mohm"].isna().sum()),
        "last_soh": {
            str(cell): round(float(values.iloc[-1]), 4)
            for cell, values in health.dropna(subset=["soh"]).groupby("battery")["soh"]
        },
        "mean_error": dict(zip(shares, own["mean_error"].round(4).tolist(), strict=True)),
        "covered": dict(zip(shares, own["covered"].round(4).tolist(), strict=True)),
        "dropped": len(remarks),
    }
