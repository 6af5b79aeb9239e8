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
_MOST_AMPERES = 600.0
"""More current than any single cell gives over a discharge."""
_SHORTEST = 200.0
"""Seconds in which hardly any cell's voltage falls by half a volt: 18 times its capacity per hour."""
_FALL = 0.5
LOAD = 0.01
"""Current counts as a load or as charging above this share of the largest: more than a sensor's offset."""


def chosen(names: Sequence[str], where: str) -> dict[str, str]:
    """Find the name in the file of each of our columns; capitals and spaces around a name do not matter.

    Raises:
        InputError: a column is missing, there in another unit, or there twice.
    """
    found: dict[str, str] = {}
    for column, accepted in NAMES.items():
        named = (_named(name, names) for name in accepted)
        there = next((same for same in named if same), [])
        if len(there) > 1:
            raise InputError(
                f"battery-health: {where} has the column {there[0]} {len(there)} times; expected one"
            )
        if there:
            found[column] = there[0]
        elif column != OPTIONAL:
            if len(names) == 1:
                raise InputError(
                    f"battery-health: {where} has one column, {names[0]!r}; "
                    "expected columns separated by commas"
                )
            other = _in_another_unit(column, names)
            raise InputError(
                f"battery-health: {where} has no column {column}{f' (it has {other})' if other else ''}; "
                f"expected {' or '.join(accepted)}"
            )
    return found


def _named(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the names that read as the wanted one; only the exact one if it is there once."""
    if names.count(wanted) == 1:
        return [wanted]
    return [name for name in names if name.strip().lower() == wanted.lower()]


def _in_another_unit(column: str, names: Sequence[str]) -> str | None:
    """Find a name that begins as one of the column's, such as "Current / mA"."""
    stems = tuple(name.split(" / ")[0].lower() for name in (column, *NAMES[column]))
    return next((name for name in names if name.strip().lower().startswith(stems)), None)


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
    if (odd := numbers[(numbers < 0.0) | (numbers != np.floor(numbers))]).size:
        raise InputError(f"battery-health: {where}: a cycle {odd[0]:g}; expected whole numbers from 0")
    highest = float(np.quantile(np.abs(voltage), 0.95))
    if not _VOLTS[0] <= highest <= _VOLTS[1]:
        raise InputError(f"battery-health: {where}: voltages of {highest:,.4g}; expected V of a single cell")
    typical = float(np.median(celsius))
    if not _CELSIUS[0] <= typical <= _CELSIUS[1]:
        raise InputError(f"battery-health: {where}: temperatures of {typical:,.4g}; expected °C")
    limit = LOAD * float(np.abs(current).max())
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
    """Check the typical discharge: its charge, its current, and the time in which the voltage falls.

    Half of all charge flowed in longer ones: a cell whose voltage collapses at once, as old and cold ones do,
    gives little.
    """
    loaded = np.flatnonzero(current < -LOAD * float(np.abs(current).max()))
    if not len(loaded):
        raise InputError(f"battery-health: {where}: no discharge; expected a negative current")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers[loaded])) + 1))
    firsts, lasts = loaded[starts], loaded[np.concatenate((starts[1:], [len(loaded)])) - 1]
    amperes = -np.add.reduceat(current[loaded], starts) / np.diff(np.concatenate((starts, [len(loaded)])))
    lengths = np.maximum(seconds[lasts] - seconds[firsts], 0.0)
    order = np.argsort(lengths)
    charges = (amperes * lengths / 3600.0)[order]
    typical = order[np.searchsorted(np.cumsum(charges), 0.5 * charges.sum())]
    charge, length = float(amperes[typical] * lengths[typical] / 3600.0), float(lengths[typical])
    if charge > _MOST_AMPERE_HOURS:
        raise InputError(
            f"battery-health: {where}: discharges of {charge:,.0f} Ah; expected a current in A, seconds in s"
        )
    if amperes[typical] > _MOST_AMPERES:
        raise InputError(
            f"battery-health: {where}: a current of {amperes[typical]:,.0f} under load; expected A"
        )
    if length < _SHORTEST and float(voltage[firsts[typical]] - voltage[lasts[typical]]) > _FALL:
        raise InputError(
            f"battery-health: {where}: discharges last {length:.3g} s; expected seconds, not minutes or hours"
        )
