"""Metadata of tables and arrays: it counts where a task can see it, and absent metadata adds nothing."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import zoneinfo
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightwork.keys import Unkeyable, encode


def again(value: object) -> object:
    return pickle.loads(pickle.dumps(value))


class Speed(pa.ExtensionType):
    """Numbers with a unit that the type's text does not show."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        super().__init__(pa.int64(), "tests.speed")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls(serialized.decode())


class SpeedDtype(pd.api.extensions.ExtensionDtype):
    """A dtype whose text does not show its unit."""

    name = "speed"
    type = float
    _metadata = ("unit",)

    def __init__(self, unit: str) -> None:
        self.unit = unit

    @classmethod
    def construct_array_type(cls):
        return SpeedArray


class SpeedArray(pd.api.extensions.ExtensionArray):
    def __init__(self, numbers: list[float], unit: str) -> None:
        self.numbers = np.asarray(numbers, dtype="f8")
        self.unit = unit

    @property
    def dtype(self):
        return SpeedDtype(self.unit)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, at):
        return self.numbers[at] if isinstance(at, int) else SpeedArray(self.numbers[at], self.unit)

    def isna(self):
        return np.isnan(self.numbers)

    def copy(self):
        return SpeedArray(self.numbers.copy(), self.unit)


# pandas: columns, indexes, and changes of metadata

NUMBERS = st.lists(st.integers(-9, 9), min_size=3, max_size=3)
COLUMNS: dict[str, Callable[[list[int]], object]] = {
    "int": lambda v: v,
    "float": lambda v: np.array(v, dtype="f4"),
    "text": lambda v: [str(n) for n in v],
    "object": lambda v: pd.Series([(n,) for n in v], dtype=object),
    "missing": lambda v: pd.array([*v[1:], None], dtype="Int64"),
    "category": lambda v: pd.Categorical(v, categories=range(-9, 10)),
    "moment": lambda v: pd.to_datetime(pd.Series(v), unit="h", utc=True),
    "arrow": lambda v: pd.array(v, dtype=pd.ArrowDtype(pa.int16())),
}
INDEXES: dict[str, Callable[[], pd.Index]] = {
    "range": lambda: pd.RangeIndex(3),
    "numbers": lambda: pd.Index([3, 1, 2], name="n"),
    "days": lambda: pd.date_range("2024-01-01", periods=3, freq="D"),
    "levels": lambda: pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["x", "y"]),
}


def frame_of(kinds: list[str], values: list[int], index: str) -> pd.DataFrame:
    columns = {f"{n} {kind}": pd.Series(COLUMNS[kind](values)) for n, kind in enumerate(kinds)}
    return pd.DataFrame(columns).set_index(INDEXES[index]())


FRAMES = st.builds(
    frame_of,
    st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4),
    NUMBERS,
    st.sampled_from(sorted(INDEXES)),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
ATTRS = st.dictionaries(st.text(max_size=3), PLAIN, min_size=1, max_size=3)


def _attrs(frame: pd.DataFrame) -> None:
    frame.attrs["unit of speed"] = "mph"


def _other_attrs(frame: pd.DataFrame) -> None:
    frame.attrs["unit of speed"] = "km/h"


def _nested_attrs(frame: pd.DataFrame) -> None:
    frame.attrs["columns"] = {"a": {"unit": "mph"}}


def _flags(frame: pd.DataFrame) -> None:
    frame.flags.allows_duplicate_labels = False


def _name_of_columns(frame: pd.DataFrame) -> None:
    frame.columns.name = "what"


def _name_of_index(frame: pd.DataFrame) -> None:
    frame.index.names = ["other", *frame.index.names[1:]]


CHANGES = [_attrs, _other_attrs, _nested_attrs, _flags, _name_of_columns, _name_of_index]


@settings(max_examples=30)
@given(FRAMES, ATTRS)
def test_a_frame_and_each_change_of_its_metadata_have_keys_of_their_own(frame, attrs):
    frames = [frame]
    for change in CHANGES:
        frames.append(frame.copy())
        change(frames[-1])
    frames.append(frame.copy())
    frames[-1].attrs = {"random": attrs}
    keys = [encode(f) for f in frames]
    assert len(set(keys)) == len(frames)
    assert keys == [encode(again(f)) for f in frames]
    assert keys == [encode(f.copy()) for f in frames]


@settings(max_examples=30)
@given(FRAMES, ATTRS, ATTRS)
def test_attrs_count_by_value(frame, one, other):
    frames = [frame.copy(), frame.copy(), frame.copy()]
    frames[0].attrs, frames[1].attrs, frames[2].attrs = one, copy.deepcopy(one), other
    keys = [encode(f) for f in frames]
    assert keys[0] == keys[1] == encode(again(frames[0]))
    assert (keys[0] == keys[2]) == (encode(one) == encode(other))
    columns = [f.iloc[:, 0] for f in frames]
    assert encode(columns[0]) == encode(again(columns[0]))
    assert (encode(columns[0]) == encode(columns[2])) == (encode(one) == encode(other))


def test_an_empty_attrs_adds_nothing_and_their_order_does_not_count():
    frame, bare = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]})
    frame.attrs = {}
    assert encode(frame) == encode(bare)
    frame.attrs, bare.attrs = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert encode(frame) == encode(bare)


@pytest.mark.parametrize("make", [lambda: pd.DataFrame({"a": [1]}), lambda: pd.Series([1])])
def test_an_attribute_without_a_key_is_refused_in_one_line(make):
    value = make()
    value.attrs["rows"] = (n for n in [1])
    with pytest.raises(Unkeyable) as raised:
        encode([value])
    assert raised.value.reason == "a generator (at [0].attrs['rows']) has no stable key"


def _days(**holidays: object) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-08", periods=3, freq=pd.offsets.CustomBusinessDay(**holidays))


def _zoned(tz: dt.tzinfo) -> pd.Series:
    return pd.Series(pd.DatetimeIndex(["2024-01-01"]).tz_localize("UTC").tz_convert(tz))


DAYS = pd.date_range("2024", periods=3)
PAIR = [["b", "a"], ["b", "a"]]
APART: dict[str, list[Callable[[], object]]] = {
    "the holidays of a frequency": [
        lambda: _days(),
        lambda: _days(holidays=["2024-03-01"]),
        lambda: _days(holidays=["2024-03-04"]),
    ],
    "the frequency of an index": [lambda: DAYS, lambda: pd.DatetimeIndex(list(DAYS))],
    "the frequency of durations": [
        lambda: pd.timedelta_range("1D", periods=3),
        lambda: pd.TimedeltaIndex(list(pd.timedelta_range("1D", periods=3))),
    ],
    "the frequency of a frame's index": [
        lambda: pd.DataFrame({"a": [1, 2, 3]}, index=_days()),
        lambda: pd.DataFrame({"a": [1, 2, 3]}, index=_days(holidays=["2024-03-01"])),
        lambda: pd.DataFrame({"a": [1, 2, 3]}, index=pd.DatetimeIndex(list(_days()))),
    ],
    "time zones of one name": [
        lambda: _zoned(dt.timezone(dt.timedelta(hours=1), "CET")),
        lambda: _zoned(dt.timezone(dt.timedelta(hours=2), "CET")),
        lambda: _zoned(zoneinfo.ZoneInfo("CET")),
    ],
    "two kinds of UTC": [lambda: _zoned(dt.UTC), lambda: _zoned(zoneinfo.ZoneInfo("UTC"))],
    "ordered categories": [
        lambda: pd.Series(pd.Categorical(["a"], ordered=True)),
        lambda: pd.Series(pd.Categorical(["a"])),
        lambda: pd.Series(pd.Categorical(["a"], categories=["a", "b"])),
        lambda: pd.Series(pd.Categorical(["a"], categories=["b", "a"])),
        lambda: pd.Series(pd.Categorical(["a"], categories=pd.Index(["a"], name="n"))),
    ],
    "the levels of an index": [
        lambda: pd.Series([1, 2], pd.MultiIndex.from_arrays(PAIR)),
        lambda: pd.Series([1, 2], pd.MultiIndex([["b", "a"], ["a", "b"]], [[0, 1], [1, 0]])),
        lambda: pd.Series([1, 2], pd.MultiIndex([["a", "b", "c"], ["a", "b"]], [[1, 0], [1, 0]])),
        lambda: pd.Series([1, 2], pd.MultiIndex.from_arrays(PAIR, sortorder=0)),
        lambda: pd.Series([1, 2, 3], pd.MultiIndex.from_product([DAYS, [1]])),
        lambda: pd.Series([1, 2, 3], pd.MultiIndex.from_product([list(DAYS), [1]])),
    ],
    "an extension array's own attributes": [
        lambda: pd.DataFrame({"a": SpeedArray([1, 2], "mph")}),
        lambda: pd.DataFrame({"a": SpeedArray([1, 2], "km/h")}),
        lambda: pd.DataFrame({"a": SpeedArray([1, 3], "km/h")}),
    ],
    "metadata of a column's dtype": [
        lambda: pd.Series(np.zeros(2)),
        lambda: pd.Series(np.zeros(2, np.dtype("f8", metadata={"unit": "mph"}))),
        lambda: pd.Series(np.zeros(2, np.dtype("f8", metadata={"unit": "km/h"}))),
    ],
    "an extension type's parameters": [
        lambda: Speed("mph"),
        lambda: Speed("km/h"),
        lambda: pa.field("a", Speed("mph")),
        lambda: pa.field("a", Speed("km/h")),
        lambda: pa.ExtensionArray.from_storage(Speed("mph"), pa.array([1])),
        lambda: pa.ExtensionArray.from_storage(Speed("km/h"), pa.array([1])),
        lambda: pa.ExtensionArray.from_storage(Speed("mph"), pa.array([1]))[0],
        lambda: pa.ExtensionArray.from_storage(Speed("km/h"), pa.array([1]))[0],
        lambda: pa.list_(Speed("mph")),
        lambda: pa.list_(Speed("km/h")),
        lambda: pa.json_(pa.string()),
        lambda: pa.json_(pa.large_string()),
    ],
    "an Arrow dictionary": [
        lambda: pa.array(["b", "a", "b"]).dictionary_encode(),
        lambda: pa.array(["b", "a", "b"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        lambda: pa.DictionaryArray.from_arrays([0, 1, 0], ["b", "a"], ordered=True),
        lambda: pa.DictionaryArray.from_arrays(pa.array([1, 0, 1], pa.int32()), ["a", "b"]),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), ["b", "a", "c"]),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), ["b", "a", "b"]),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), ["b", None]),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0, None, 0], pa.int32()), ["b"]),
    ],
    "the metadata that pandas writes": [
        lambda: pa.Table.from_pandas(_with_attrs({})),
        lambda: pa.Table.from_pandas(_with_attrs({"unit": "mph"})),
        lambda: pa.Table.from_pandas(_with_attrs({"unit": "km/h"})),
    ],
}


def _with_attrs(attrs: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = attrs
    return frame


@pytest.mark.parametrize("what", APART)
def test_values_that_a_task_can_tell_apart_have_different_keys(what):
    keys = [encode(make()) for make in APART[what]]
    assert len(set(keys)) == len(keys)
    assert keys == [encode(make()) for make in APART[what]]
    if what != "an extension type's parameters":  # pyarrow cannot load those scalars
        assert keys == [encode(again(make())) for make in APART[what]]


# Arrow: random schemas, one change anywhere

LEAVES = [
    pa.int8(),
    pa.float64(),
    pa.string(),
    pa.timestamp("us", "UTC"),
    pa.dictionary(pa.int8(), pa.string()),
]
WRAPPED: dict[str, Callable[[pa.Field], pa.DataType]] = {
    "list": pa.list_,
    "large list": pa.large_list,
    "fixed list": lambda f: pa.list_(f, 2),
    "struct": lambda f: pa.struct([pa.field("other", pa.int8()), f]),
    "map": lambda f: pa.map_(pa.string(), f),
    "dictionary": lambda f: pa.dictionary(pa.int8(), pa.struct([f])),
    "union": lambda f: pa.dense_union([f]),
}
WHERE = st.lists(st.sampled_from(sorted(WRAPPED)), max_size=3)
METADATA = st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=2)


def nested(leaf: pa.Field, where: list[str]) -> pa.Field:
    for way in where:
        leaf = pa.field("f", WRAPPED[way](leaf))
    return leaf


@given(st.sampled_from(LEAVES), WHERE, METADATA, METADATA)
def test_metadata_of_schemas_and_of_fields_at_any_depth_count(kind, where, one, other):
    leaf = pa.field("f", kind)
    schemas = [pa.schema([nested(field, where)]) for field in (leaf, leaf.with_metadata(one))]
    schemas += [schemas[0].with_metadata(one), schemas[1].with_metadata(one)]
    has_arrays = "union" not in where and "dictionary" not in where
    tables = [schema.empty_table() for schema in schemas] if has_arrays else []
    for values in (schemas, tables):
        keys = [encode(value) for value in values]
        assert len(set(keys)) == len(keys)
        if "fixed list" not in where:  # pyarrow's pickles drop its field
            assert keys == [encode(again(value)) for value in values]
    changed = pa.schema([nested(leaf.with_metadata(other), where)])
    assert (encode(changed) == encode(schemas[1])) == (one == other)


@given(st.lists(st.integers(0, 5) | st.none(), max_size=9), METADATA, st.data())
def test_chunks_do_not_count_with_metadata(values, metadata, data):
    numbers = pa.array(values, pa.int64())
    struct = pa.array(
        [{"a": v} for v in values], pa.struct([pa.field("a", pa.int64(), metadata={"unit": "mph"})])
    )
    table = pa.table(
        {
            "a": numbers,
            "t": numbers.cast(pa.string()),
            "s": struct,
            "d": numbers.cast(pa.string()).dictionary_encode(),
        }
    ).replace_schema_metadata(metadata)
    at = data.draw(st.integers(0, len(values)))
    parts = pa.concat_tables([table.slice(0, at), table.slice(at)])
    assert encode(parts) == encode(table) == encode(again(parts)) == encode(parts.combine_chunks())


def test_chunks_with_dictionaries_of_their_own_equal_one_chunk():
    parts = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", "c"]).dictionary_encode()]
    assert encode(pa.chunked_array(parts)) == encode(pa.array(["b", "a", "a", "c"]).dictionary_encode())


def test_a_large_dictionary_counts_by_both_of_its_parts():
    names = [f"k{n}" for n in range(5000)]
    one, other = (pa.DictionaryArray.from_arrays([0, 1], values) for values in (names, names[:-1]))
    assert encode(one) != encode(other)
    assert encode(one) == encode(again(one))
    assert encode(one) != encode(pa.DictionaryArray.from_arrays([1, 0], names))


# NumPy: random records, one change

SIMPLE = st.sampled_from(["i1", "f8", "U3", "M8[s]"])


@given(st.lists(SIMPLE, min_size=2, max_size=4), st.integers(0, 1), st.booleans())
def test_titles_metadata_and_layout_of_a_dtype_count(kinds, at, inside):
    def record(number: int, kind: object, name: object = None) -> object:
        return (name or f"f{number}", kind)

    def changed(name: object = None, **metadata: str) -> np.dtype:
        kind = np.dtype(kinds[at], metadata=metadata) if metadata else kinds[at]
        return np.dtype(
            [record(n, kind if n == at else k, name if n == at else None) for n, k in enumerate(kinds)]
        )

    plain = changed()
    dtypes = [
        plain,
        changed(unit="mph"),
        changed(unit="km/h"),
        changed(("mph", f"f{at}")),
        changed(("km/h", f"f{at}")),
        np.dtype(plain.descr, metadata={"unit": "mph"}),
        np.dtype(plain.descr, align=True),
        np.dtype({"names": plain.names, "formats": kinds, "itemsize": plain.itemsize + 8}),
        np.dtype((np.record, plain.descr)),
    ]
    if inside:
        dtypes = [np.dtype([("outer", dtype, (2,))]) for dtype in dtypes]
    for values in (dtypes, [np.zeros(2, dtype) for dtype in dtypes]):
        keys = [encode(value) for value in values]
        assert len(set(keys)) == len(keys)
        assert keys == [encode(again(value)) for value in values]


def test_an_array_counts_with_its_dtypes_metadata_in_any_memory_order():
    dtype = np.dtype("f8", metadata={"unit": "mph"})
    array = np.ndarray((2, 3), dtype, np.arange(6.0).tobytes())
    by_columns = np.ndarray((2, 3), dtype, array.T.tobytes(), order="F")
    assert by_columns.dtype.metadata == array.dtype.metadata == {"unit": "mph"}
    assert encode(array) == encode(again(array)) == encode(by_columns)
    assert encode(array) != encode(np.arange(6.0).reshape(2, 3))


def test_metadata_of_a_dtype_without_a_key_is_refused():
    with pytest.raises(Unkeyable, match=r"^a bare object\(\) \(at .metadata\['x'\]\) has no stable key$"):
        encode(np.dtype("f8", metadata={"x": object()}))


# Bytes of lightwork 0.1.0: what has no metadata keeps its key
KEPT = {
    "record": (
        lambda: np.zeros(2, [("a", "<i4"), ("b", "<f8")]),
        "23c69fd8a3304776c55090b541c87f363b1586ea5c628f6f87ea0a00ff4a2ba9be",
    ),
    "frame": (
        lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}, index=["x", "y"]),
        "239cfcc60b33e44287050cd079284dd5c5c68ffc276aa575d6511502459ffac840",
    ),
    "series": (
        lambda: pd.Series(pd.array([1, None], dtype="Int64"), name="s"),
        "5053333a73313a735052323a6c313a4e74333a69303b69323b69313b231c52f32a9545405a95c24ddd97efd713d7fae785c9aedf1c7c934bd46c21496e",
    ),
    "category": (
        lambda: pd.Series(pd.Categorical(["a", "b"], ordered=True)),
        "5053333a4e5052323a6c313a4e74333a69303b69323b69313b234077be94ded2fc44a8bd1e7f2d088cedf4b4c94b51cea414f22916f194a3e4fb",
    ),
    "days": (
        lambda: pd.Series([1, 2, 3], DAYS),
        "23be8c81342b24121ac76869d3c32eb4f108c4ee0d33a10a81347e7361ec077513",
    ),
    "levels": (
        lambda: pd.Series([1, 2], pd.MultiIndex.from_arrays(PAIR, names=["x", "y"])),
        "23f90166eab0dc903c61b45feacd92a568e95ad8166f8f85aa5ddd71d609cb59c7",
    ),
    "zoned": (
        lambda: _zoned(zoneinfo.ZoneInfo("Europe/Berlin")),
        "5053333a4e5052323a6c313a4e74333a69303b69313b69313b2368eef27ff78e322263d2c9a12f67e36fcbb5ebff64449f8e848c45c74a9f0741",
    ),
    "table": (
        lambda: pa.table({"a": [1, None], "s": [{"x": ["t"]}, None]}),
        "23e11bd995a758e2e79abcbfc4d8c9d07cca9b3cdad103b15ff5a85afb7bd6ef80",
    ),
    "dictionary": (
        lambda: pa.array(["a", "b", "a"]).dictionary_encode(),
        "23dcbb954b52727eee248870dd29543a39a0e16369fe9b58065f9feae4f328f2e9",
    ),
    "type": (
        lambda: pa.map_(pa.string(), pa.list_(pa.int8())),
        "23f725babec52820a721d8768062b429b89447c40a87efb2331a44524197fe2e38",
    ),
}


@pytest.mark.parametrize("what", KEPT)
def test_a_value_without_metadata_keeps_its_key(what):
    make, kept = KEPT[what]
    assert encode(make()).hex() == kept
