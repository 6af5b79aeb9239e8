"""What comes out of a run: the table of cells, counts and errors, the report."""

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
from pipelines.battery_health.tasks import Made

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
"""The artifact `cell-health`; `soh` is the capacity as a share of a new cell's."""

_BATTERY_DAYS = 2000
_SHOWN = 15


@dataclass(slots=True)
class Outcome:
    """Counts and errors, gathered as the results come.

    Attributes:
        batteries: their names.
        cells: how many there are in all batteries.
        cell_days: estimates.
        without_capacity: of these, those whose rests did not allow a capacity.
        without_resistance: of these, those with too few steps for a resistance.
        capacity_error: the largest so far, as a share of the truth; NaN if the truth is not known.
        resistance_error: the same.
    """

    batteries: dict[str, int] = field(default_factory=dict)
    cell_days: int = 0
    without_capacity: int = 0
    without_resistance: int = 0
    capacity_error: float = math.nan
    resistance_error: float = math.nan

    @property
    def cells(self) -> int:
        """How many cells there are in all batteries."""
        return sum(self.batteries.values())

    def tables(
        self,
        days: Sequence[BatteryDay],
        health: Iterable[list[Health]],
        truth: Sequence[Made] | None,
    ) -> Iterator[pa.Table]:
        """The table of cells in pieces; only one of them is held.

        Args:
            days: of batteries.
            health: of each one's cells, in the same order.
            truth: of each one's cells, in the same order, if it is known.
        """
        results = zip(days, health, strict=True)
        real = iter(truth or ())
        while piece := list(itertools.islice(results, _BATTERY_DAYS)):
            rows = []
            for day, cells in piece:
                self._count(day, cells, next(real, None))
                new = MODELS[day.model].capacity
                date = dt.datetime.fromisoformat(day.day)
                rows += [
                    (day.battery, c.cell, date, day.model, day.region, *c[1:], c.capacity_ah / new)
                    for c in cells
                ]
            columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
            yield pa.table(columns, schema=SCHEMA)

    def _count(self, day: BatteryDay, cells: list[Health], truth: Made | None) -> None:
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
        """What the pipeline returns; `oldest` is the fleet's summary."""
        first = oldest.sort_values("soh").iloc[:5]
        result: dict[str, Any] = {
            "batteries": len(self.batteries),
            "cells": self.cells,
            "cell_days": self.cell_days,
            "without_capacity": self.without_capacity,
            "without_resistance": self.without_resistance,
            "lowest_soh": {
                f"{battery} cell {cell}": round(soh, 4)
                for battery, cell, soh in zip(
                    first["battery"], first["cell"], first["soh"].tolist(), strict=True
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
    """The sections of the run's report."""
    text = (
        f"{outcome.cell_days:,} estimates of {outcome.cells:,} cells, {len(outcome.batteries):,} batteries. "
        f"{outcome.without_capacity:,} had no capacity, {outcome.without_resistance:,} no resistance."
    )
    if not math.isnan(outcome.capacity_error):
        text += (
            " The fleet is simulated, so the truth is known: the estimates are at most "
            f"{outcome.capacity_error:.2%} (capacity) and {outcome.resistance_error:.2%} (resistance) off."
        )
    session.report.text(text)
    first = oldest.sort_values("soh").iloc[:_SHOWN]
    columns = (first[name].tolist() for name in ("battery", "cell", "model", "region", "soh"))
    bars = {f"{a}/{b} ({c}, {d})": round(100 * soh, 2) for a, b, c, d, soh in zip(*columns, strict=True)}
    session.report.bars("Oldest cells: state of health", bars, unit="% of a new cell's capacity")
    session.report.lines("State of health by model", by_model, unit="%", note="mean over all cells, by day")
    session.report.table("Oldest cells by model and region", oldest.round(3))


def _larger(before: float, estimate: float, truth: float) -> float:
    if math.isnan(estimate):
        return before
    error = abs(estimate / truth - 1.0)
    return error if math.isnan(before) else max(before, error)
