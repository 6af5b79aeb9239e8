"""Tables of the errors of the estimates from windows, beside those of two plain guesses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from pipelines.battery_health.lab.discharge import Measured
from pipelines.battery_health.lab.reference import AGO, groups
from pipelines.battery_health.lab.windows import SHARES, WindowError

OWN, ALONE = "with an earlier full discharge", "from other cells only"
"""What was known of the cell itself."""

Rows = Mapping[str, Mapping[int, Iterable[WindowError]]]


def window_table(measured: Mapping[str, Mapping[int, Measured]], errors: Rows) -> pd.DataFrame:
    """Return a row for each window and estimate, with the truth and both plain guesses.

    Columns: those of `WindowError`; cell, discharge, age (the number's share of the cell's last), truth_ah,
    first_ah (capacity of the cell's first full discharge), ago_ah (of its last full one at least `AGO`
    discharges ago, or of its first), both at a like current and temperature where there is one; error,
    first_error, ago_error (shares of the truth), covered.
    """
    rows = []
    for cell, discharges in errors.items():
        of_cell = measured[cell]
        full = {number: one.capacity_ah for number, one in sorted(of_cell.items()) if one.capacity_ah > 0.0}
        like = {
            number: {other: full[other] for other in group if other in full}
            for group in groups(of_cell)
            for number in group
        }
        last = max(*of_cell, 1)
        for number, windows in discharges.items():
            plain = guesses(number, full)
            first, ago = (
                one if one > 0.0 else any_
                for one, any_ in zip(guesses(number, like[number]), plain, strict=True)
            )
            truth = full.get(number, np.nan)
            rows += [(cell, number, number / last, truth, first, ago, *window) for window in windows]
    columns = ("cell", "discharge", "age", "truth_ah", "first_ah", "ago_ah", *WindowError._fields)
    table = pd.DataFrame(rows, columns=pd.Index(columns))
    for name, guess in (("error", "capacity_ah"), ("first_error", "first_ah"), ("ago_error", "ago_ah")):
        table[name] = table[guess] / table["truth_ah"] - 1.0
    table["covered"] = (table["low"] <= table["truth_ah"]) & (table["truth_ah"] <= table["high"])
    return table


def guesses(number: int, full: Mapping[int, float]) -> tuple[float, float]:
    """Return the capacities of the cell's first full discharge, and of the last one `AGO` discharges ago."""
    earlier = [other for other in full if other < number]
    if not earlier:
        return np.nan, np.nan
    old = [other for other in earlier if other <= number - AGO] or earlier[:1]
    return full[earlier[0]], full[old[-1]]


def usable(windows: pd.DataFrame) -> pd.DataFrame:
    """Return the windows with an estimate and a truth."""
    return windows[windows["error"].notna()]


def summary(windows: pd.DataFrame, by: list[str] | None = None) -> pd.DataFrame:
    """Summarise errors by window, by what was known, and by further columns.

    Columns: windows; mean_error, p95_error, bias of the estimates; first_error and ago_error, the mean
    errors of the plain guesses on the same windows; covered, the share of intervals with the truth in them;
    width, their mean width. All are shares of the true capacity.
    """
    good = usable(windows)
    keys = ["share", "known", *(by or [])]
    table = pd.DataFrame(
        {
            "share": pd.Categorical(good["share"], list(SHARES), ordered=True),
            "known": np.where(good["own"], OWN, ALONE),
            **{name: good[name] for name in by or []},
            "error": good["error"].abs(),
            "bias": good["error"],
            "first_error": good["first_error"].abs(),
            "ago_error": good["ago_error"].abs(),
            "covered": good["covered"].astype(float),
            "width": (good["high"] - good["low"]) / good["truth_ah"],
        }
    )
    groups = table.groupby(keys, observed=True, sort=True)
    result = groups.agg(
        windows=("error", "size"),
        mean_error=("error", "mean"),
        p95_error=("error", lambda values: values.quantile(0.95)),
        bias=("bias", "mean"),
        first_error=("first_error", "mean"),
        ago_error=("ago_error", "mean"),
        covered=("covered", "mean"),
        width=("width", "mean"),
    )
    return result.reset_index()


def with_groups(windows: pd.DataFrame) -> pd.DataFrame:
    """Add the groups by which errors are shown: the window's place, the cell's age, the temperature."""
    places = pd.cut(windows["place"], [-1.0, 0.25, 0.5, 0.75, 1.0], labels=["1st", "2nd", "3rd", "4th"])
    ages = pd.cut(windows["age"], [-1.0, 1 / 3, 2 / 3, 1.0], labels=["young", "middle", "old"])
    warmth = 5.0 * np.floor(windows["celsius"] / 5.0)
    degrees = [f"{low:.0f} to {low + 5:.0f}" for low in warmth]
    order = [f"{low:.0f} to {low + 5:.0f}" for low in sorted(set(warmth))]
    return windows.assign(
        place_quarter=places, life_third=ages, temperature=pd.Categorical(degrees, order, ordered=True)
    )
