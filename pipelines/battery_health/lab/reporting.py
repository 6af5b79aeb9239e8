"""The report on laboratory cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lightwork import Session
from pipelines.battery_health.lab.discharge import LATER, PULSE, Measured
from pipelines.battery_health.lab.errors import ALONE, OWN, summary, usable, with_groups
from pipelines.battery_health.lab.history import outliers, returned
from pipelines.battery_health.lab.reference import AGO, groups
from pipelines.battery_health.models import CURRENT_NOISE, VOLTAGE_NOISE

CELLS_DRAWN = 12
_HEADINGS = {
    "share": "window",
    "windows": "windows",
    "mean_error": "mean error, %",
    "p95_error": "95 % below, %",
    "bias": "bias, %",
    "covered": "covered, %",
    "width": "width, %",
    "alone_error": "others only, %",
    "ago_error": f"{AGO} ago, %",
    "first_error": "first, %",
}
_GROUPS = {
    "cell": "cell",
    "place_quarter": "quarter of the discharge in which the window begins",
    "life_third": "age of the cell",
    "temperature": "mean temperature of the window, °C",
}


def report(
    session: Session,
    measured: Mapping[str, Mapping[int, Measured]],
    health: pd.DataFrame,
    windows: pd.DataFrame,
    simulated: tuple[Mapping[str, Mapping[int, Measured]], pd.DataFrame] | None,
    remarks: Sequence[str],
) -> None:
    """Write the sections of the run's report.

    Args:
        session: the run's session.
        measured: what each discharge shows.
        health: the artifact `cell-health`.
        windows: the artifact `window-errors`.
        simulated: the same two of simulated cells under like conditions; None if there are none.
        remarks: a line for everything that was dropped.
    """
    session.report.text(_opening(health, windows))
    own = usable(windows)["own"].any()
    if own:
        _headline(session, windows)
    _fade(session, health)
    _resistance(session, health, measured)
    if own:
        _errors(session, windows)
    _life(session, measured)
    if simulated is not None:
        session.report.table(
            "Real cells and the simulator under like conditions", beside(measured, windows, *simulated)
        )
    missing = health[health["note"] != ""][
        ["battery", "discharge", "charge_ah", "lowest_v", "estimated_ah", "note"]
    ]
    if len(missing):
        session.report.table("Discharges that lack something", missing.round(3))
    if remarks:
        session.report.table("What was dropped", pd.DataFrame({"reason": list(remarks)}))


def readable(windows: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Return errors in %: one row for each window (and group), with what other estimates would have missed.

    Args:
        windows: the artifact `window-errors`, with the groups.
        by: a column to group by.
    """
    keys = [*([by] if by else []), "share"]
    table = summary(windows, [by] if by else None)
    own = table[table["known"] == OWN].set_index(keys)
    alone = table[table["known"] == ALONE].set_index(keys)
    shown = own.assign(alone_error=alone["mean_error"]).reset_index().sort_values(keys, ignore_index=True)
    for name in set(_HEADINGS) - {"share", "windows"}:
        shown[name] = (100.0 * shown[name]).round(2)
    return shown[[*keys, *list(_HEADINGS)[1:]]].rename(columns=_HEADINGS)


def _opening(health: pd.DataFrame, windows: pd.DataFrame) -> str:
    full = int(health["capacity_ah"].notna().sum())
    cutoff = float(health["cutoff_v"].iloc[0])
    text = (
        f"{health['battery'].nunique():,} cells, {len(health):,} discharges; {full:,} of them fell to "
        f"{cutoff:g} V and have a capacity: the charge until then. "
    )
    good = usable(windows)
    own = good[good["own"]]
    if len(own):
        text += (
            "From windows that hold a third or half of it, the capacity is estimated with a mean error of "
            f"{own['error'].abs().mean():.2%}; {own['covered'].mean():.0%} of the 90 % intervals hold it. "
        )
    return text + (
        "No estimate sees where its window lies or what share of the charge it holds.\n\n"
        "What an estimate is fitted to leaves out the cell itself. Of its own life it sees one earlier full "
        f"discharge, at least {AGO} discharges old (the first, until there is such a one), and in the rows "
        "“from other cells only” not even that. Both plain guesses are judged on the same windows."
    )


def _headline(session: Session, windows: pd.DataFrame) -> None:
    """Show the errors of all windows, beside those of plain guesses."""
    table = readable(windows)
    bars: dict[str, float] = {}
    for row in table.to_dict("records"):
        bars |= {
            f"{row['window']}: estimated": row["mean error, %"],
            f"{row['window']}: from other cells only": row["others only, %"],
            f"{row['window']}: guessed, as {AGO} discharges ago": row[f"{AGO} ago, %"],
            f"{row['window']}: guessed, as at first": row["first, %"],
        }
    session.report.bars("Mean error of the capacity from a third or half of a discharge", bars, unit="%")
    session.report.table("Errors of the capacity from a part of a discharge", table)
    session.report.text(
        "All in % of the true capacity. “95 % below” bounds 95 % of the errors; “covered” is the share of "
        "90 % intervals that hold the truth, and “width” their mean width. “Others only” is the mean "
        f"error if nothing is known of the cell itself; “{AGO} ago” and “first” are those of guessing "
        "that the capacity is as it was then."
    )


def _fade(session: Session, health: pd.DataFrame) -> None:
    """Draw each cell's capacity, and beside it what half a discharge tells with its interval."""
    cells = health["battery"].unique().tolist()
    for cell in cells[:CELLS_DRAWN]:
        rows = health[health["battery"] == cell].set_index("discharge")
        columns = {
            "measured": rows["capacity_ah"],
            "estimated": rows["estimated_ah"],
            "90 % from": rows["low_ah"],
            "90 % to": rows["high_ah"],
        }
        session.report.lines(
            f"{cell}: capacity",
            pd.DataFrame(columns).rename_axis("discharge"),
            unit="Ah",
            note="measured in full discharges; estimated from a window of half the charge at a random place",
        )
    if len(cells) > CELLS_DRAWN:
        session.report.text(f"{len(cells) - CELLS_DRAWN} more cells are in the artifact cell-health.")


def _resistance(
    session: Session, health: pd.DataFrame, measured: Mapping[str, Mapping[int, Measured]]
) -> None:
    rows = health.dropna(subset=["resistance_mohm"])
    if rows.empty:
        return
    cells = sorted(rows["battery"].unique())[:CELLS_DRAWN]
    drawn = rows[rows["battery"].isin(cells)].pivot(
        index="discharge", columns="battery", values="resistance_mohm"
    )
    drawn.columns.name = None
    session.report.lines(
        "Resistance",
        drawn,
        unit="mOhm",
        note=f"voltage drop per current {PULSE:g} s after the load's begin, at the discharge's temperature",
    )
    session.report.table("Resistance over life", resistance_over_life(measured))


def resistance_over_life(measured: Mapping[str, Mapping[int, Measured]]) -> pd.DataFrame:
    """Return the course of each cell's resistance: a row for each cell and conditions of its discharges."""
    rows = []
    for cell, discharges in measured.items():
        for group in groups(discharges):
            alike = [discharges[number] for number in group if discharges[number].resistance_mohm > 0.0]
            if not alike:
                continue
            ohms = np.array([one.resistance_mohm for one in alike])
            celsius = [one.celsius for one in alike]
            rows.append(
                {
                    "cell": cell,
                    "current, A": round(float(np.mean([one.current for one in alike])), 2),
                    "°C": f"{min(celsius):.0f} to {max(celsius):.0f}",
                    "discharges": len(alike),
                    "first, mOhm": round(float(ohms[0]), 1),
                    "lowest, mOhm": round(float(ohms.min()), 1),
                    "last, mOhm": round(float(ohms[-1]), 1),
                    "rise from the lowest, %": round(100 * float(ohms[-1] / ohms.min() - 1), 1),
                    "scatter, %": round(100 * scatter(ohms), 2),
                }
            )
    return pd.DataFrame(rows)


def scatter(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> float:
    """Return the typical difference between neighbours that no trend explains, as a share of the mean."""
    if len(values) < 4:
        return float("nan")
    return float(1.4826 * np.median(np.abs(np.diff(values, 2))) / np.sqrt(6.0) / values.mean())


def _errors(session: Session, windows: pd.DataFrame) -> None:
    """Show what holds the errors: the cell, the window's place, the cell's age, the temperature."""
    grouped = with_groups(windows)
    for column, title in _GROUPS.items():
        session.report.table(
            f"Errors by {title}", readable(grouped, column).rename(columns={column: "group"})
        )
    good = usable(windows)
    own = good[good["own"]]
    if len(own):
        courses = (
            own.assign(error=100.0 * own["error"]).groupby(["discharge", "cell"])["error"].mean().unstack()
        )
        courses.columns.name = None
        session.report.lines(
            "Error over life",
            courses.iloc[:, :CELLS_DRAWN],
            unit="%",
            note=f"mean of a discharge's windows, {OWN}",
        )


def _life(session: Session, measured: Mapping[str, Mapping[int, Measured]]) -> None:
    rises = [
        (cell, one.number, round(one.gained_ah, 4), one.lasted if one.lasted is not None else "to the end")
        for cell, discharges in measured.items()
        for one in returned(discharges)
    ]
    if rises:
        names = ["cell", "discharge", "gained, Ah", "full discharges until it is lost"]
        session.report.table("Capacity that came back", pd.DataFrame(rises, columns=pd.Index(names)))
    session.report.text(
        "The rises are part of the curves above; nothing is smoothed. Real cells show them after "
        "a rest, which files without dates cannot tell."
    )
    single = [
        (cell, one.number, one.measure, round(one.value, 4), round(one.usual, 4))
        for cell, discharges in measured.items()
        for one in outliers(discharges)
    ]
    if single:
        names = ["cell", "discharge", "measure", "value", "mean of neighbours"]
        session.report.table("Outliers, kept in all figures", pd.DataFrame(single, columns=pd.Index(names)))


def beside(
    measured: Mapping[str, Mapping[int, Measured]],
    windows: pd.DataFrame,
    simulated: Mapping[str, Mapping[int, Measured]],
    simulated_windows: pd.DataFrame,
) -> pd.DataFrame:
    """Compare residuals of real and simulated cells: noise, relaxation, scatter, errors of windows."""
    real, model = _residuals(measured, windows), _residuals(simulated, simulated_windows)
    table = pd.DataFrame(
        {"residual": list(real), "real cells": list(real.values()), "simulated": list(model.values())}
    )
    return table.round(3)


def _residuals(measured: Mapping[str, Mapping[int, Measured]], windows: pd.DataFrame) -> dict[str, float]:
    every = [one for discharges in measured.values() for one in discharges.values()]
    drop = [one.later_mohm / one.resistance_mohm for one in every]
    ohms = [
        scatter(
            np.array([discharges[at].resistance_mohm for at in group if discharges[at].resistance_mohm > 0.0])
        )
        for discharges in measured.values()
        for group in groups(discharges)
    ]
    own = windows[windows["own"]]
    errors = {share: 100.0 * group["error"].abs().mean() for share, group in own.groupby("share")}
    return {
        f"voltage noise, mV (simulated with {1e3 * VOLTAGE_NOISE:g})": _median(
            one.voltage_noise for one in every
        )
        * 1e3,
        f"current noise, mA (simulated with {1e3 * CURRENT_NOISE:g} per Ah)": (
            _median(one.current_noise for one in every) * 1e3
        ),
        f"voltage drop at {LATER:g} s over that at {PULSE:g} s": _median(drop),
        "scatter of the resistance, %": 100.0 * _median(ohms),
        "error from a third, %": errors.get("third", float("nan")),
        "error from half, %": errors.get("half", float("nan")),
    }


def _median(values: object) -> float:
    numbers = np.array(list(values), dtype=np.float64)  # type: ignore[call-overload]
    numbers = numbers[~np.isnan(numbers)]
    return float(np.median(numbers)) if len(numbers) else float("nan")
