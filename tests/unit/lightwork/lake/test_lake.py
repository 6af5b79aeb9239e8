from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from lightwork.errors import InputError
from lightwork.lake import Entry, Lake, open_lake

if TYPE_CHECKING:
    from pathlib import Path


def test_written_bytes_are_read_back(lake: Lake) -> None:
    lake.write("a/b.bin", b"one")
    lake.write("a/b.bin", [b"two ", memoryview(b"and "), bytearray(b"three")])
    assert lake.read("a/b.bin") == b"two and three"
    assert lake.exists("a/b.bin")


def test_an_empty_file_is_a_file(lake: Lake) -> None:
    lake.write("empty", b"")
    assert lake.read("empty") == b""
    assert lake.read_range("empty", 0, 5) == b""
    assert [entry.path for entry in lake.entries()] == ["empty"]


def test_a_range_ends_with_the_file(lake: Lake) -> None:
    lake.write("x", b"0123456789")
    assert lake.read_range("x", 2, 3) == b"234"
    assert lake.read_range("x", 8, 100) == b"89"
    assert lake.read_range("x", 10, 1) == b""
    assert lake.read_range("x", 500, 1) == b""
    assert lake.read_range("x", 3, 0) == b""
    with pytest.raises(InputError, match=r"start.*at least 0, got -1"):
        lake.read_range("x", -1, 3)


def test_a_missing_file_is_a_file_not_found_error(lake: Lake) -> None:
    lake.write("folder/file", b"x")
    for path in ("nothing", "folder", "folder/file/below"):
        with pytest.raises(FileNotFoundError):
            lake.read(path)
        with pytest.raises(FileNotFoundError):
            lake.read_range(path, 0, 1)
        with pytest.raises(FileNotFoundError):
            lake.read_range(path, 0, 0)
        assert not lake.exists(path)


def test_create_does_not_overwrite(lake: Lake) -> None:
    assert lake.create("once", b"first") is True
    assert lake.create("once", b"second") is False
    assert lake.read("once") == b"first"


def test_entries_are_recursive_sorted_and_limited_to_the_folder(lake: Lake) -> None:
    for path in ("b/2", "b/10", "b/sub/x", "bb/no", "a"):
        lake.write(path, path.encode())
    assert [entry.path for entry in lake.entries()] == ["a", "b/10", "b/2", "b/sub/x", "bb/no"]
    assert lake.entries("b") == lake.entries("b/")
    assert [(entry.path, entry.size) for entry in lake.entries("b")] == [
        ("b/10", 4),
        ("b/2", 3),
        ("b/sub/x", 7),
    ]
    assert lake.entries("b/1") == []
    assert lake.entries("nowhere") == []
    assert isinstance(lake.entries()[0], Entry)
    assert lake.entries()[0].modified > 1.7e9


def test_folders_are_the_direct_subfolders_that_hold_a_file(lake: Lake) -> None:
    for path in ("b/2", "b/sub/deep/x", "c/y", "a"):
        lake.write(path, b"")
    assert lake.folders() == ["b", "c"]
    assert lake.folders("b") == ["sub"]
    assert lake.folders("nowhere") == []
    lake.delete(["b/sub/deep/x"])
    assert lake.folders("b") == []


def test_delete_ignores_missing_files(lake: Lake) -> None:
    lake.write("a/b/c", b"x")
    lake.write("a/d", b"x")
    lake.delete(["a/b/c", "never", "a/b/c/never"])
    lake.delete([])
    assert [entry.path for entry in lake.entries()] == ["a/d"]
    lake.write("a/b/c", b"again")
    assert lake.read("a/b/c") == b"again"


def test_two_tenants_do_not_see_each_other(lake: Lake) -> None:
    other = open_lake(lake.url, tenant="other")
    lake.write("x", b"acme's")
    assert other.entries() == []
    assert not other.exists("x")


def test_a_lake_survives_pickling(lake: Lake) -> None:
    lake.write("x", b"1")
    copy = pickle.loads(pickle.dumps(lake))
    assert copy == lake
    assert (copy.url, copy.tenant, copy.root) == (lake.url, "acme", f"{lake.url}/acme")
    assert copy.read("x") == b"1"


def test_the_same_address_opens_the_same_lake(lake: Lake) -> None:
    lake.write("x", b"1")
    assert open_lake(lake.url, tenant="acme").read("x") == b"1"
    assert lake.uri("a/b") == f"{lake.root}/a/b"


def test_pyarrow_reads_and_writes_the_same_files(lake: Lake) -> None:
    system, base = lake.arrow()
    lake.write("t/x", b"from the lake")
    assert system.open_input_file(f"{base}/t/x").read() == b"from the lake"
    with pickle.loads(pickle.dumps(system)).open_output_stream(f"{base}/t/y") as stream:
        stream.write(b"from pyarrow")
    assert lake.read("t/y") == b"from pyarrow"


@pytest.mark.parametrize(
    "path",
    ["", "/abs", "a//b", "a/../b", "..", "./a", "a/.", "a/", "a\\b", "a\0b", ".tmp-1-x", "a/.tmp-x/b"],
)
def test_an_invalid_path_is_refused(lake: Lake, path: str) -> None:
    for call in (
        lake.read,
        lake.exists,
        lake.uri,
        lambda path: lake.write(path, b""),
        lambda path: lake.delete([path]),
    ):
        with pytest.raises(InputError, match="not a valid lake path") as caught:
            call(path)
        assert repr(path) in str(caught.value)
    assert lake.entries() == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/x", "'gs' is not known; expected a folder, file:///folder or s3://bucket/prefix"),
        ("http://host/x", "'http' is not known"),
        ("", "expected a folder"),
        ("s3:bucket", "expected a folder"),
        ("file:/folder", "expected a folder"),
        ("file://folder", "three slashes"),
        ("file://host/folder", "three slashes"),
        ("s3://", "bucket is missing"),
        ("s3:///prefix", "bucket is missing"),
        ("s3://My_Bucket/x", "'My_Bucket'"),
        ("s3://bucket/a//b", "empty part"),
        ("s3://bucket/a/../b", "empty part"),
    ],
)
def test_an_invalid_address_is_refused_in_one_line(url: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_lake(url, tenant="acme")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tenant", "hint"),
    [
        ("", ""),
        ("Acme Corp", "'acme-corp'"),
        ("-a", "'a'"),
        ("a_b", "'a-b'"),
        ("a" * 64, "aaa"),
        ("../x", "'x'"),
    ],
)
def test_an_invalid_tenant_is_refused_with_a_suggestion(tenant: str, hint: str) -> None:
    with pytest.raises(InputError, match="1 to 63 of a-z") as caught:
        open_lake("lake", tenant=tenant)
    assert hint in str(caught.value)


def test_a_relative_folder_is_resolved_when_the_lake_is_opened(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lake = open_lake("deep/lake", tenant="acme")
    lake.write("x", b"1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert lake.read("x") == b"1"
    assert (tmp_path / "deep" / "lake" / "acme" / "x").read_bytes() == b"1"
    assert lake.url == f"file://{os.fspath(tmp_path)}/deep/lake"
