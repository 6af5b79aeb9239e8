"""The artifact `cell-health` of laboratory cells, and the run's result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.battery_health.lab.discharge import Measured
from pipelines.battery_health.lab.errors import OWN, summary
from pipelines.battery_health.lab.reading import Discharge
from pipelines.battery_health.lab.windows import WindowError

Windows = Mapping[str, Mapping[int, Sequence[WindowError]]]


def health_table(
    discharges: Sequence[Discharge],
    measured: Mapping[str, Mapping[int, Measured]],
    windows: Windows,
    cutoff: float,
    source: str,
) -> pd.DataFrame:
    """Return a row for each cell and discharge: the columns of telemetry's `cell-health`, and what is known here.

    `battery` is the cell's name. `capacity_ah` is that of a full discharge, NaN otherwise; `soh` is relative to
    the cell's first full one, and `resistance_mohm` at the discharge's own temperature, as no data sheet is known.
    `estimated_ah`, `low_ah` and `high_ah` come from a window of half of the charge at a random place, or from all
    there is if the discharge never was full.
    """
    rows = []
    for discharge in discharges:
        cell, number = discharge.cell, discharge.number
        one = measured[cell][number]
        new = next(
            (x.capacity_ah for _, x in sorted(measured[cell].items()) if x.curve is not None), math.nan
        )
        window = _shown(windows[cell][number])
        rows.append(
            {
                **{"battery": cell, "cell": 1, "day": pd.NaT, "model": None, "region": None},
                **{"capacity_ah": one.capacity_ah, "resistance_mohm": one.resistance_mohm},
                **{"soh": one.capacity_ah / new, "discharge": number, "charge_ah": one.charge_ah},
                **{"estimated_ah": window.capacity_ah, "low_ah": window.low, "high_ah": window.high},
                **{
                    "celsius": one.celsius,
                    "current_a": one.current,
                    "lowest_v": one.lowest,
                    "cutoff_v": cutoff,
                },
                **{"interval_s": one.interval, "source": source, "note": note(one, window, cutoff)},
            }
        )
    table = pd.DataFrame(rows)
    return table.astype({"cell": "int16", "day": "datetime64[ms]", "model": "string", "region": "string"})


def _shown(windows: Sequence[WindowError]) -> WindowError:
    """Return the window that stands for a discharge: of half of the charge if there is one, best known first."""
    halves = [window for window in windows if window.share in ("half", "all")]
    return next((window for window in halves if window.own), halves[0])


def note(one: Measured, window: WindowError, cutoff: float) -> str:
    """Say what a row lacks, and why."""
    notes = []
    if one.curve is None:
        notes.append(f"never fell to {cutoff:g} V (lowest {one.lowest:.2f} V): no capacity")
    if math.isnan(one.resistance_mohm):
        notes.append("no rest before the load: no resistance")
    if window.reason:
        notes.append(f"no estimate: {window.reason}")
    return "; ".join(notes)


def result(health: pd.DataFrame, windows: pd.DataFrame, remarks: Sequence[str]) -> dict[str, Any]:
    """Build the pipeline's return value."""
    table = summary(windows)
    own = table[table["known"] == OWN]
    return {
        "cells": int(health["battery"].nunique()),
        "discharges": len(health),
        "without_capacity": int(health["capacity_ah"].isna().sum()),
        "without_resistance": int(health["resistance_mohm"].isna().sum()),
        "last_soh": {
            str(cell): round(float(values.iloc[-1]), 4)
            for cell, values in health.dropna(subset=["soh"]).groupby("battery")["soh"]
        },
        "mean_error": {
            str(row.share): round(float(row.mean_error), 4) for row in own.itertuples(index=False)
        },
        "covered": {str(row.share): round(float(row.covered), 4) for row in own.itertuples(index=False)},
        "dropped": len(remarks),
    }
