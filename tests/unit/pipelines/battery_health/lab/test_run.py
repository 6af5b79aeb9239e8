from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightwork import InputError, connect
from pipelines.battery_health import battery_health
from pipelines.battery_health.lab import like, reference
from pipelines.battery_health.lab.discharge import measure
from pipelines.battery_health.lab.errors import guesses
from pipelines.battery_health.lab.like import Conditions, conditions, discharge
from pipelines.battery_health.lab.outcome import COLUMNS

LIKE = Conditions(2.0, 100.0, -2.0, 24.0, 30.0)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Keep few curves, and simulate few cells beside: three elements for every ten discharges."""
    monkeypatch.setattr(reference, "CURVES", 8)
    monkeypatch.setattr(like, "NUMBERS", tuple(range(1, 161, 40)))


@pytest.fixture
def session(tmp_path):
    with connect(on="serial", lake=tmp_path / "lake", progress="off") as session:
        yield session


def cell(number: int, count: int = 10) -> pd.DataFrame:
    """A cell of so many discharges, each as old as 12 real ones."""
    parts = []
    for at in range(1, count + 1):
        samples = discharge(LIKE, 2.7, number, 12 * at)
        columns = dict(zip(("seconds", "current", "voltage", "temperature"), samples, strict=True))
        parts.append(pd.DataFrame({"cycle": at, **columns}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "cells"
    folder.mkdir()
    for number in (1, 2, 3):
        cell(number).to_parquet(folder / f"C{number}.parquet")
    return folder


def counted(session, **parameters) -> tuple[int, int]:
    before = dict(session.elements)
    battery_health(**parameters)
    return tuple(session.elements[name] - before[name] for name in ("computed", "cached"))


def test_a_folder_of_cells_gives_the_tables_and_the_report(session, data):
    result = battery_health(data=str(data))
    assert (result["cells"], result["discharges"], result["without_capacity"]) == (3, 30, 0)
    assert set(result["mean_error"]) == {"third", "half"}
    health = session.artifacts.read("cell-health")
    assert tuple(health.columns) == COLUMNS
    assert len(health) == 30
    first = health[health["battery"] == "C2"].iloc[0]
    assert first["soh"] == 1.0
    assert first["source"] == str(data)
    full = health.dropna(subset=["capacity_ah"])
    assert (full["low_ah"] <= full["estimated_ah"]).all()
    assert (full["estimated_ah"] <= full["high_ah"]).all()
    assert health["estimated_ah"].to_numpy() == pytest.approx(health["capacity_ah"].to_numpy(), rel=0.2)
    windows = session.artifacts.read("window-errors")
    assert len(windows) == 12 * (30 + 27)  # with and without the cell's own past; the first has none
    assert {"share", "place", "rest", "age", "celsius", "error", "ago_error", "covered"} <= set(
        windows.columns
    )
    errors = session.artifacts.read("errors")
    assert len(errors) == 4
    page = session.report.html(heading="battery-health", facts={})
    for title in ("C1: capacity", "Resistance over life", "Errors by age", "simulator under like conditions"):
        assert title in page


def test_a_new_discharge_computes_only_itself(session, data):
    cell(2, 9).to_parquet(data / "C2.parquet")
    assert counted(session, data=str(data)) == (29 + 1, 0)
    cell(2, 10).to_parquet(data / "C2.parquet")
    assert counted(session, data=str(data)) == (1, 29 + 1)
    assert counted(session, data=str(data)) == (0, 30 + 1)


def test_an_aborted_discharge_has_no_capacity_but_an_estimate(session, data):
    table = cell(1)
    last = table.index[table["cycle"] == 10]
    table.drop(last[len(last) // 2 :]).to_parquet(data / "C1.parquet")
    result = battery_health(data=str(data))
    assert result["without_capacity"] == 1
    health = session.artifacts.read("cell-health")
    row = health[(health["battery"] == "C1") & (health["discharge"] == 10)].iloc[0]
    assert np.isnan(row["capacity_ah"])
    assert row["note"].startswith("never fell to 2.7 V (lowest 3.")
    truth = cell(1)
    truth = truth[truth["cycle"] == 10]
    capacity = -np.trapezoid(truth["current"], truth["seconds"]) / 3600
    assert row["estimated_ah"] == pytest.approx(capacity, rel=0.1)
    assert row["low_ah"] < row["estimated_ah"] < row["high_ah"]
    assert "never fell to 2.7 V" in session.report.html(heading="battery-health", facts={})


@pytest.mark.slow
def test_another_cut_off_gives_other_capacities(session, data):
    battery_health(data=str(data))
    usual = session.artifacts.read("cell-health")
    battery_health(data=str(data), cutoff=3.0)
    higher = session.artifacts.read("cell-health")
    assert (higher["capacity_ah"] < usual["capacity_ah"]).all()
    assert (higher["cutoff_v"] == 3.0).all()


def test_what_was_dropped_is_in_the_report(session, data):
    table = cell(1)
    table.loc[5, "voltage"] = np.nan
    table.to_parquet(data / "C1.parquet")
    assert battery_health(data=str(data))["dropped"] == 1
    assert "C1: 1 samples without a value are dropped" in session.report.html(heading="x", facts={})


def test_a_single_cell_is_measured_but_has_nothing_to_compare_with(session, data):
    for number in (2, 3):
        (data / f"C{number}.parquet").unlink()
    result = battery_health(data=str(data))
    assert result["mean_error"] == {}
    health = session.artifacts.read("cell-health")
    assert health["capacity_ah"].notna().all()
    assert set(health["note"]) == {"no estimate: no other cell to compare with"}


@pytest.mark.slow
def test_cells_may_lie_in_the_lake(session, data):
    battery_health(data=str(data))
    local = session.artifacts.read("cell-health")
    for path in data.iterdir():
        session.lake.write(f"laboratory/{path.name}", path.read_bytes())
    assert counted(session, data="laboratory/") == (0, 31)
    read = session.artifacts.read("cell-health")
    pd.testing.assert_frame_equal(read.drop(columns="source"), local.drop(columns="source"))


def test_a_relative_folder_of_this_machine_is_used_where_the_lake_has_none(session, data, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert battery_health(data="cells")["cells"] == 3


def test_a_cut_off_at_which_every_discharge_begins_is_refused(session, data):
    with pytest.raises(InputError, match=r"cutoff=4.5: every discharge begins at or below it"):
        battery_health(data=str(data), cutoff=4.5)


@pytest.mark.parametrize(
    ("amperes", "interval", "cutoff"),
    [
        pytest.param(1e-3, 20.0, 2.7, id="2 mAh"),
        pytest.param(1.0, 0.2, 2.7, id="5 a second"),
        pytest.param(30.0, 30.0, 4.18, id="cut off at once"),
    ],
)
def test_any_cell_can_be_simulated(amperes, interval, cutoff):
    one = measure(discharge(LIKE, 2.7, 1, 1))
    one = one._replace(
        capacity_ah=amperes * one.capacity_ah,
        current=amperes * one.current,
        resistance_mohm=one.resistance_mohm / amperes,
        interval=interval,
    )
    like = conditions({"A": {1: one}})
    samples = discharge(like, cutoff, 1, 1)
    assert like.capacity_ah == pytest.approx(one.capacity_ah, rel=0.05)
    assert 4 < samples.shape[1] < 4000
    assert measure(samples, cutoff).full


def test_a_folder_that_is_not_there_is_refused_in_one_line(session, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nowhere is not a folder of this machine"):
        battery_health(data=str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is not a folder of this machine"):
        battery_health(data=str(tmp_path / "file"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"file is not a folder of this machine"):
        battery_health(data="file")
    with pytest.raises(InputError, match=r"data is empty; expected a folder"):
        battery_health(data="")
    with pytest.raises(InputError, match=r"no Parquet files in"):
        battery_health(data="nowhere")


def test_plain_guesses_are_the_first_capacity_and_that_of_ten_discharges_ago():
    full = {1: 2.0, 3: 1.9, 8: 1.8, 15: 1.7}
    assert guesses(18, full) == (2.0, 1.8)
    assert guesses(5, full) == (2.0, 2.0)
    assert np.isnan(guesses(1, full)).all()


@pytest.mark.slow
def test_workers_give_the_same_tables(session, data, tmp_path):
    result = battery_health(data=str(data))
    tables = [session.artifacts.read(name) for name in ("cell-health", "window-errors", "errors")]
    with connect(on="local", workers=2, lake=tmp_path / "other", progress="off") as other:
        assert battery_health(data=str(data)) == result
        for name, table in zip(("cell-health", "window-errors", "errors"), tables, strict=True):
            pd.testing.assert_frame_equal(other.artifacts.read(name), table)
