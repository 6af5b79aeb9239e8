from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow.parquet as pq
import pytest

from lightwork import ElementError, InputError, connect
from pipelines.battery_health import MODELS, battery_health, simulate, simulation
from pipelines.battery_health.simulation import CELLS, battery, truth
from pipelines.battery_health.summary import fleet_summary, soh_by_model

FOLDER = "telemetry/simulated-0"


@pytest.fixture
def session(tmp_path):
    with connect(on="serial", lake=tmp_path / "lake", progress="off") as session:
        yield session


def counted(session, **parameters) -> tuple[int, int]:
    """Computed and cached elements of a run of the pipeline."""
    before = dict(session.elements)
    battery_health(**parameters)
    return tuple(session.elements[name] - before[name] for name in ("computed", "cached"))


def test_a_run_gives_every_cells_health_by_day_near_the_truth(session):
    result = battery_health(fleet=3, days=2)
    assert (result["batteries"], result["cells"], result["cell_days"]) == (3, 3 * CELLS, 6 * CELLS)
    assert result["largest_error"]["capacity"] < 0.01
    assert result["largest_error"]["resistance"] < 0.03
    table = session.artifacts.read("cell-health")
    assert list(table.columns) == [
        *("battery", "cell", "day", "model", "region", "capacity_ah", "resistance_mohm", "soh"),
    ]
    unit = battery(0, 1)
    rows = table[(table["battery"] == unit.name) & (table["day"] == "2026-01-02")]
    assert list(rows["capacity_ah"]) == pytest.approx(
        truth(unit, dt.date(2026, 1, 2)).capacity_ah.tolist(), rel=0.01
    )
    assert (rows["model"] == unit.model).all()
    assert (rows["soh"] == rows["capacity_ah"] / MODELS[unit.model].capacity).all()
    assert (rows["region"] == unit.region).all()


def test_the_errors_in_the_result_are_those_of_the_table(session):
    result = battery_health(fleet=2, days=1)
    table = session.artifacts.read("cell-health")
    real = [truth(battery(0, number), dt.date(2026, 1, 1)).capacity_ah for number in range(2)]
    error = (table["capacity_ah"] / pd.Series([x for cells in real for x in cells]) - 1).abs().max()
    assert result["largest_error"]["capacity"] == pytest.approx(error, abs=1e-4)


def test_a_new_day_and_a_new_battery_compute_only_themselves(session):
    assert counted(session, fleet=2, days=1) == (4, 0)
    assert counted(session, fleet=2, days=1) == (0, 4)
    assert counted(session, fleet=2, days=2) == (4, 4)
    assert counted(session, fleet=3, days=2) == (4, 8)


def test_changed_content_is_estimated_again_and_unchanged_content_is_not(session, monkeypatch):
    assert counted(session, fleet=1, days=1) == (2, 0)
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "VOLTAGE_NOISE", 0.002)
        assert counted(session, fleet=1, days=1) == (2, 0)
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "REGIONS", {**simulation.REGIONS})
        assert counted(session, fleet=1, days=1) == (0, 2)


def test_deleted_files_are_written_again_unchanged(session):
    battery_health(fleet=2, days=1)
    before = {entry.path: session.lake.read(entry.path) for entry in session.lake.entries(FOLDER)}
    session.lake.delete([min(before)])
    assert counted(session, fleet=2, days=1) == (1, 4)
    assert {entry.path: session.lake.read(entry.path) for entry in session.lake.entries(FOLDER)} == before


def test_existing_telemetry_is_read_and_only_new_or_changed_files_are_computed(session):
    battery_health(fleet=2, days=1)
    simulated = session.artifacts.read("cell-health")
    assert counted(session, data=FOLDER) == (2, 0)
    read = session.artifacts.read("cell-health")
    keys = ["battery", "cell"]
    pd.testing.assert_frame_equal(
        read.sort_values(keys, ignore_index=True), simulated.sort_values(keys, ignore_index=True)
    )
    assert counted(session, data=FOLDER) == (0, 2)
    simulate(0, "2026-01-02", seed=0, folder=FOLDER, lake=session.lake)
    assert counted(session, data=FOLDER) == (1, 2)
    path = session.lake.entries(FOLDER)[0].path
    content = session.lake.read(path)
    session.lake.write(path, content + b"")
    assert counted(session, data=FOLDER)[0] == 1


def test_existing_telemetry_has_no_known_truth(session):
    simulate(0, "2026-01-01", seed=0, folder=FOLDER, lake=session.lake)
    assert "largest_error" not in battery_health(data=FOLDER + "/")


def test_files_read_as_a_hive_partitioned_table(session, tmp_path):
    battery_health(fleet=2, days=2)
    table = pq.read_table(tmp_path / "lake" / "local" / FOLDER)
    assert {"battery", "day", "model", "region"} <= set(table.column_names)
    assert table.num_rows == 4 * CELLS * 8640


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (None, "no Parquet files in"),
        (
            "day=2026-01-01/x.parquet",
            "day=2026-01-01/x.parquet is not a telemetry path; expected telemetry/own/model=",
        ),
        ("model=nmc-51/region=a/battery=b/day=2026-01-01/x.parquet", "did you mean 'nmc-50'"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_line(session, path, words):
    if path:
        session.lake.write(f"telemetry/own/{path}", b"")
    with pytest.raises(InputError) as caught:
        battery_health(data="telemetry/own")
    assert words in str(caught.value)
    assert "telemetry/own" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_files_for_one_battery_and_day_are_refused(session):
    for name in ("a", "b"):
        session.lake.write(
            f"telemetry/own/model=nmc-50/region=a/battery=b/day=2026-01-01/{name}.parquet", b""
        )
    with pytest.raises(InputError, match=r"a.parquet and .*b.parquet .*same battery and day"):
        battery_health(data="telemetry/own")


def test_a_file_that_is_not_telemetry_is_named(session, tmp_path):
    path = "telemetry/own/model=nmc-50/region=a/battery=b/day=2026-01-01/x.parquet"
    session.lake.write(path, b"nothing")
    with pytest.raises(ElementError, match=r"x\.parquet cannot be read .*columns time, cell"):
        battery_health(data="telemetry/own")
    pd.DataFrame({"time": [1]}).to_parquet(tmp_path / "x.parquet")
    session.lake.write(path, (tmp_path / "x.parquet").read_bytes())
    with pytest.raises(ElementError, match="has no column cell"):
        battery_health(data="telemetry/own")


def test_days_beyond_the_calendar_are_refused(session):
    with pytest.raises(InputError, match=r"10 days from 9999-12-30 .*fewer days"):
        battery_health(fleet=1, days=10, start=dt.date(9999, 12, 30))


def fleet() -> pd.DataFrame:
    rows = [
        (f"b{battery}", cell, pd.Timestamp("2026-01-01") + pd.Timedelta(days=day), model, region)
        for number, (model, region) in enumerate([("m", "n"), ("m", "s"), ("k", "n"), ("m", "n")])
        for battery in (2 * number, 2 * number + 1)
        for cell in (1, 2, 3)
        for day in range(10)
    ]
    table = pd.DataFrame(rows, columns=["battery", "cell", "day", "model", "region"])
    order = pd.Series(range(len(table)))
    table["soh"] = 0.7 + (order * 37 % 101) / 400
    table["capacity_ah"], table["resistance_mohm"] = 50 * table["soh"], 1 / table["soh"]
    return table


@pytest.mark.parametrize("partitions", [1, 5])
def test_the_summary_names_the_oldest_cells_of_each_group_whatever_the_partitions(session, partitions):
    import dask.dataframe as dd

    table = fleet()
    summary = fleet_summary(dd.from_pandas(table, npartitions=partitions)).compute()
    recent = table[table["day"] > "2026-01-03"]
    means = recent.groupby(["model", "region", "battery", "cell"])["soh"].mean().reset_index()
    assert len(summary) == 9
    for (model, region), group in means.groupby(["model", "region"]):
        rows = summary[(summary["model"] == model) & (summary["region"] == region)].sort_values("rank")
        assert rows["soh"].tolist() == pytest.approx(group["soh"].nsmallest(3).tolist())
        assert rows["rank"].tolist() == [1, 2, 3]
        assert (rows["cells"] == len(group)).all()
        assert rows["mean_soh"].tolist() == pytest.approx([group["soh"].mean()] * 3)


def test_the_state_of_health_over_time_is_a_mean_by_day_and_model(session):
    import dask.dataframe as dd

    table = fleet()
    means = soh_by_model(dd.from_pandas(table, npartitions=3))
    assert list(means.columns) == ["k", "m"]
    first = table[(table["day"] == "2026-01-01") & (table["model"] == "m")]
    assert means["m"].iloc[0] == pytest.approx(100 * first["soh"].mean())


@pytest.mark.slow
def test_a_run_on_workers_gives_the_same_result(session, tmp_path):
    in_process = battery_health(fleet=2, days=1)
    serial = session.artifacts.read("cell-health"), session.artifacts.read("fleet-summary")
    with connect(on="local", workers=1, lake=tmp_path / "other", progress="off") as other:
        assert battery_health(fleet=2, days=1) == in_process
        pd.testing.assert_frame_equal(other.artifacts.read("cell-health"), serial[0])
        pd.testing.assert_frame_equal(other.artifacts.read("fleet-summary"), serial[1])
