"""Canonical bytes of values."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import math
import pathlib
import re
import struct
import threading
import uuid
import zoneinfo
from typing import NamedTuple

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightwork import task
from lightwork.keys import Unkeyable, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def typed(value: object) -> object:
    """Return the value with its types, so that `==` distinguishes 1, 1.0 and True."""
    if isinstance(value, dict):
        return "dict", {k: typed(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(v) for v in value]
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    return type(value).__name__, value


@given(JSON, JSON)
def test_two_values_have_the_same_bytes_if_and_only_if_they_are_equal(one, other):
    assert (encode(one) == encode(other)) == (typed(one) == typed(other))


@given(JSON)
def test_a_copy_has_the_same_short_bytes(value):
    def copy(v):
        if isinstance(v, dict):
            return {k: copy(v[k]) for k in reversed(list(v))}
        return type(v)(copy(i) for i in v) if isinstance(v, (list, tuple)) else v

    assert encode(value) == encode(copy(value))
    assert 0 < len(encode(value)) <= 64


@given(st.lists(JSON, max_size=4), st.lists(JSON, max_size=4))
def test_joined_encodings_are_unambiguous(one, other):
    joined = [b"".join(encode(v) for v in values) for values in (one, other)]
    assert (joined[0] == joined[1]) == (typed(one) == typed(other))


@given(st.sets(st.integers() | st.text()))
def test_the_order_of_a_set_does_not_count(values):
    assert encode(values) == encode({*reversed(list(values))})
    assert encode(values) != encode(frozenset(values))


class Colour(enum.Enum):
    RED = 1
    ROSE = 2


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Box:
    x: int
    y: object = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object


@attrs.define
class Attrs:
    x: int


class Model(pydantic.BaseModel):
    x: int


class Plain:
    def __init__(self, x: object) -> None:
        self.x = x


class Slots:
    __slots__ = ("__hidden", "x")

    def __init__(self, x: object) -> None:
        self.x = x
        self.__hidden = x


class OwnKey:
    def __init__(self, x: object) -> None:
        self.x = x
        self.lock = threading.Lock()

    def __lightwork_key__(self) -> object:
        return self.x


class Reduced:
    def __init__(self, x: object) -> None:
        self.x = x

    def __reduce__(self):
        return Reduced, (self.x,)


class MyInt(int):
    pass


class MyDict(dict):
    pass


def helper(x):
    return x


@task
def some_task(x):
    return x


BERLIN, PARIS = zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Europe/Paris")
UTC = dt.UTC
# No two of these values are equal.
DISTINCT = [
    lambda: 1,
    lambda: 1.0,
    lambda: True,
    lambda: "1",
    lambda: b"1",
    lambda: bytearray(b"1"),
    lambda: memoryview(b"1"),
    lambda: 0.0,
    lambda: -0.0,
    lambda: math.nan,
    lambda: math.inf,
    lambda: struct.unpack("<d", b"NaN.....")[0],
    lambda: 1 + 0j,
    lambda: complex(1, -0.0),
    lambda: complex(math.nan, 1),
    lambda: None,
    lambda: ...,
    lambda: NotImplemented,
    lambda: 10**5000,
    lambda: -(10**5000),
    lambda: "x" * 1000,
    lambda: b"x" * 1000,
    lambda: "\ud800",
    lambda: [1],
    lambda: (1,),
    lambda: {1},
    lambda: frozenset({1}),
    lambda: {1: 1},
    lambda: [[1], [2]],
    lambda: [[1, 2]],
    lambda: [[], [1, 2]],
    lambda: collections.OrderedDict([(1, 1), (2, 2)]),
    lambda: collections.OrderedDict([(2, 2), (1, 1)]),
    lambda: collections.Counter("aab"),
    lambda: collections.defaultdict(list, {1: [1]}),
    lambda: collections.deque([1], 3),
    lambda: collections.deque([1]),
    lambda: range(3),
    lambda: slice(3),
    lambda: dt.datetime(2024, 10, 27, 2, 30),  # noqa: DTZ001 - naive on purpose
    lambda: dt.datetime(2024, 10, 27, 2, 30, fold=1),  # noqa: DTZ001 - naive on purpose
    lambda: dt.datetime(2024, 10, 27, 2, 30, tzinfo=UTC),
    lambda: dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    lambda: dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    lambda: dt.datetime(2024, 10, 27, 2, 30, tzinfo=PARIS),
    lambda: dt.datetime(2024, 10, 27, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    lambda: dt.date(2024, 10, 27),
    lambda: dt.time(2, 30),
    lambda: dt.time(2, 30, tzinfo=UTC),
    lambda: dt.timedelta(days=1),
    lambda: dt.timedelta(days=1, microseconds=1),
    lambda: UTC,
    lambda: zoneinfo.ZoneInfo("UTC"),
    lambda: decimal.Decimal(1),
    lambda: decimal.Decimal("1.0"),
    lambda: fractions.Fraction(1, 3),
    lambda: uuid.UUID(int=1),
    lambda: pathlib.PurePosixPath("a/b"),
    lambda: pathlib.PureWindowsPath("a/b"),
    lambda: re.compile("a"),
    lambda: re.compile("a", re.IGNORECASE),
    lambda: re.compile(b"a"),
    lambda: functools.partial(helper, 1),
    lambda: functools.partial(helper, x=1),
    lambda: Colour.RED,
    lambda: Colour.ROSE,
    lambda: Level.LOW,
    lambda: re.IGNORECASE,
    lambda: re.IGNORECASE | re.MULTILINE,
    lambda: Point(1),
    lambda: Point(1, 2),
    lambda: Box(1),
    lambda: Box(1, 1),
    lambda: Box(1, [1]),
    lambda: Slotted(1),
    lambda: Attrs(1),
    lambda: Attrs(2),
    lambda: Model(x=1),
    lambda: Model(x=2),
    lambda: Plain(1),
    lambda: Plain([Plain(1)]),
    lambda: Slots(1),
    lambda: Slots(2),
    lambda: OwnKey(1),
    lambda: OwnKey(2),
    lambda: Reduced(1),
    lambda: Reduced(2),
    lambda: MyInt(1),
    lambda: MyDict({2: 2, 1: 1}),
    lambda: ValueError("x"),
    lambda: ValueError("y"),
    lambda: helper,
    lambda: some_task,
    lambda: lambda x: x + 1,
    lambda: lambda x: x + 2,
    lambda: len,
    lambda: print,
    lambda: str.upper,
    lambda: int,
    lambda: Plain,
    lambda: Box(1).__eq__,
    lambda: math,
    lambda: list[int],
    lambda: int | None,
]


def test_different_values_have_different_bytes_every_time():
    seen: dict[bytes, int] = {}
    for number, make in enumerate(DISTINCT):
        data = encode(make())
        assert data == encode(make()), number
        assert len(data) <= 64, number
        assert data not in seen, (number, seen.get(data), make())
        seen[data] = number
    # A task and its function are the same code.
    assert encode(task(helper)) == encode(helper)


def test_every_nan_is_equal():
    odd = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]
    assert encode(odd) == encode(math.nan)
    assert encode([decimal.Decimal("NaN")]) == encode([decimal.Decimal("-NaN")])


def test_the_order_of_a_nested_dict_does_not_count():
    assert encode({"a": {"x": 1, "y": 2}, "b": 3}) == encode({"b": 3, "a": {"y": 2, "x": 1}})
    assert encode(MyDict({1: 1, 2: 2})) == encode(MyDict({2: 2, 1: 1}))


def test_a_cached_property_does_not_change_the_bytes_of_its_instance():
    class WithCache(Plain):
        @functools.cached_property
        def slow(self):
            return 1

    value = WithCache(1)
    before = encode(value)
    assert value.slow == 1
    assert encode(value) == before


def test_a_slot_with_a_private_name_counts():
    one, other = Slots(1), Slots(1)
    other._Slots__hidden = 2
    assert encode(one) != encode(other)


def test_an_attribute_outside_the_fields_of_a_dataclass_counts():
    value = Box(1)
    value.extra = 1
    assert encode(value) != encode(Box(1))


class Holder:
    def __init__(self) -> None:
        self.rows = {"a": [1, (i for i in [])]}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: (i for i in []), "a generator has no stable key"),
        (lambda: [1, iter([])], r"an iterator \(list_iterator\) \(at \[1\]\) has no stable key"),
        (lambda: {"a": [io.StringIO()]}, r"an open file \(at \['a'\]\[0\]\)"),
        (lambda: Holder(), r"a generator \(at \.rows\['a'\]\[1\]\)"),
        (lambda: Box(1, threading.Lock()), r"an object of type _thread.lock \(at \.y\)"),
        (lambda: Point(1, threading.Lock()), r"_thread.lock \(at \.y\)"),
        (lambda: {1: {threading.Lock()}}, r"_thread.lock \(at \[1\]\{…\}\)"),
        (object, r"a bare object\(\)"),
        (lambda: collections.deque([object()]), r"collections.deque, which holds a bare object"),
        (lambda: map(str, []), "an iterator"),
        (lambda: (lambda lock: lambda: lock)(threading.Lock()), "the captured value lock.*_thread.lock"),
    ],
)
def test_a_value_without_a_stable_key_is_refused_and_named(make, words):
    with pytest.raises(Unkeyable, match=words) as raised:
        encode(make())
    assert "\n" not in str(raised.value)
    assert str(raised.value) == raised.value.reason
    assert "0x" not in raised.value.reason
    assert isinstance(raised.value, TypeError)


@pytest.mark.parametrize("kind", ["list", "dict", "instance"])
def test_a_value_that_contains_itself_is_refused(kind):
    inner: object
    if kind == "list":
        inner = [1]
        inner.append(inner)
    elif kind == "dict":
        inner = {}
        inner[1] = inner
    else:
        inner = Plain(1)
        inner.x = inner
    where = {"list": r"\[1\]", "dict": r"\[1\]", "instance": r"\.x"}[kind]
    with pytest.raises(Unkeyable, match=rf"contains itself \(at \['a'\]{where}\)"):
        encode({"a": inner})


def test_an_instance_of_a_class_that_cannot_be_imported_is_refused_if_it_needs_pickling():
    class Local:
        def __reduce__(self):
            return Local, ()

    with pytest.raises(Unkeyable, match=r"Local.*cannot be imported"):
        encode(Local())


def test_values_have_the_same_bytes_in_every_process(run, tmp_path):
    script = """
import collections, datetime, functools, hashlib, zoneinfo
import numpy as np, pandas as pd, pyarrow as pa
from lightwork.keys import encode
from mine import *
no_source = {"__name__": "nowhere"}
exec("def g(x): return x in {'a', 'b', 'c'}", no_source)
values = [{"a", "b", "c", 1, 2.5}, frozenset("hello"), {"x": {"y", "z"}}, Thing(1, {"p", "q"}),
  Hue.RED, helper, Thing, functools.partial(helper, 1), collections.Counter("hello"),
  datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), np.arange(3),
  pd.DataFrame({"a": ["x", None], "b": [1.0, 2.0]}), pa.table({"a": [[1], None]}),
  [helper, {helper, other}], no_source["g"]]
print(hashlib.sha256(b"".join(map(encode, values))).hexdigest())
"""
    mine = (
        "import dataclasses, enum\nclass Hue(enum.Enum):\n    RED = 1\n@dataclasses.dataclass\nclass Thing:\n"
        "    x: int\n    y: set\n    def m(self):\n        return other(1)\nNAMES = {'a', 'b', 'c'}\n"
        "def helper(x):\n    return x in NAMES and x in {'a', 'b', 'c'}\ndef other(x):\n"
        "    return Thing(x, NAMES)\n"
    )
    digests = set()
    for folder, seed in (("one", "1"), ("two", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(mine)
        digests.add(run(script, tmp_path / folder, seed=seed))
    assert len(digests) == 1
