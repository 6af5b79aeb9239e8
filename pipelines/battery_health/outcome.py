"""Results of a run: the table of cells, counts and errors, the report."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from lightwork import Session
from pipelines.battery_health.estimation import Health
from pipelines.battery_health.files import BatteryDay
from pipelines.battery_health.models import MODELS
from pipelines.battery_health.tasks import SimulatedFile

SCHEMA = pa.schema(
    [
        ("battery", pa.string()),
        ("cell", pa.int16()),
        ("day", pa.timestamp("ms")),
        ("model", pa.string()),
        ("region", pa.string()),
        ("capacity_ah", pa.float64()),
        ("resistance_mohm", pa.float64()),
        ("soh", pa.float64()),
    ]
)
"""Schema of the artifact `cell-health`; `soh` is the capacity as a share of a new cell's."""

_DAYS_PER_PIECE = 2000
_CELLS_SHOWN = 15


@dataclass(slots=True)
class Outcome:
    """Counts and errors, accumulated as results arrive.

    Attributes:
        batteries: the number of cells of each battery, by the battery's name.
        cell_days: the number of estimates.
        without_capacity: estimates without a capacity, for lack of rests.
        without_resistance: estimates without a resistance, for lack of steps.
        capacity_error: the largest error so far, as a share of the true value; NaN if the truth is unknown.
        resistance_error: likewise for the resistance.
    """

    batteries: dict[str, int] = field(default_factory=dict)
    cell_days: int = 0
    without_capacity: int = 0
    without_resistance: int = 0
    capacity_error: float = math.nan
    resistance_error: float = math.nan

    @property
    def cells(self) -> int:
        """The number of cells in all batteries."""
        return sum(self.batteries.values())

    def tables(
        self,
        days: Sequence[BatteryDay],
        health: Iterable[list[Health]],
        truth: Sequence[SimulatedFile] | None,
    ) -> Iterator[pa.Table]:
        """Yield the table of cells in pieces, so that only one piece is in memory.

        Args:
            days: the telemetry that was estimated.
            health: the health of each day's cells, in the same order.
            truth: the true values of each day's cells, in the same order, if known.
        """
        results = zip(days, health, strict=True)
        truths = iter(truth or ())
        while piece := list(itertools.islice(results, _DAYS_PER_PIECE)):
            rows = []
            for day, cells in piece:
                self._count(day, cells, next(truths, None))
                capacity_when_new = MODELS[day.model].capacity
                date = dt.datetime.fromisoformat(day.day)
                rows += [
                    (
                        *(day.battery, c.cell, date, day.model, day.region, *c[1:]),
                        c.capacity_ah / capacity_when_new,
                    )
                    for c in cells
                ]
            columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
            yield pa.table(columns, schema=SCHEMA)

    def _count(self, day: BatteryDay, cells: list[Health], truth: SimulatedFile | None) -> None:
        self.batteries[day.battery] = max(self.batteries.get(day.battery, 0), len(cells))
        self.cell_days += len(cells)
        self.without_capacity += sum(math.isnan(cell.capacity_ah) for cell in cells)
        self.without_resistance += sum(math.isnan(cell.resistance_mohm) for cell in cells)
        if truth is None:
            return
        for cell, capacity, ohms in zip(cells, truth.capacity_ah, truth.resistance_mohm, strict=True):
            self.capacity_error = _larger(self.capacity_error, cell.capacity_ah, capacity)
            self.resistance_error = _larger(self.resistance_error, cell.resistance_mohm, ohms)

    def result(self, oldest: pd.DataFrame) -> dict[str, Any]:
        """Build the pipeline's return value; `oldest` is the fleet's summary."""
        lowest = oldest.sort_values("soh").iloc[:5]
        result: dict[str, Any] = {
            "batteries": len(self.batteries),
            "cells": self.cells,
            "cell_days": self.cell_days,
            "without_capacity": self.without_capacity,
            "without_resistance": self.without_resistance,
            "lowest_soh": {
                f"{battery} cell {cell}": round(soh, 4)
                for battery, cell, soh in zip(
                    lowest["battery"], lowest["cell"], lowest["soh"].tolist(), strict=True
                )
            },
        }
        if not math.isnan(self.capacity_error):
            result["largest_error"] = {
                "capacity": round(self.capacity_error, 4),
                "resistance": round(self.resistance_error, 4),
            }
        return result


def report(session: Session, outcome: Outcome, by_model: pd.DataFrame, oldest: pd.DataFrame) -> None:
    """Write the sections of the run's report."""
    text = (
        f"{outcome.cell_days:,} estimates for {outcome.cells:,} cells, {len(outcome.batteries):,} batteries. "
        f"{outcome.without_capacity:,} lack a capacity, {outcome.without_resistance:,} a resistance."
    )
    if not math.isnan(outcome.capacity_error):
        text += (
            " The fleet is simulated, so the true values are known: the largest error is "
            f"{outcome.capacity_error:.2%} for capacity and {outcome.resistance_error:.2%} for resistance."
        )
    session.report.text(text)
    lowest = oldest.sort_values("soh").iloc[:_CELLS_SHOWN]
    columns = (lowest[name].tolist() for name in ("battery", "cell", "model", "region", "soh"))
    bars = {f"{a}/{b} ({c}, {d})": round(100 * soh, 2) for a, b, c, d, soh in zip(*columns, strict=True)}
    session.report.bars("Oldest cells: state of health", bars, unit="% of a new cell's capacity")
    session.report.lines("State of health by model", by_model, unit="%", note="mean over all cells, by day")
    session.report.table("Oldest cells by model and region", oldest.round(3))


def _larger(before: float, estimate: float, truth: float) -> float:
    if math.isnan(estimate):
        return before
    error = abs(estimate / truth - 1.0)
    return error if math.isnan(before) else max(before, error)
