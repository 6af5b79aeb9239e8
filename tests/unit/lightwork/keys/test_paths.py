"""Canonical bytes of paths, and of the files and folders that they name."""

from __future__ import annotations

import os
import pathlib

import pytest

from lightwork.keys import Unkeyable, encode
from lightwork.keys.values import objects as keyed_objects


def test_a_path_counts_by_its_text_and_a_file_also_by_size_and_time(tmp_path):
    path = tmp_path / "a.txt"
    absent = encode(path)
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    first = encode(path)
    assert first == encode(pathlib.Path(str(path))) != absent
    os.utime(path, ns=(1, 2))
    assert encode(path) != first
    path.write_text("more")
    os.utime(path, ns=(1, 1))
    assert encode(path) != first


def test_a_folder_counts_with_all_files_below_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_text("a")
    before = encode(tmp_path)
    assert encode(tmp_path) == before
    (tmp_path / "sub/b").write_text("b")
    assert encode(tmp_path) != before
    (tmp_path / "sub/b").unlink()
    assert encode(tmp_path) == before
    (tmp_path / "__pycache__").mkdir()
    assert encode(tmp_path) == before
    (tmp_path / "sub/a").write_text("ab")
    assert encode(tmp_path) != before


def test_a_folder_with_too_many_files_is_refused_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(keyed_objects, "MOST_ENTRIES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(Unkeyable, match=r"over 2 entries.*pass"):
        encode(tmp_path)


def test_an_open_file_is_refused(tmp_path):
    with (tmp_path / "x").open("w") as file, pytest.raises(Unkeyable, match=r"an open file"):
        encode(file)
