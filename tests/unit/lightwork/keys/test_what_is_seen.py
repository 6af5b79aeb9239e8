"""What docs/writing-a-pipeline.md says of the cache: what it sees, and what it does not."""

from __future__ import annotations

import functools
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from lightwork import connect, task
from lightwork.keys import code_key
from lightwork.keys.calls import call_key


def add(x: Any, n: int = 1) -> Any:
    return x, n


def key(value: Any) -> bytes:
    return call_key(add, code_key(add), (value,), {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x": 1, "y": 2}, "b": [{3: 4, 5: 6}]}, {"b": [{5: 6, 3: 4}], "a": {"y": 2, "x": 1}}),
        ({3, 1, 2}, {1, 2, 3}),
        (frozenset(["a", "b"]), frozenset(["b", "a"])),
    ],
)
def test_equal_dictionaries_and_sets_are_equal_arguments(one, other):
    assert one == other
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), ([1], (1,)), ("1", b"1"), (True, 1), ({1: 2}, [(1, 2)])]
)
def test_arguments_count_by_their_type_too(one, other):
    assert key(one) != key(other)


def write(file: Path, text: str, moment: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (moment, moment))
    return file


def test_a_path_counts_with_size_and_modification_time_of_its_file(tmp_path):
    file = write(tmp_path / "data.csv", "one", 1e9)
    as_path, as_text = key(file), key(str(file))
    for text, moment in [("one", 1.1e9), ("three", 1e9)]:
        write(file, text, moment)
        assert key(file) != as_path
        assert key(str(file)) == as_text
    write(file, "two", 1e9)  # of the same size and time
    assert key(file) == as_path


def test_a_folder_counts_with_all_its_files(tmp_path):
    file = write(tmp_path / "data" / "deep" / "data.csv", "one", 1e9)
    before, as_text = key(tmp_path / "data"), key(str(tmp_path / "data"))
    write(file, "three", 1e9)
    assert key(tmp_path / "data") != before
    assert key(str(tmp_path / "data")) == as_text


UNSEEN = """
import os, random, time
from pathlib import Path
from lightwork import task

@task
def reads_a_file(x):
    with open({file!r}) as file:
        return x, file.read()

@task
def reads_the_environment(x):
    return x, os.environ.get("WIND")

@task
def reads_the_clock(x):
    return x, time.time()

@task
def draws(x):
    return x, random.random()
"""


@pytest.mark.parametrize("name", ["reads_a_file", "reads_the_environment", "reads_the_clock", "draws"])
def test_what_is_not_seen_does_not_count(tmp_path, monkeypatch, name):
    import importlib

    file = tmp_path / "elsewhere" / "data.csv"
    write(file, "one", 1e9)
    folder = tmp_path / "code"
    write(folder / f"unseen_{name}.py", UNSEEN.format(file=str(file)), 1e9)
    monkeypatch.syspath_prepend(str(folder))
    made = getattr(importlib.import_module(f"unseen_{name}"), name)
    before = code_key(made)
    with connect("serial", lake=tmp_path / "lake") as session:
        first = list(made.map([1]))
        write(file, "three", 2e9)
        monkeypatch.setenv("WIND", "42")
        random.seed(7)
        time.sleep(0.01)
        assert code_key(made) == before
        assert list(made.map([1])) == first
        assert session.elements["cached"] == 1


def test_ignored_parameters_do_not_count():
    made = task(ignore=["n"])(add)
    keys = {call_key(made.fn, code_key(made), (1,), {"n": n}, made.options.ignore) for n in (1, 2)}
    assert len(keys) == 1


def test_what_a_callable_holds_counts():
    keys = {code_key(task(functools.partial(add, n=n))).digest for n in (1, 2)}
    assert len(keys) == 2
