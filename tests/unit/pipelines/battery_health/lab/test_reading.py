from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from lightwork import InputError
from pipelines.battery_health.lab.like import Conditions, discharge
from pipelines.battery_health.lab.reading import read_cells

LIKE = Conditions(2.0, 100.0, -2.0, 24.0, 20.0)
BDF = {
    "cycle": "Cycle Count / 1",
    "seconds": "Test Time / s",
    "current": "Current / A",
    "voltage": "Voltage / V",
    "temperature": "Surface Temperature T1 / degC",
}


def frame(numbers=(1, 2, 3)) -> pd.DataFrame:
    """A cell's discharges, as its file holds them."""
    parts = []
    for number in numbers:
        samples = discharge(LIKE, 2.7, 1, number)
        columns = dict(zip(("seconds", "current", "voltage", "temperature"), samples, strict=True))
        parts.append(pd.DataFrame({"cycle": number, **columns}))
    return pd.concat(parts, ignore_index=True)


def read(tmp_path, table: pd.DataFrame, name: str = "A.parquet"):
    """Write a cell's file and read its folder."""
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        text = table.to_csv(index=False).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return read_cells(tmp_path)


def same(cells, others) -> bool:
    return [one.number for one in cells.discharges] == [one.number for one in others.discharges] and all(
        np.allclose(one.samples, other.samples)
        for one, other in zip(cells.discharges, others.discharges, strict=True)
    )


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    return read(folder, frame())


def test_every_discharge_of_a_file_is_read_as_it_is(plain):
    assert [(one.cell, one.number) for one in plain.discharges] == [("A", 1), ("A", 2), ("A", 3)]
    assert plain.remarks == []
    assert np.array_equal(plain.discharges[1].samples, discharge(LIKE, 2.7, 1, 2))


@pytest.mark.parametrize("name", ["A.csv", "A.csv.gz", "A.bdf.csv", "A.bdf", "A.bdf.gz", "A.bdf.parquet"])
def test_csv_and_battery_data_format_read_alike(tmp_path, plain, name):
    table = frame().rename(columns=BDF) if "bdf" in name else frame()
    assert same(read(tmp_path, table, name), plain)
    names = [
        "cycle_count",
        "test_time_second",
        "current_ampere",
        "voltage_volt",
        "ambient_temperature_celsius",
    ]
    assert same(read(tmp_path, frame().set_axis(names, axis="columns"), name), plain)


def test_time_that_goes_on_over_charges_is_split_into_discharges(tmp_path, plain):
    parts = []
    start = 0.0
    for number in (1, 2, 3):
        part = frame([number])
        charge = pd.DataFrame(
            {
                "seconds": np.arange(0.0, 4000.0, 20.0),
                "current": 1.5,
                "voltage": np.linspace(3.2, 4.2, 200),
                "temperature": 25.0,
            }
        )
        for one in (charge, part):
            parts.append(one.assign(seconds=one["seconds"] + start))
            start = float(parts[-1]["seconds"].iloc[-1]) + 20.0
    table = pd.concat(parts, ignore_index=True)
    assert same(read(tmp_path, table.drop(columns="cycle")), plain)
    sizes = [len(parts[at]) + len(parts[at + 1]) for at in (0, 2, 4)]
    numbered = table.assign(cycle=np.repeat([1, 2, 3], sizes))
    assert same(read(tmp_path, numbered.rename(columns=BDF)), plain)


def test_what_cannot_be_used_is_dropped_with_a_line_that_says_why(tmp_path, plain):
    table = frame((1, 2, 3, 4, 5, 6, 7))
    table.loc[table["cycle"] == 2, "voltage"] = table["voltage"].where(table.index % 50 != 0)
    backwards = table["cycle"] == 4
    table.loc[backwards, "seconds"] = table.loc[backwards, "seconds"].to_numpy()[::-1]
    twin = table[table["cycle"] == 1].assign(cycle=5)
    again = frame([8]).assign(cycle=1)
    table = pd.concat([table[table["cycle"] != 5], twin, again], ignore_index=True)
    table.loc[table["cycle"] == 6, "current"] = 0.0
    doubled = table[table["cycle"] == 7].iloc[[40]]
    at = int(doubled.index[0])
    table = pd.concat([table.iloc[: at + 1], doubled, table.iloc[at + 1 :]], ignore_index=True)
    cells = read(tmp_path, table)
    assert [one.number for one in cells.discharges] == [1, 2, 3, 7]
    assert np.array_equal(cells.discharges[3].samples, discharge(LIKE, 2.7, 1, 7))
    text = "\n".join(cells.remarks)
    for line in (
        "samples without a value are dropped",
        "A, discharge 4: ",
        "out of order or doubled; dropped",
        "A, discharge 5: the same samples as 1; dropped",
        "A, discharge 1: its number occurs twice; dropped",
        "A, discharge 6: fewer than 10 samples under load; dropped",
        "A, discharge 7: 1 samples that are out of order or doubled are dropped",
    ):
        assert line in text


def test_discharges_out_of_order_are_read_in_order(tmp_path, plain):
    table = frame((3, 1, 2))
    cells = read(tmp_path, table)
    assert same(cells, plain)
    assert cells.remarks == ["A: discharges are out of order; their numbers are used"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.assign(voltage=t["voltage"] * 1000),
            "A: voltages of [34],.*expected V",
        ),
        (lambda t: t.assign(current=t["current"] * 1000), "discharges of 2,0.. Ah; expected a current in A"),
        (lambda t: t.assign(seconds=t["seconds"] * 1000), "Ah; expected a current in A, seconds in s"),
        (lambda t: t.assign(seconds=t["seconds"] / 60), "discharges last .* s; expected seconds"),
        (lambda t: t.assign(seconds=t["seconds"] / 3600), "discharges last .* s; expected seconds"),
        (lambda t: t.assign(temperature=t["temperature"] + 273.15), "temperatures of 30.*expected °C"),
        (lambda t: t.assign(temperature=t["temperature"] * 1.8 + 32), "temperatures of 8.*expected °C"),
        (lambda t: t.assign(current=-t["current"]), "the voltage falls while the current is positive"),
        (lambda t: t.assign(current=0.0), "the current is 0 everywhere"),
        (lambda t: t.drop(columns="voltage"), "has no column voltage; expected voltage or Voltage / V"),
        (
            lambda t: t.rename(columns=BDF).rename(columns={"Current / A": "Current / mA"}),
            r"has no column current \(it has Current / mA\)",
        ),
        (lambda t: t.assign(current="high"), "current is .*string, not numbers"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.assign(voltage=np.nan), "no usable discharge: A: no sample has all values"),
    ],
)
def test_another_unit_or_sign_is_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, change(frame()))
    assert "\n" not in str(caught.value)


def test_a_folder_without_cells_and_a_file_that_is_no_table_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no files of cells in .*expected .parquet, .csv"):
        read_cells(tmp_path)
    (tmp_path / "A.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"A.parquet cannot be read .*expected the columns cycle, seconds"):
        read_cells(tmp_path)


def test_two_files_of_one_cell_are_refused(tmp_path):
    read(tmp_path, frame())
    with pytest.raises(InputError, match=r"A.csv and A.parquet are the same cell"):
        read(tmp_path, frame(), "A.csv")
