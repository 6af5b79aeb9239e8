"""The beginning of artifacts: bounded, and nothing that is unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightwork.lake import Lake
from lightwork.store.artifacts import Artifacts
from lightwork.ui import parquet, preview
from lightwork.ui.preview import Preview


def written(lake: Lake, name: str, content: object, **options: object) -> Preview:
    artifacts = Artifacts(lake, run_id="run", provenance={})
    if isinstance(content, bytes | str):
        item = artifacts.write_file(name, content)
    else:
        item = artifacts.write(name, content, **options)
    return preview.preview(lake, item.name, item.version)


class Trap:
    def __reduce__(self) -> object:
        return Path.touch, (Path("sprung"),)


def test_a_csv_file_is_a_table(lake: Lake) -> None:
    rows = "\n".join(f"place {n},{n / 2}" for n in range(50))
    found = written(lake, "wins.csv", f"place,hours\n{rows}\n")
    assert list(found.columns) == ["place", "hours"]
    assert list(found.numeric) == [False, True]
    assert len(found.rows) == 20
    assert found.note == "the first 20 of 50 rows"


def test_a_long_csv_file_is_read_in_part(lake: Lake) -> None:
    found = written(lake, "wins.csv", "a,b\n" + "x,1\n" * 100_000)
    assert found.note == "the first 65,536 of 400,004 bytes"
    assert set(map(tuple, found.rows)) == {("x", "1")}


@pytest.mark.parametrize("content", ["", "\n\n", 'a,"b\n', "\0", "a" * 200_000, "a,b\n1\n1,2,3\n"])
def test_an_odd_csv_file_is_shown_somehow(lake: Lake, content: str) -> None:
    found = written(lake, "odd.csv", content)
    assert found.columns or found.text or found.note
    assert len({len(row) for row in [found.columns, *found.rows]}) <= 1


def test_json_is_indented_and_anything_else_is_as_it_is(lake: Lake) -> None:
    assert written(lake, "a.json", '{"x":[1]}').text == '{\n  "x": [\n    1\n  ]\n}'
    assert written(lake, "b.json", "{" * 5000).text == "{" * 5000
    assert written(lake, "c.txt", b"\xff\xfe plain").text == "\ufffd\ufffd plain"
    assert len(written(lake, "d.json", "[" + "1," * 100_000 + "1]").text) == preview.TEXT


def test_a_pickle_has_no_preview(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model.pkl", "model.joblib", "model"):
        found = written(lake, name, pickle.dumps(Trap()))
        assert found.note.startswith("No preview")
        assert not found.text
        assert not found.columns
    assert not Path("sprung").exists()


def test_a_version_that_is_not_there_is_missing(lake: Lake) -> None:
    with pytest.raises(FileNotFoundError):
        preview.preview(lake, "none", "20261128T000000.000000Z-run")


def test_the_first_rows_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    columns = {f"c{number}": range(100) for number in range(45)}
    pq.write_table(pa.table(columns), file)
    found = parquet.head(file)
    assert found["more_columns"] == 5
    assert found["rows"][19][0] == "19"
    assert len(found["rows"]) == 20
    assert all(found["numeric"])


def test_odd_values_are_texts(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pa.table(
        {
            "x": [None, 1.5, float("nan")],
            "y": ["a" * 1000, None, ""],
            "z": [[1], [], None],
            "b": [b"\0", b"", None],
        }
    )
    pq.write_table(table, file)
    assert parquet.head(file)["rows"][0] == [None, "a" * 200 + "…", "[1]", "b'\\x00'"]


@pytest.mark.slow
def test_a_table_is_read_by_a_process_of_its_own(lake: Lake) -> None:
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2026-01-01", periods=500, tz="UTC"),
            "hours": np.arange(500.0),
            "place": ["JFK", "<b>"] * 250,
        }
    )
    found = written(lake, "winds", frame, partition_by=["place"])
    assert list(found.columns) == ["day", "hours", "place"]
    assert {row[2] for row in found.rows} <= {"JFK", "<b>"}
    assert list(found.numeric) == [False, True, False]
    assert found.note == "the first 20 of 500 rows"


@pytest.mark.slow
def test_what_is_unpickled_elsewhere_is_not_unpickled_here(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bait = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Trap(), protocol=5),
        "PANDAS:metadata": pickle.dumps(Trap(), protocol=0),
    }
    table = pa.table({"n": [1]}, schema=pa.schema([pa.field("n", pa.int64(), metadata=bait)], metadata=bait))
    found = written(lake, "bait", table)
    assert [list(row) for row in found.rows] == [["1"]]
    assert not Path("sprung").exists()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "footer", "noise"])
def test_a_damaged_table_says_so(lake: Lake, tmp_path: Path, damage: str) -> None:
    item = Artifacts(lake, run_id="run", provenance={}).write("winds", pd.DataFrame({"n": range(1000)}))
    (file,) = (tmp_path / "lake").rglob("part*.parquet")
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "footer":
        data[-8:-4] = b"\xff\xff\xff\x7f"
    else:
        data[4:200] = b"\xee" * 196
    file.write_bytes(data)
    found = preview.preview(lake, item.name, item.version)
    assert found.note.startswith("Its first rows cannot be read")
    assert not found.rows


@pytest.mark.slow
def test_a_table_that_unpacks_to_very_much_is_given_up(lake: Lake, tmp_path: Path) -> None:
    value = pa.array(["a" * (200 << 20)])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20, pa.int32()), value)
    file = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"x": column}), file, store_schema=False, compression="zstd")
    assert file.stat().st_size < 1 << 20
    lake.write("bomb.parquet", file.read_bytes())
    answer = preview._asked(lake, "bomb.parquet", file.stat().st_size)
    assert "memory" in answer["problem"] or "ended" in answer["problem"]
