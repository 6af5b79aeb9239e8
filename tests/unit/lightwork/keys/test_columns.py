"""Keys of containers with many items, which are encoded by columns; large values that are encoded once."""

from __future__ import annotations

import contextlib
import random
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightwork.keys import Unkeyable, call_key, code_key, encode
from lightwork.keys.values import canonical as values
from lightwork.keys.values import columns, slow

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, float("nan"), 1 << 63, (1 << 63) - 1, -(1 << 63), -(1 << 63) - 1])
    | st.text(max_size=3)
    | st.sampled_from(["\ud800", "\udc00", "\ud800\udc00", "", "é", "ab", "a", "b"])
    | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(SCALARS.filter(lambda v: v == v), inner, max_size=4)
        | st.sets(SCALARS.filter(lambda v: v == v), max_size=4)
        | st.frozensets(st.integers(), max_size=4)
    ),
    max_leaves=12,
)
ONLY_LISTS = st.recursive(st.integers(0, 2), lambda inner: st.lists(inner, max_size=3), max_leaves=10)


@contextlib.contextmanager
def columns_from(items: int) -> Iterator[None]:
    before, columns.MANY = columns.MANY, items
    try:
        yield
    finally:
        columns.MANY = before


def by_columns(value: Any) -> bytes:
    with columns_from(0):
        return encode(value)


def one_by_one(value: Any) -> bytes:
    with columns_from(1 << 60):
        return encode(value)


def near_misses(value: Any) -> Iterator[Any]:
    """Yield values that differ from this one in little, or only in the order of dicts and sets."""
    yield value
    if isinstance(value, bool):
        yield int(value)
    elif isinstance(value, int):
        yield from (value + 1, bool(value), str(value), (value,))
        if abs(value) < 1 << 53:
            yield float(value)
    elif isinstance(value, float):
        yield from (-value, struct.pack("<d", value))
        if value == value and abs(value) < 1e300:
            yield int(value)
    elif isinstance(value, str):
        yield from (value + "\0", value[:-1], value.encode("utf-8", "surrogatepass"), [value])
    elif isinstance(value, (list, tuple)):
        items = list(value)
        yield from (items, tuple(items), [items], [*items, []], items[::-1], [*items, None])
        for at, item in enumerate(items):
            for other in near_misses(item):
                yield type(value)([*items[:at], other, *items[at + 1 :]])
            if isinstance(item, (list, tuple)) and item:  # move an item over the border between two lists
                yield type(value)([*items[:at], item[:-1], item[-1], *items[at + 1 :]])
            if at + 1 < len(items) and isinstance(item, str) and isinstance(items[at + 1], str):
                yield type(value)([*items[:at], item + items[at + 1], "", *items[at + 2 :]])
    elif isinstance(value, dict):
        yield {key: value[key] for key in reversed(list(value))}
        yield dict.fromkeys(value)
        for key, item in value.items():
            yield from ({**value, key: other} for other in near_misses(item))
    elif isinstance(value, (set, frozenset)):
        yield from (frozenset(value), sorted(value, key=repr), set(list(value)[1:]))


@given(VALUES)
def test_values_have_the_same_key_by_columns_if_and_only_if_they_have_it_one_by_one(value):
    slowly, fast = one_by_one(value), by_columns(value)
    for other in near_misses(value):
        assert (one_by_one(other) == slowly) == (by_columns(other) == fast), (value, other)


@given(ONLY_LISTS, ONLY_LISTS)
def test_lists_inside_lists_are_told_apart(one, other):
    assert (by_columns(one) == by_columns(other)) == (one == other)


@pytest.mark.parametrize("seed", range(5))
def test_many_items_of_one_type_or_of_several_keep_their_meaning(seed):
    rng = random.Random(seed)
    made = [
        [rng.randrange(-9, 9) for _ in range(200)],
        [rng.random() for _ in range(200)],
        [rng.choice("abc") * rng.randrange(4) for _ in range(200)],
        [rng.choice([1, 1.0, True, "1", b"1", None]) for _ in range(200)],
        [(rng.randrange(3), rng.random()) for _ in range(200)],
        [[rng.randrange(3)] * rng.randrange(3) for _ in range(200)],
        [{"a": rng.randrange(3)} for _ in range(200)],
    ]
    for items in made:
        assert encode(list(items)) == encode(items)
        assert encode(tuple(items)) != encode(items)
        at = rng.randrange(200)
        for other in near_misses(items[at]):
            changed = [*items[:at], other, *items[at + 1 :]]
            assert (encode(changed) == encode(items)) == (one_by_one(changed) == one_by_one(items))


@pytest.mark.parametrize("key", [int, str, float, lambda i: b"%d" % i, lambda i: i << 70, lambda i: (i, i)])
def test_the_order_of_many_keys_or_members_does_not_count(key):
    order = list(range(500))
    random.Random(1).shuffle(order)
    straight = {key(i): i * i for i in range(500)}
    shuffled = {key(i): i * i for i in order}
    assert encode(straight) == encode(shuffled)
    assert encode(set(straight)) == encode(set(shuffled)) != encode(frozenset(straight))
    assert encode(straight) != encode({**straight, key(3): 10})
    assert encode(straight) != encode({k: straight[k] for k in list(straight)[1:]})
    swapped = {**straight, key(3): straight[key(4)], key(4): straight[key(3)]}
    assert encode(straight) != encode(swapped)


def test_true_and_one_differ_among_many():
    ones = [1] * 100
    assert (
        len({encode(v) for v in (ones, [True] * 100, [1.0] * 100, [*ones[1:], True], [True, *ones[1:]])}) == 5
    )
    assert encode(dict.fromkeys(range(100), 1)) != encode(dict.fromkeys(range(100), True))


def test_every_nan_is_the_same_and_minus_zero_is_not_zero():
    other_nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
    many = [0.5] * 99
    assert encode([*many, float("nan")]) == encode([*many, other_nan]) == encode([*many, -other_nan])
    assert encode([*many, 0.0]) != encode([*many, -0.0])


def test_a_list_that_appears_often_in_another_is_not_taken_for_a_cycle():
    inner = [1]
    both = [inner, [inner]] * 100
    assert encode(both) == encode([[1], [[1]]] * 100)


@pytest.mark.parametrize("depth", [1, 2, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_long_list_inside_itself_is_refused(depth):
    innermost: list[Any] = [0] * 100
    outer: list[Any] = innermost
    for _ in range(depth - 1):
        outer = [outer] * 100
    innermost[50] = outer
    with pytest.raises(Unkeyable, match="contains itself"):
        encode(outer)


def test_the_place_of_an_item_without_a_key_is_named_among_many():
    with pytest.raises(Unkeyable) as error:
        encode([[1, i if i != 70 else iter(())] for i in range(100)])
    assert error.value.where == "[70][1]"


@pytest.mark.parametrize(
    "make",
    [
        lambda: tuple(range(5000)),
        lambda: frozenset(range(5000)),
        lambda: tuple((i, str(i)) for i in range(5000)),
        lambda: "é" * (1 << 20),
        lambda: b"x" * (1 << 20),
    ],
)
def test_a_large_value_that_cannot_change_is_encoded_once(make, monkeypatch):
    value = make()
    first = encode(value)
    monkeypatch.setattr(values, "finish", None)
    monkeypatch.setattr(values, "finish_parts", None)
    assert encode(value) == first
    assert len(values._remembered) <= values._REMEMBERED


@pytest.mark.parametrize("make", [lambda: [1], lambda: {"a": 1}, lambda: {1}, lambda: bytearray(b"1")])
@pytest.mark.parametrize("around", [lambda v: v, lambda v: (v,)])
def test_a_large_tuple_that_holds_what_can_change_is_encoded_on_each_call(make, around):
    inner = make()
    value = (*range(5000), around(inner))
    before = encode(value)
    inner.clear()
    assert encode(value) != before


def test_a_list_of_numbers_that_changes_is_noticed():
    table = list(range(100_000))

    def read() -> int:
        return len(table)

    before = code_key(read)
    table[77] = 1
    assert code_key(read) != before


def test_what_takes_long_to_read_is_named_once(caplog, monkeypatch):
    monkeypatch.setattr(slow, "LONG", -1.0)
    monkeypatch.setattr(slow, "_named", set())
    table = [1, 2, 3]

    def read(rows: list[int]) -> int:
        return len(rows) + len(table)

    for _ in range(3):
        code = code_key(read)
        call_key(read, code, ([1],), {})
    lines = [str(record.msg) for record in caplog.records]
    assert sum("read.table" in line and "tuple" in line for line in lines) == 1
    assert sum("the argument rows" in line and "Path" in line for line in lines) == 1


@pytest.mark.parametrize("dtype", ["O", "U7", "S7", "M8[s]", "f4", "c16", "?"])
def test_the_layout_of_a_large_array_does_not_count(dtype):
    array = np.arange(400).astype("i8").astype(dtype).reshape(20, 20)
    wide = np.empty((40, 60), dtype)
    wide[::2, ::3] = array
    for other in (array.copy(order="F"), wide[::2, ::3], array[::-1][::-1]):
        assert encode(other) == encode(array)
    different = array.copy()
    different[7, 7] = array[0, 0]
    assert encode(different) != encode(array)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, dict.fromkeys])
def test_many_paths_in_code_count_as_one_by_one(kind, monkeypatch):
    seen: list[str] = []

    def path_text(value: str) -> bytes:
        seen.append(value)
        return values.text(value.removeprefix("/here"))

    monkeypatch.setattr(values.STATE, "walk", object())
    monkeypatch.setattr(values.HOOKS, "path_text", path_text)
    here = kind([f"/here/{i}" for i in range(9000)])
    there = kind([f"/{i}" for i in range(9000)])
    assert encode(here) == encode(here) == encode(there)
    assert len(seen) == 27_000
