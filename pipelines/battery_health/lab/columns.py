"""Columns of a cell's file: their names, and checks of unit and sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lightwork import InputError
from pipelines.battery_health.models import Floats

NAMES: dict[str, tuple[str, ...]] = {
    "cycle": ("cycle", "Cycle Count / 1", "cycle_count"),
    "seconds": ("seconds", "Test Time / s", "test_time_second"),
    "current": ("current", "Current / A", "current_ampere"),
    "voltage": ("voltage", "Voltage / V", "voltage_volt"),
    "temperature": (
        "temperature",
        *("Surface Temperature T1 / degC", "temperature_t1_celsius"),
        *("Ambient Temperature / degC", "ambient_temperature_celsius"),
    ),
}
"""Accepted names of each column: ours, then label and machine-readable name of the Battery Data Format
(Battery Data Alliance, github.com/battery-data-alliance/battery-data-format), whose units are ours."""

OPTIONAL = "cycle"
"""Without this column, a discharge ends where charging starts or where the time starts again."""

_VOLTS = (0.5, 6.0)
"""Plausible range of a cell's highest voltage, V."""
_CELSIUS = (-60.0, 65.0)
"""Plausible range of the temperature at the start, °C. Room temperature is 68 to 77 °F, or 293 to 298 K."""
_MOST_AMPERE_HOURS = 600.0
"""More charge than any single cell holds."""
_SHORTEST = 120.0
"""Seconds in which no cell's voltage falls by half a volt: 30 times its capacity per hour."""
_FALL = 0.5


def chosen(names: Sequence[str], where: str) -> dict[str, str]:
    """Find the name in the file of each of our columns.

    Raises:
        InputError: a column is missing, or there in another unit.
    """
    found: dict[str, str] = {}
    for column, accepted in NAMES.items():
        name = next((name for name in accepted if name in names), None)
        if name is not None:
            found[column] = name
        elif column != OPTIONAL:
            stems = {name.split(" / ")[0] for name in accepted if " / " in name}
            other = next((name for name in names if name.split(" / ")[0] in stems), None)
            there = f" (it has {other})" if other else ""
            raise InputError(
                f"battery-health: {where} has no column {column}{there}; expected {' or '.join(accepted)}"
            )
    return found


def check(columns: Mapping[str, Floats], numbers: Floats, where: str) -> None:
    """Check the unit and sign of a whole file's columns.

    Args:
        columns: the columns by our names.
        numbers: the number of each sample's discharge.
        where: the file.

    Raises:
        InputError: a column is in another unit, or discharging is positive.
    """
    current, voltage, celsius = columns["current"], columns["voltage"], columns["temperature"]
    highest = float(np.quantile(np.abs(voltage), 0.95))
    if not _VOLTS[0] <= highest <= _VOLTS[1]:
        raise InputError(f"battery-health: {where}: voltages of {highest:,.4g}; expected V of a single cell")
    typical = float(np.median(celsius))
    if not _CELSIUS[0] <= typical <= _CELSIUS[1]:
        raise InputError(f"battery-health: {where}: temperatures of {typical:,.4g}; expected °C")
    limit = 0.05 * float(np.abs(current).max())
    if limit == 0.0:
        raise InputError(f"battery-health: {where}: the current is 0 everywhere; expected A")
    same = np.diff(numbers) == 0
    steady = (np.abs(current[1:]) > limit) & (np.abs(current[:-1]) > limit) & same
    if float((np.diff(voltage) * np.sign(current[1:]))[steady].sum()) < -_FALL:
        raise InputError(
            f"battery-health: {where}: the voltage falls while the current is positive; "
            "expected a negative current when discharging"
        )
    _check_sizes(columns["seconds"], current, voltage, numbers, where)


def _check_sizes(seconds: Floats, current: Floats, voltage: Floats, numbers: Floats, where: str) -> None:
    """Check the typical discharge: its charge, and the time in which the voltage falls."""
    loaded = np.flatnonzero(current < -0.05 * float(np.abs(current).max()))
    if not len(loaded):
        raise InputError(f"battery-health: {where}: no discharge; expected a negative current")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers[loaded])) + 1))
    firsts, lasts = loaded[starts], loaded[np.concatenate((starts[1:], [len(loaded)])) - 1]
    amounts = -np.add.reduceat(current[loaded], starts) / np.diff(np.concatenate((starts, [len(loaded)])))
    length = float(np.median(seconds[lasts] - seconds[firsts]))
    charge = float(np.median(amounts)) * length / 3600.0
    if charge > _MOST_AMPERE_HOURS:
        raise InputError(
            f"battery-health: {where}: discharges of {charge:,.0f} Ah; expected a current in A, seconds in s"
        )
    if length < _SHORTEST and float(np.median(voltage[firsts] - voltage[lasts])) > _FALL:
        raise InputError(
            f"battery-health: {where}: discharges last {length:.3g} s; expected seconds, not minutes or hours"
        )
