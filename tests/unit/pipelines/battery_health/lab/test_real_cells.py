"""The figures that the README of the pipeline states, on four real cells. Margins are stated at each."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pipelines.battery_health.lab import Reference, estimate, measure, read_cells
from pipelines.battery_health.lab.discharge import drawn
from pipelines.battery_health.lab.errors import ALONE, OWN, summary, window_table
from pipelines.battery_health.lab.history import returned
from pipelines.battery_health.lab.reference import known, reference
from pipelines.battery_health.lab.reporting import scatter
from pipelines.battery_health.lab.windows import window_errors
from pipelines.battery_health.models import CURRENT_NOISE, VOLTAGE_NOISE

CELLS = Path(__file__).resolve().parents[6] / "shared" / "data" / "nasa_cells"
TRUTH = {
    "B0005": (168, 1.8565, 1.3251),
    "B0006": (168, 2.0353, 1.1857),
    "B0007": (168, 1.8911, 1.4325),
    "B0018": (132, 1.855, 1.341),
}
"""Discharges, and capacities of the first and the last, Ah, as the data's README gives them."""

pytestmark = pytest.mark.skipif(not CELLS.is_dir(), reason="the real cells are not beside the repository")


@pytest.fixture(scope="module")
def cells():
    return read_cells(CELLS)


@pytest.fixture(scope="module")
def measured(cells):
    found: dict[str, dict] = {}
    for one in cells.discharges:
        found.setdefault(one.cell, {})[one.number] = measure(one.samples)
    return found


def test_every_discharge_is_read_and_nothing_is_dropped(cells):
    counts = {cell: sum(one.cell == cell for one in cells.discharges) for cell in TRUTH}
    assert counts == {cell: count for cell, (count, _, _) in TRUTH.items()}
    assert cells.remarks == []


def test_the_capacity_of_all_636_is_the_charge_until_the_voltage_first_fell_to_the_cut_off(cells, measured):
    for cell, (last, first_ah, last_ah) in TRUTH.items():
        assert measured[cell][1].capacity_ah == pytest.approx(first_ah, abs=6e-5)
        assert measured[cell][last].capacity_ah == pytest.approx(last_ah, abs=6e-5)
    for one in cells.discharges:
        seconds, current, voltage, _ = (values.tolist() for values in one.samples)
        charge, number = 0.0, 0
        while voltage[number] > 2.7:
            number += 1
            charge -= 0.5 * (current[number] + current[number - 1]) * (seconds[number] - seconds[number - 1])
        assert measured[one.cell][one.number].capacity_ah == pytest.approx(charge / 3600.0, rel=1e-3)


def test_the_resistance_rises_over_each_life_with_little_scatter(measured):
    for discharges in measured.values():
        ohms = np.array([one.resistance_mohm for _, one in sorted(discharges.items())])
        assert not np.isnan(ohms).any()
        assert ohms[-20:].mean() > 1.06 * np.median(ohms[20:40])  # measured: 1.08 to 1.36
        assert scatter(ohms) < 0.006  # measured: 0.0022 to 0.0037


def test_capacity_that_comes_back_is_in_the_figures(measured):
    assert all(len(returned(discharges)) >= 6 for discharges in measured.values())  # measured: 8 to 13
    assert 90 in [rise.number for rise in returned(measured["B0005"])]


def test_the_simulators_noise_is_that_of_the_cells(measured):
    every = [one for discharges in measured.values() for one in discharges.values()]
    assert np.median([one.voltage_noise for one in every]) == pytest.approx(VOLTAGE_NOISE, rel=0.3)
    assert np.median([one.current_noise for one in every]) == pytest.approx(2.0 * CURRENT_NOISE, rel=0.3)


def errors(cells, measured, curves: Reference, every: int):
    """Return the summaries of all windows of every so many discharges: of all cells, and by cell."""
    found: dict[str, dict] = {}
    for one in cells.discharges[::every]:
        past = known(one.number, measured[one.cell])
        windows = window_errors(one.cell, one.number, one.samples, past, curves)
        found.setdefault(one.cell, {})[one.number] = windows
    table = window_table(measured, found)
    assert (table["reason"] == "").all()
    return summary(table), summary(table, ["cell"])


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 13])
def test_a_part_of_a_discharge_gives_the_capacity(cells, measured, every):
    overall, by_cell = errors(cells, measured, reference(measured, 2.7), every)
    own = overall[overall["known"] == OWN].set_index("share")
    # Measured: 0.82 % and 0.70 %; asked for: 3 % and 2 %.
    assert own.loc["third", "mean_error"] < 0.0105
    assert own.loc["half", "mean_error"] < 0.0095
    # Measured: 92 % and 91 %.
    margin = 0.0 if every == 1 else 0.03  # of a small sample
    assert own["covered"].between(0.85 - margin, 0.95 + margin).all()
    # Better than both plain guesses for every cell, by a third at least. Measured: by 60 % at least.
    each = by_cell[by_cell["known"] == OWN]
    assert (each["mean_error"] < 0.67 * each["ago_error"]).all()
    assert (each["mean_error"] < 0.67 * each["first_error"]).all()
    # Without the cell's own past. Measured: 3.6 % and 3.3 %, and 90 % and 85 % covered.
    alone = overall[overall["known"] == ALONE].set_index("share")
    assert (alone["mean_error"] < 0.045).all()
    assert (alone["covered"] > 0.8).all()


def test_an_estimate_uses_neither_later_discharges_nor_the_share_that_its_window_holds(cells, measured):
    curves = reference(measured, 2.7)
    one = next(one for one in cells.discharges if (one.cell, one.number) == ("B0007", 80))
    past = known(80, measured["B0007"])
    windows = window_errors("B0007", 80, one.samples, past, curves)
    # Its own curves in the reference are not used, later ones or others.
    kept = tuple(cell for cell in curves.cells if cell.cell != "B0007")
    assert str(window_errors("B0007", 80, one.samples, past, curves._replace(cells=kept))) == str(windows)
    # If the share leaked, three times the charge would be the capacity of any window of a third.
    charge = drawn(one.samples[0], one.samples[1])
    for share in (0.3, 0.45, 0.7):
        a, b = (int(at) for at in np.searchsorted(charge, [0.3, 0.3 + 1.63 * share]))
        found = estimate(one.samples[:, a:b], "B0007", 80, past, curves)
        assert found.capacity_ah == pytest.approx(measured["B0007"][80].capacity_ah, rel=0.03)


def test_intervals_widen_where_the_other_cells_do_not_reach(cells, measured):
    curves = reference(measured, 2.7)
    one = next(one for one in cells.discharges if (one.cell, one.number) == ("B0018", 60))
    past = known(60, measured["B0018"])

    def width(samples) -> float:
        window = next(w for w in window_errors("B0018", 60, samples, past, curves) if w.share == "half")
        return math.log(window.high / window.low)

    warmer, faster = one.samples.copy(), one.samples.copy()
    warmer[3] += 20.0
    faster[1], faster[0] = 2.0 * faster[1], 0.5 * faster[0]
    assert width(warmer) > 1.5 * width(one.samples)
    assert width(faster) > 1.3 * width(one.samples)
