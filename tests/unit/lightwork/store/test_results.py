"""Results in the lake: committed by many writers, looked up in bulk, checked for damage."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from lightwork.errors import LightworkError
from lightwork.lake import open_lake
from lightwork.store import segments, usage
from lightwork.store.results import MISSING, CodeResults
from tests.waiting import patience


@pytest.fixture
def lake(tmp_path):
    return open_lake(tmp_path, tenant="acme")


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def commit(lake, numbers, values=None) -> str:
    values = list(numbers) if values is None else values
    return view(lake).commit(b"".join(map(key, numbers)), segments.to_blocks(values))


def view(lake) -> CodeResults:
    return CodeResults(lake, "tests.square", "c0de")


def look_up(lake, numbers):
    return view(lake).refresh().lookup([key(n) for n in numbers])


def files(tmp_path) -> list[Path]:
    return sorted(tmp_path.rglob("*.seg"))


def test_committed_results_are_found(lake):
    commit(lake, range(10_000))
    assert look_up(lake, range(9_990, 10_010)) == [*range(9_990, 10_000)] + [MISSING] * 10


def test_none_is_a_result(lake):
    commit(lake, [1], [None])
    assert look_up(lake, [1, 2]) == [None, MISSING]


def test_large_values_are_kept_in_several_blocks(lake):
    values = [bytes([n]) * 300_000 for n in range(20)]
    commit(lake, range(20), values)
    assert look_up(lake, [19, 0, 7]) == [values[19], values[0], values[7]]
    assert len(segments.to_blocks(values)) > 5


def test_a_refresh_finds_later_commits(lake):
    results = view(lake).refresh()
    commit(lake, [1])
    assert results.lookup([key(1)]) == [MISSING]
    assert results.refresh().lookup([key(1)]) == [1]


def test_other_code_has_other_results(lake):
    commit(lake, [1])
    other = CodeResults(lake, "tests.square", "0ther").refresh()
    assert other.lookup([key(1)]) == [MISSING]


def test_the_later_result_of_a_key_wins(lake):
    commit(lake, [1, 2], ["old", "old"])
    commit(lake, [1], ["new"])
    assert look_up(lake, [1, 2]) == ["new", "old"]
    view(lake).compact()
    assert look_up(lake, [1, 2]) == ["new", "old"]


def test_merging_keeps_every_result_in_fewer_files(lake, tmp_path):
    for n in range(100):
        commit(lake, [2 * n, 2 * n + 1])
    assert view(lake).compact() == 100
    assert len(files(tmp_path)) == 1
    assert look_up(lake, range(201)) == [*range(200), MISSING]


def test_a_reader_that_misses_a_merged_file_lists_again(lake):
    values = [bytes([n]) * 300_000 for n in range(4)]  # too large to be kept in memory
    for n in range(4):
        commit(lake, [n], [values[n]])
    reader = view(lake).refresh()
    view(lake).compact()
    assert reader.lookup([key(n) for n in range(4)]) == values


def test_merging_while_others_commit_loses_nothing(lake, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests_store_helper import commit_many\n"
        "commit_many(sys.argv[1], int(sys.argv[3]))\n"
    )
    helper = tmp_path / "helper"
    helper.mkdir()
    (helper / "tests_store_helper.py").write_text(
        "from hashlib import blake2b\n"
        "from lightwork.store import segments\n"
        "from lightwork.lake import open_lake\n"
        "from lightwork.store.results import CodeResults\n"
        "def commit_many(root, first):\n"
        "    results = CodeResults(open_lake(root, tenant='acme'), 'tests.square', 'c0de')\n"
        "    for n in range(first, first + 100):\n"
        "        key = blake2b(str(n).encode(), digest_size=16).digest()\n"
        "        results.commit(key, segments.to_blocks([n]))\n"
        "        if n % 25 == 24:\n"
        "            results.compact()\n"
    )
    root = tmp_path / "shared"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(root), str(helper), str(100 * n)]) for n in range(4)
    ]
    assert [writer.wait(timeout=patience(60)) for writer in writers] == [0, 0, 0, 0]
    assert look_up(open_lake(root, tenant="acme"), range(400)) == [*range(400)]


@pytest.mark.parametrize("where", ["start", "keys", "block", "end", "empty"])
def test_a_damaged_file_counts_as_absent_and_is_reported(lake, tmp_path, caplog, where):
    commit(lake, [1, 2])
    commit(lake, [3])
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    position = {"start": 0, "keys": segments.HEAD_BYTES + 3, "block": len(data) - 2}.get(where)
    if position is None:
        del data[0 if where == "empty" else len(data) - 5 :]
    else:
        data[position] ^= 0xFF
    path.write_bytes(data)
    assert look_up(lake, [1, 2, 3]) == [MISSING, MISSING, 3]
    assert path.name in caplog.text


@pytest.mark.parametrize("part", ["head", "index"])
def test_a_damaged_large_file_counts_as_absent(lake, tmp_path, part):
    commit(lake, range(5), [bytes([n]) * 1_000_000 for n in range(5)])
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[0 if part == "head" else segments.HEAD_BYTES] ^= 0xFF
    path.write_bytes(data)
    assert look_up(lake, range(5)) == [MISSING] * 5


def test_damaged_files_are_counted_as_files_without_results(lake, tmp_path):
    commit(lake, [1, 2])
    commit(lake, [3])
    commit(lake, [4])
    first, second, _ = files(tmp_path)
    first.write_bytes(b"rubbish" + first.read_bytes())
    second.write_bytes(second.read_bytes()[:10])
    (task,) = usage.usage(lake)
    assert (task.results, task.files) == (1, 3)


def test_a_damaged_file_is_neither_merged_nor_deleted(lake, tmp_path):
    commit(lake, [1])
    commit(lake, [2])
    commit(lake, [3])
    files(tmp_path)[0].write_bytes(b"rubbish")
    assert view(lake).compact() == 2
    assert look_up(lake, [1, 2, 3]) == [MISSING, 2, 3]


def test_a_large_file_is_looked_up_without_reading_all_of_it(lake):
    values = [bytes([n]) * 1_000_000 for n in range(8)]
    commit(lake, range(8), values)
    results = view(lake)
    paths_read = []
    original = type(lake).read

    class Watched(type(lake)):
        def read(self, path):
            paths_read.append(path)
            return original(self, path)

    results.lake.__class__ = Watched
    assert results.refresh().lookup([key(5)]) == [values[5]]
    assert paths_read == []


def _each(count: int, lengths: list[int], data: bytes) -> bytes:
    """Return a block of values that were pickled one by one, with a table that may be wrong."""
    return b"LWEACH1\n" + struct.pack(f"<Q{len(lengths)}Q", count, *lengths) + data


@pytest.mark.parametrize(
    ("claimed", "block"),
    [
        (70_000, pickle.dumps([0] * 70_000)),
        (70_000, pickle.dumps([0] * 3)),
        (3, pickle.dumps([0] * 2)),
        (3, pickle.dumps([0] * 4)),
        (3, pickle.dumps("abc")),
        (3, pickle.dumps({1: 1, 2: 2, 3: 3})),
        (3, b""),
        (3, b"LWEACH1\n"),
        (3, _each(3, [4, 4], b"N.N.N.N.")),
        (3, _each(3, [2, 2, 200], b"N.N.N.")),
        (3, _each(3, [2, 2, 1], b"N.N.N.")),
        (3, _each(3, [2, 2, 2**64 - 1], b"N.N.N.")),
        (3, _each(2**63, [], b"")),
        (3, _each(2**32, [2, 2, 2], b"N.N.N.")),
        (3, _each(2, [2, 2], b"N.N.")),
    ],
    ids=range(15),
)
def test_a_block_that_holds_other_than_it_claims_is_absent(lake, caplog, claimed, block):
    """Its checksum is right: it was written so."""
    keys = b"".join(key(number) for number in range(claimed))
    view(lake).commit(keys, [(claimed, block)])
    commit(lake, [100_000])
    assert look_up(lake, [0, claimed - 1, 100_000]) == [MISSING, MISSING, 100_000]
    assert caplog.text.count("damaged") == 1


def test_a_damaged_file_is_deleted_by_a_run_and_kept_by_a_look(lake, tmp_path, caplog):
    commit(lake, [1])
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(CodeResults(lake, "tests.square", "c0de", mends=False).refresh()) == 0
    assert path.exists()
    assert look_up(lake, [1]) == [MISSING]
    assert not path.exists()
    caplog.clear()
    assert look_up(lake, [1]) == [MISSING]
    assert not caplog.text


def test_a_file_of_another_version_is_not_deleted(lake, tmp_path, caplog):
    commit(lake, [1])
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[5] += 1
    path.write_bytes(data)
    assert look_up(lake, [1]) == [MISSING]
    assert "another version" in caplog.text
    assert path.read_bytes() == data


def test_a_file_whose_classes_are_gone_is_not_deleted(lake, tmp_path, caplog):
    block = b"cno_such_module\nClass\n."
    view(lake).commit(key(1), [(1, block)])
    (path,) = files(tmp_path)
    assert look_up(lake, [1]) == [MISSING]
    assert "no_such_module" in caplog.text
    assert path.exists()


def test_a_damaged_file_of_a_lake_that_may_only_be_read_is_ignored(lake, tmp_path, monkeypatch):
    commit(lake, [1])
    (path,) = files(tmp_path)
    path.write_bytes(b"")

    def refuse(*_: object) -> None:
        raise LightworkError("cannot delete")

    monkeypatch.setattr(type(lake), "delete", refuse)
    assert look_up(lake, [1]) == [MISSING]
