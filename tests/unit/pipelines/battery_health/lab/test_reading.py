from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from lightwork import InputError
from pipelines.battery_health.lab.discharge import measure
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
        "A, discharge 6: fewer than 3 samples under load; dropped",
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


def test_names_of_cells_and_columns_may_be_odd(tmp_path):
    names = {
        "cell 1.5 V.parquet": "cell 1.5 V",
        "cell 1.7 V.PARQUET": "cell 1.7 V",
        "Zelle=ü, <b>.bdf.csv": "Zelle=ü, <b>",
    }
    for number, name in enumerate(names, start=1):
        table = frame((number,)).rename(columns=str.upper if "bdf" not in name else BDF)
        if name.endswith(".csv"):
            (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + table.to_csv(index=False).encode())
        else:
            table.rename(columns=lambda name: f" {name}").to_parquet(tmp_path / name)
    (tmp_path / "._cell 1.5 V.parquet").write_bytes(b"of another system")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "B0005.mat").write_bytes(b"")
    cells = read_cells(tmp_path)
    assert {one.cell for one in cells.discharges} == set(names.values())
    assert cells.remarks == ["B0005.mat is not read; expected .parquet or .csv"]


def test_a_cell_that_is_there_under_two_names_counts_once(tmp_path):
    frame((1, 2, 3)).to_parquet(tmp_path / "A.parquet")
    frame((2, 3, 4)).astype("float32").to_csv(tmp_path / "B.csv", index=False)
    frame((5,)).to_parquet(tmp_path / "C.parquet")
    cells = read_cells(tmp_path)
    assert [(one.cell, one.number) for one in cells.discharges] == [("A", 1), ("A", 2), ("A", 3), ("C", 5)]
    assert cells.remarks == ["B: 2 of its 3 discharges are also those of A, so it is the same cell; left out"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(cycle=t["cycle"] - 3), "A: a cycle -2; expected whole numbers from 0"),
        (lambda t: t.assign(cycle=t["cycle"] + 0.5), "A: a cycle 1.5; expected whole numbers from 0"),
        (
            lambda t: t.assign(VOLTAGE=t["voltage"]).drop(columns="voltage").assign(Voltage=3.0),
            "VOLTAGE 2 times",
        ),
        (
            lambda t: t.assign(current=t["current"] * 1000).iloc[:25],
            "a current of 2,0.. under load; expected A",
        ),
        (lambda t: t.assign(temperature=np.nan), r"no sample has all values \(temperature has none\)"),
        (
            lambda t: t.rename(columns={"seconds": "Test Time / h"}),
            r"no column seconds \(it has Test Time / h\)",
        ),
    ],
)
def test_more_that_is_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, change(frame()))
    assert "\n" not in str(caught.value)


def test_a_sample_without_a_finite_value_is_dropped(tmp_path, plain):
    table = frame()
    table.loc[7, "current"] = np.inf
    cells = read(tmp_path, table)
    assert cells.remarks == ["A: 1 samples without a value are dropped"]
    assert cells.discharges[0].samples.shape[1] == plain.discharges[0].samples.shape[1] - 1


def test_what_a_voltage_sensor_makes_up_is_dropped_but_not_a_load_that_the_current_misses(tmp_path, plain):
    table = frame()
    for at, volts in ((40, 2.0), (60, 2.2), (61, 2.1), (80, 0.0), (100, 5.0)):
        table.loc[at, "voltage"] = volts
    cells = read(tmp_path, table)
    (line,) = cells.remarks
    assert line.startswith("A, discharge 1: 5 samples whose voltage or current jumps away and back by itself")
    assert measure(cells.discharges[0].samples).capacity_ah == pytest.approx(
        measure(plain.discharges[0].samples).capacity_ah, rel=1e-3
    )
    pulsed = frame().assign(voltage=lambda t: t["voltage"] - 0.4 * (t.index % 2))
    assert read(tmp_path, pulsed).remarks == []


@pytest.mark.parametrize("amperes", [0.0, -20.0, -500.0, 3.0])
def test_a_current_that_the_voltage_does_not_feel_is_dropped(tmp_path, plain, amperes):
    table = frame((1, 2))
    table.loc[50, "current"] = amperes
    cells = read(tmp_path, table)
    (line,) = cells.remarks
    assert line.startswith("A, discharge 1: 1 samples whose voltage or current jumps away and back by itself")
    assert measure(cells.discharges[0].samples).capacity_ah == pytest.approx(
        measure(plain.discharges[0].samples).capacity_ah, rel=1e-3
    )


def test_a_real_pulse_is_kept(tmp_path):
    table = frame((1, 2))
    table.loc[50, "current"] = 0.0
    table.loc[50, "voltage"] += 0.2
    assert read(tmp_path, table).remarks == []


def test_rows_in_no_order_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"A: cycle changes \d+ times from row to row; expected rows in order"
    ):
        read(tmp_path, frame().sample(frac=1.0, random_state=0))


@pytest.mark.parametrize("cycles", [True, False])
def test_temperatures_recorded_less_often_are_filled_but_none_are_made_up(tmp_path, plain, cycles):
    table = frame()
    seldom = table.assign(temperature=table["temperature"].where(table.index % 10 == 0))
    cells = read(tmp_path, seldom if cycles else seldom.drop(columns="cycle"))
    assert "samples without a temperature have that of their neighbours" in cells.remarks[0]
    assert [one.samples.shape for one in cells.discharges] == [one.samples.shape for one in plain.discharges]
    assert np.allclose(cells.discharges[0].samples[3], plain.discharges[0].samples[3], atol=1.0)
    without = table.assign(temperature=table["temperature"].where(table["cycle"] != 2))
    assert [one.number for one in read(tmp_path, without).discharges] == [1, 3]


def test_a_voltage_that_reads_nothing_to_the_end_gives_no_capacity(tmp_path):
    table = frame((1,))
    table.loc[60:, "voltage"] = 0.001
    (one,) = read(tmp_path, table).discharges
    assert np.isnan(measure(one.samples).capacity_ah)


def charged(table: pd.DataFrame, amperes: list[float]) -> pd.DataFrame:
    """The table after a charge with these currents, 20 s apart."""
    before = pd.DataFrame({"seconds": 20.0 * np.arange(len(amperes)), "current": amperes})
    before = before.assign(cycle=table["cycle"].iloc[0], voltage=4.2, temperature=24.0)
    return pd.concat(
        [before, table.assign(seconds=table["seconds"] + 20.0 * len(amperes))], ignore_index=True
    )


def test_the_end_of_a_charge_takes_nothing_from_the_capacity(tmp_path, plain):
    tail = np.geomspace(2.0, 0.025, 400).tolist()  # 20 s each; most is below a twentieth of the load
    (one,) = read(tmp_path, charged(frame((1,)), tail)).discharges
    capacity = measure(plain.discharges[0].samples).capacity_ah
    assert measure(one.samples).capacity_ah == pytest.approx(capacity, rel=1e-3)


def test_a_slow_discharge_after_a_fast_charge_is_one(tmp_path):
    table = charged(frame((1,)), [60.0] * 120)
    assert len(read(tmp_path, table).discharges) == 1
    assert len(read(tmp_path, table.drop(columns="cycle")).discharges) == 1


def test_braking_belongs_to_a_discharge_but_a_charge_does_not(tmp_path, plain):
    whole = plain.discharges[0].samples.shape[1]
    table = frame((1,))
    table.loc[50, "current"] = 1.0
    table.loc[50, "voltage"] += 0.3
    assert read(tmp_path, table).discharges[0].samples.shape[1] == whole
    table.loc[50:90, "current"] = 1.0
    cells = read(tmp_path, table)
    assert cells.discharges[0].samples.shape[1] == whole - 91
    (line,) = cells.remarks
    assert "A, discharge 1: 0.533 Ah were drawn before or after a charge within it, beside 1.05 Ah" in line


def test_discharges_between_which_nothing_was_recorded_are_told_apart(tmp_path, plain):
    parts = [frame([n]).assign(seconds=lambda t, n=n: t["seconds"] + 20_000.0 * n) for n in (1, 2, 3)]
    table = pd.concat(parts, ignore_index=True).drop(columns="cycle")
    assert same(read(tmp_path, table), plain)


def test_a_cell_that_mostly_collapses_at_once_is_not_taken_for_one_in_minutes(tmp_path):
    parts = [frame((1,))]
    for number in (2, 3, 4):
        part = frame((number,)).iloc[:12]
        parts.append(part.assign(voltage=[4.2, 4.2, *np.linspace(3.4, 2.0, 10)], seconds=np.arange(12.0)))
    cells = read(tmp_path, pd.concat(parts, ignore_index=True))
    assert [one.number for one in cells.discharges] == [1, 2, 3, 4]
    assert 0.0 < measure(cells.discharges[2].samples).capacity_ah < 0.01


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", r"A.csv cannot be read \(Empty CSV file\)", id="empty"),
        pytest.param(b"cycle;seconds\n1;0\n", r"has one column, 'cycle;seconds'; .* commas", id="semicolons"),
        pytest.param(b"cycle,temp\xb0\n1,0\n", r"A.csv cannot be read \('utf-8' codec", id="latin-1"),
    ],
)
def test_a_csv_file_of_another_kind_is_refused_in_one_line(tmp_path, data, words):
    (tmp_path / "A.csv").write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_cells(tmp_path)
    assert "\n" not in str(caught.value)
