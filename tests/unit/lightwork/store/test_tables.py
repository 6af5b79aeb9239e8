from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightwork.errors import InputError
from lightwork.lake import Lake, open_lake
from lightwork.store import tables_writing
from lightwork.store.artifacts import Artifacts

if TYPE_CHECKING:
    from pathlib import Path

N = 400
same = pd.testing.assert_frame_equal


@pytest.fixture
def here(lake: Lake) -> Artifacts:
    return Artifacts(lake, run_id="20261124T063518-1a2b3c", provenance={})


@pytest.fixture
def local(tmp_path: Path) -> Artifacts:
    return Artifacts(open_lake(tmp_path, tenant="acme"), run_id="20261124T063518-1a2b3c", provenance={})


@pytest.fixture
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(tables_writing, "PART_BYTES", 2500)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": np.arange(N, dtype="int32"),
            "s": [None if i % 7 == 0 else f"é{i}" for i in range(N)],
            "c": pd.Categorical([["x", "y", "z"][i % 3] for i in range(N)]),
            "t": pd.date_range("2026-01-01", periods=N, freq="h", tz="Europe/Berlin"),
            "n": pd.array([None if i % 5 == 0 else i for i in range(N)], dtype="Int64"),
            "f": np.linspace(0, 1, N, dtype="float32"),
            "d": [datetime.date(2026, 1, 1 + i % 3) for i in range(N)],
            "k": [["b/c", "q", " d%=", "é"][i % 4] for i in range(N)],
        }
    )


INDEXES: dict[str, Any] = {
    "plain": lambda frame: frame,
    "time": lambda frame: frame.set_index("t"),
    "odd range": lambda frame: frame.set_index(pd.RangeIndex(5, 5 + 2 * N, 2, name="r")),
    "two levels": lambda frame: frame.set_index(["c", "a"]),
    "filtered": lambda frame: frame[frame["a"] % 7 < 3],
    "text": lambda frame: frame.set_index(frame["a"].astype(str)),
    "numbered columns": lambda frame: frame[["a", "f"]].rename(columns={"a": 0, "f": 1}),
    "no rows": lambda frame: frame.drop(columns="c").iloc[:0],
}


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("parts", ["one part", "parts"])
def test_types_and_index_are_kept(local: Artifacts, monkeypatch, index: str, parts: str) -> None:
    if parts == "parts":
        monkeypatch.setattr(tables_writing, "PART_BYTES", 2500)
    frame = INDEXES[index](_frame())
    artifact = local.write("t", frame)
    same(local.read("t"), frame)
    same(local.read("t", lazy=True).compute(scheduler="synchronous"), frame)
    if parts == "parts" and len(frame) > N // 2:
        assert len(local.lake.entries(artifact.path)) > 1


@pytest.mark.usefixtures("small_parts")
def test_chosen_columns_are_read_with_the_index(local: Artifacts) -> None:
    frame = _frame().set_index("t")
    local.write("t", frame)
    same(local.read("t", columns=["f", "a"]), frame[["f", "a"]])
    lazy = local.read("t", lazy=True)
    same(lazy[["f", "a"]].compute(scheduler="synchronous"), frame[["f", "a"]])
    same(local.read("t", lazy=True, columns=["f"]).compute(scheduler="synchronous"), frame[["f"]])
    assert lazy["f"].sum().compute(scheduler="synchronous") == pytest.approx(frame["f"].sum())


def test_partition_columns_are_folders_and_are_read_as_columns(here: Artifacts) -> None:
    frame = _frame()
    artifact = here.write("t", frame, partition_by=["k", "d"])
    folders = {
        entry.path.removeprefix(artifact.path + "/").rpartition("/")[0]
        for entry in here.lake.entries(artifact.path)
    }
    assert len(folders) == 12
    assert "k=b%2Fc/d=2026-01-01" in folders
    read = here.read("t")
    same(read.sort_values("a").reset_index(drop=True), frame)
    same(here.read("t", lazy=True).compute(scheduler="synchronous"), read)
    assert here.read("t", columns=["k", "a"]).sort_values("a")["k"].tolist() == frame["k"].tolist()
    for _, group in read.groupby(["k", "d"]):
        assert group["a"].is_monotonic_increasing


def test_the_index_of_a_partitioned_table_is_kept(local: Artifacts) -> None:
    frame = _frame().set_index("t")
    local.write("t", frame, partition_by="c")
    same(local.read("t").sort_index(), frame)


@pytest.mark.usefixtures("small_parts")
def test_a_stream_is_written_while_it_is_read(local: Artifacts) -> None:
    frame = _frame()
    files_before = []

    def pieces():
        for start in range(0, N, 50):
            files_before.append(len(local.lake.entries()))
            yield frame.iloc[start : start + 50].reset_index(drop=True)

    artifact = local.write("t", pieces())
    assert files_before[-1] >= 3
    assert artifact.rows == N
    same(local.read("t"), frame)


def test_a_stream_keeps_its_index_and_may_consist_of_arrow_tables(local: Artifacts) -> None:
    frame = _frame().set_index("t")
    local.write("t", (frame.iloc[start : start + 90] for start in range(0, N, 90)))
    same(local.read("t"), frame)
    tables = [pa.table({"x": [1, 2]}), pa.table({"x": [3]}), pa.record_batch({"x": [4]})]
    local.write("arrow", tables)
    assert local.read("arrow")["x"].tolist() == [1, 2, 3, 4]
    local.write("one", tables[0])
    assert local.read("one")["x"].tolist() == [1, 2]


def test_types_that_widen_later_are_the_same_in_all_files(local: Artifacts, monkeypatch) -> None:
    monkeypatch.setattr(tables_writing, "PART_BYTES", 1)
    artifact = local.write(
        "t",
        [
            pd.DataFrame({"a": [None, None], "b": [1, 2]}),
            pd.DataFrame({"a": ["x", None], "b": [1.5, None]}),
            pa.table({"b": [3], "a": ["q"]}),
        ],
    )
    expected = pd.DataFrame({"a": [None, None, "x", None, "q"], "b": [1.0, 2.0, 1.5, None, 3.0]})
    same(local.read("t"), expected.astype({"a": "str"}))
    same(pd.read_parquet(artifact.uri), expected.astype({"a": "str"}))
    folder = local.lake.arrow()[1]
    types = {
        str(pq.read_schema(f"{folder}/{e.path}").field("b").type) for e in local.lake.entries(artifact.path)
    }
    assert types == {"double"}


@pytest.mark.parametrize(
    ("table", "by", "words"),
    [
        (5, (), "expected a pandas or Dask DataFrame, a pyarrow Table, or an iterable of tables, got int"),
        ("text", (), "got str"),
        ({"a": [1]}, (), "got dict"),
        (pd.Series([1]), (), "got Series"),
        ([pd.DataFrame({"a": [1]}), 7], (), "got int"),
        ([], (), "there is no table to write"),
        (pd.DataFrame(index=range(3)), (), "the table has no columns"),
        (pd.DataFrame({"q": [1, "a", object()]}), (), "column q"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), (), "Duplicate column names"),
        (pa.table([[1], [2]], names=["a", "a"]), (), "two columns have the same name"),
        ([pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})], (), "missing ['a'], new ['b']"),
        ([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["z"]})], (), "types differ"),
        (
            [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=pd.Index([1], name="i"))],
            (),
            "index ['i']",
        ),
        (_frame(), ["zz"], "partition_by: there is no column 'zz'; available: a, s,"),
        (_frame(), ["f"], "'f' is float"),
        (_frame(), ["s"], "'s' has missing or empty values"),
        (_frame()[["k"]], ["k"], "leaves no column"),
        (pd.DataFrame({"a/b": ["x"], "c": [1]}), ["a/b"], "cannot name a folder"),
    ],
)
def test_a_table_that_cannot_be_written_is_refused_in_one_line(local: Artifacts, table, by, words) -> None:
    with pytest.raises(InputError) as caught:
        local.write("t", table, partition_by=by)
    assert words in str(caught.value)
    assert "'t'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert local.lake.entries() == []
