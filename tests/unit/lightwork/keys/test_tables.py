"""Canonical bytes of arrays and tables."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightwork.keys import Unkeyable, encode

RECORD = np.dtype([("a", "i4"), ("b", "f8")])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
INDEX = pd.Index([1, 2], name="i")


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns, index=INDEX)


DISTINCT = [
    lambda: 1,
    lambda: np.int64(1),
    lambda: np.int32(1),
    lambda: np.uint64(1),
    lambda: np.float64(1),
    lambda: np.float32(1),
    lambda: np.float64("nan"),
    lambda: np.float64(-0.0),
    lambda: np.float64(0.0),
    lambda: np.complex128(1),
    lambda: np.longdouble(1),
    lambda: np.bool_(True),
    lambda: np.str_("1"),
    lambda: np.bytes_(b"1"),
    lambda: np.datetime64("2024-01-01"),
    lambda: np.datetime64("2024-01-01", "ns"),
    lambda: np.datetime64("NaT"),
    lambda: np.timedelta64(1, "D"),
    lambda: np.array(1),
    lambda: np.array([1]),
    lambda: np.array([[1]]),
    lambda: np.array([1], dtype=">i8"),
    lambda: np.array([1], dtype="u8"),
    lambda: np.array([1.0]),
    lambda: np.array([1, 0], dtype="i4"),
    lambda: np.zeros((2, 3)),
    lambda: np.zeros((3, 2)),
    lambda: np.zeros((3, 2), dtype="i8"),
    lambda: np.zeros((0, 2)),
    lambda: np.zeros((2, 0)),
    lambda: np.arange(6.0).reshape(2, 3),
    lambda: np.arange(6.0).reshape(2, 3)[:, ::-1],
    lambda: np.array(["a", "b"]),
    lambda: np.array(["a", "b"], dtype=object),
    lambda: np.array(["a", 1], dtype=object),
    lambda: np.array(["a", "b"], dtype=np.dtypes.StringDType()),
    lambda: np.zeros(2, dtype=RECORD),
    lambda: np.zeros(2, dtype=np.dtype([("a", "i4"), ("c", "f8")])),
    lambda: np.zeros(2, dtype=np.dtype([("a", "f8"), ("b", "i4")])),
    lambda: np.ma.masked_array([1, 2], mask=[True, False]),
    lambda: RECORD,
    lambda: np.dtype("f8"),
    lambda: np.sqrt,
    lambda: np.sum,
    lambda: np.random.default_rng(1),
    lambda: np.random.default_rng(2),
    lambda: pd.Timestamp("2024-01-01"),
    lambda: pd.Timestamp("2024-01-01", tz="UTC"),
    lambda: pd.Timestamp("2024-01-01", tz="Europe/Berlin"),
    lambda: pd.Timestamp("2024-01-01 00:00:00.000000001"),
    lambda: dt.datetime(2024, 1, 1),  # noqa: DTZ001 - naive on purpose
    lambda: pd.Timedelta("1D"),
    lambda: pd.Timedelta("1D1ns"),
    lambda: pd.NaT,
    lambda: pd.NA,
    lambda: pd.Period("2024-01", "M"),
    lambda: pd.Period("2024-01-01", "D"),
    lambda: pd.Interval(0, 1),
    lambda: pd.Interval(0, 1, closed="left"),
    lambda: pd.offsets.Hour(2),
    lambda: pd.Index([1, 2]),
    lambda: INDEX,
    lambda: pd.RangeIndex(2),
    lambda: pd.date_range("2024", periods=2),
    lambda: pd.date_range("2024", periods=2, tz="UTC"),
    lambda: pd.MultiIndex.from_product([["a"], [1, 2]]),
    lambda: pd.MultiIndex.from_product([["a"], [1, 2]], names=["x", "y"]),
    lambda: pd.Series([1, 2]),
    lambda: pd.Series([1, 2], name="a"),
    lambda: pd.Series([1, 2], index=[1, 2]),
    lambda: pd.Series([1, 2], dtype="Int64"),
    lambda: pd.Series([1, None], dtype="Int64"),
    lambda: pd.Series([1, 0], dtype="Int64"),
    lambda: pd.Series([1, 2], dtype="int64[pyarrow]"),
    lambda: pd.Series([1, 2], dtype="Sparse[int64]"),
    lambda: pd.Series(["a", None]),
    lambda: pd.Series(["a", ""]),
    lambda: pd.Series(["a", "b"], dtype=object),
    lambda: pd.Series(["a", "b"], dtype="category"),
    lambda: pd.Categorical(["a", "b"]),
    lambda: pd.Categorical(["a", "b"], ordered=True),
    lambda: pd.Categorical(["a", "b"], categories=["b", "a"]),
    lambda: pd.arrays.IntervalArray.from_breaks([0, 1, 2]),
    lambda: pd.period_range("2024-01", periods=2, freq="M"),
    lambda: frame(a=[1, 2]),
    lambda: frame(b=[1, 2]),
    lambda: frame(a=[1.0, 2.0]),
    lambda: frame(a=[1, 2], b=[3, 4]),
    lambda: frame(b=[3, 4], a=[1, 2]),
    lambda: frame(a=pd.to_datetime(["2024-01-01", None])),
    lambda: frame(a=[[1], {"x": 2}]),
    lambda: pd.DataFrame({"a": [1, 2]}),
    lambda: pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
    lambda: pa.array([1, 2]),
    lambda: pa.array([1, None]),
    lambda: pa.array([1, 0]),
    lambda: pa.array([None, 1]),
    lambda: pa.array([2**53, None]),
    lambda: pa.array([2**53 + 1, None]),
    lambda: pd.Series([2**53, None], dtype="Int64"),
    lambda: pd.Series([2**53 + 1, None], dtype="Int64"),
    lambda: pa.array([1, 2], pa.int8()),
    lambda: pa.array(["a", ""]),
    lambda: pa.array(["", "a"]),
    lambda: pa.array([b"a", b""]),
    lambda: pa.array([[1], [2, 3]]),
    lambda: pa.array([[1, 2], [3]]),
    lambda: pa.array([[1, 2], None, [3]]),
    lambda: pa.array([[1, 2], [], [3]]),
    lambda: pa.array([{"a": 1, "b": None}]),
    lambda: pa.array([{"a": 1, "b": None}, None]),
    lambda: pa.array([True, False]),
    lambda: pa.array([dt.date(2024, 1, 1)]),
    lambda: pa.array([1], pa.timestamp("ns")),
    lambda: pa.array([1], pa.timestamp("us")),
    lambda: pa.array([1], pa.duration("us")),
    lambda: pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    lambda: pa.array(["a", "b"]).dictionary_encode(),
    lambda: pa.array([None, None]),
    lambda: pa.table({"a": [1, 2]}),
    lambda: pa.table({"b": [1, 2]}),
    lambda: pa.record_batch({"a": [1, 2]}),
    lambda: pa.schema([("a", pa.int8())]),
    lambda: pa.schema([pa.field("a", pa.int8(), nullable=False)]),
    lambda: pa.scalar(1),
    lambda: pa.int8(),
    lambda: pa.field("a", pa.int8()),
]


def test_different_arrays_and_tables_have_different_bytes_every_time():
    seen: dict[bytes, int] = {}
    for number, make in enumerate(DISTINCT):
        data = encode(make())
        assert data == encode(make()), number
        assert len(data) <= 64, number
        assert data not in seen, (number, seen.get(data), make())
        seen[data] = number


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_dtype_and_shape_count(values):
    array = np.array(values, dtype="i4")
    forms = [
        array,
        array.view("u4"),
        array.view("f4"),
        array.view("i2"),
        array.reshape(-1, 1),
        array.tobytes(),
    ]
    assert len({encode(form) for form in forms}) == len(forms)


@pytest.mark.parametrize("kind", ["f8", "f4", "c16", "i8", "U3", "M8[s]", "?"])
def test_the_memory_layout_of_an_array_does_not_count(kind):
    array = np.arange(24).reshape(4, 6).astype("i8").astype(kind)
    wide = np.zeros((8, 12), dtype=kind)
    wide[::2, ::2] = array
    assert encode(array) == encode(np.asfortranarray(array)) == encode(wide[::2, ::2])
    assert encode(array) != encode(array.T)


def test_a_memory_map_equals_its_content(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    assert encode(np.load(tmp_path / "a.npy", mmap_mode="r")) == encode(np.arange(3))


def test_every_nan_in_an_array_is_equal():
    odd = np.array([0xFFF8000000000123], dtype="u8").view("f8")
    assert encode(odd) == encode(np.array([np.nan]))
    assert encode(odd[0]) == encode(np.float64("nan"))
    assert encode(np.array([complex(np.nan, 1)])) != encode(np.array([complex(np.nan, 2)]))
    assert encode(np.array([1.0, 2.0])) != encode(np.array([1.0, np.nan]))


def test_padding_between_the_fields_of_records_does_not_count():
    one, other = np.zeros(2, dtype=ALIGNED), np.zeros(2, dtype=ALIGNED)
    other.view("u1")[1] = 7
    assert (one == other).all()
    assert encode(one) == encode(other)
    other["b"] = 1
    assert encode(one) != encode(other)


def test_the_bytes_under_a_missing_value_do_not_count():
    one, other = pd.array([1, 2], dtype="Int64"), pd.array([5, 2], dtype="Int64")
    one[0] = other[0] = pd.NA
    assert encode(pd.Series(one)) == encode(pd.Series(other))
    buffers = [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([7, 2], "i8").tobytes())]
    hidden = pa.Array.from_buffers(pa.int64(), 2, buffers)
    assert encode(hidden) == encode(pa.array([None, 2]))
    days = pa.Array.from_buffers(pa.date32(), 2, [buffers[0], pa.py_buffer(np.array([7, 2], "i4").tobytes())])
    assert encode(days) == encode(pa.array([None, 2], pa.date32()))


def test_chunks_and_slices_of_arrow_do_not_count():
    table = pa.table(
        {"a": [1, 2, None], "b": ["x", None, "z"], "c": [[1], None, [2, 3]], "d": [{"k": 1}, None, {"k": 2}]}
    )
    padded = pa.concat_tables([table, table, table]).combine_chunks().slice(3, 3)
    parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert encode(table) == encode(parts) == encode(padded)
    assert encode(table) != encode(table.slice(1))


def test_the_index_of_a_table_from_pandas_counts():
    pandas = pa.Table.from_pandas(pd.DataFrame({"a": [1]}).set_index("a", drop=False).rename_axis("i"))
    assert encode(pandas) != encode(pandas.replace_schema_metadata({}))


def test_the_storage_of_strings_does_not_count():
    kinds = [pd.StringDtype(storage, na_value=np.nan) for storage in ("python", "pyarrow")]
    one, other = (pd.Series(["a", None, "ü"], dtype=kind) for kind in kinds)
    assert encode(one) == encode(other)
    assert encode(one) != encode(pd.Series(["a", None, "u"], dtype=kinds[0]))


def test_the_way_a_frame_was_created_does_not_count():
    one = frame(a=[1, 2], b=["x", "y"])
    other = frame(b=["x", "y"])
    other.insert(0, "a", [1, 2])
    assert encode(one) == encode(other) == encode(one.iloc[::-1].iloc[::-1])
    assert encode(one) != encode(one.iloc[::-1])


def test_an_element_without_a_key_is_refused():
    with pytest.raises(Unkeyable, match="a generator"):
        encode(frame(a=[1, (i for i in [])]))
    with pytest.raises(Unkeyable, match="an iterator"):
        encode(np.array([iter([])], dtype=object))
