"""Index files: what they find is what the segments hold, whatever happens to them."""

from __future__ import annotations

import os
import random
import shutil
import struct
import threading
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lightwork.errors import LightworkError
from lightwork.lake import Lake, open_lake
from lightwork.lake.local import LocalLake
from lightwork.store import catalog, index_copies, index_files, segments, tending, usage
from lightwork.store.results import MISSING, CodeResults

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "results/tests.square/c0de"


@pytest.fixture(autouse=True)
def own_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "copies"))
    monkeypatch.setattr(tending, "_LISTING", 0)


@pytest.fixture
def local(tmp_path) -> Lake:
    return open_lake(tmp_path / "lake", tenant="acme")


@pytest.fixture
def small(monkeypatch) -> None:
    """Limits at which a few hundred results take all the steps of millions."""
    monkeypatch.setattr(tending, "INDEXED", 100)
    monkeypatch.setattr(catalog, "RECENT", 50)
    monkeypatch.setattr(catalog, "FAN", 3)
    monkeypatch.setattr(tending, "FAN", 3)
    monkeypatch.setattr(tending, "MANY", 5)
    monkeypatch.setattr(index_files, "MERGED_ROWS", 100)


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def view(lake: Lake, **options: bool) -> CodeResults:
    return CodeResults(lake, "tests.square", "c0de", **options)


def commit(lake: Lake, numbers: Sequence[int]) -> str:
    return view(lake).commit(b"".join(map(key, numbers)), segments.to_blocks(list(numbers)))


def look_up(lake: Lake, numbers: Sequence[int], **options: bool) -> list[object]:
    return view(lake, **options).refresh().lookup([key(n) for n in numbers])


def names(lake: Lake, suffix: str) -> list[str]:
    return [entry.path for entry in lake.entries() if entry.path.endswith(suffix)]


def indexed(lake: Lake, count: int = 1000) -> str:
    """Commit results in two segments, index them, and return the index file's path."""
    commit(lake, range(count // 2))
    commit(lake, range(count // 2, count))
    tending._Tending(lake, FOLDER, lambda: False).index()
    shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
    (path,) = names(lake, ".idx")
    return path


def test_results_are_found_by_the_index_alone(lake, small, monkeypatch):
    indexed(lake)
    monkeypatch.setattr(catalog, "read_index", lambda *_: pytest.fail("a segment's index is read"))
    assert look_up(lake, range(-10, 1010)) == [MISSING] * 10 + [*range(1000)] + [MISSING] * 10
    assert look_up(lake, [999, 0, 999, 2000, 0]) == [999, 0, 999, MISSING, 0]
    assert view(lake).refresh().lookup([None, b"", key(3), b"short"]) == [MISSING, MISSING, 3, MISSING]
    assert len(view(lake).refresh()) == view(lake).refresh().count() == 1000


def test_new_segments_are_found_beside_the_index(local, small):
    indexed(local)
    results = view(local).refresh()
    commit(local, [1000])
    assert results.refresh().lookup([key(999), key(1000), key(1001)]) == [999, 1000, MISSING]


def test_keys_that_begin_alike_are_told_apart(local, small):
    """Eight bytes are alike for some of a hundred million keys."""
    keys = [bytes(7) + bytes([first]) + bytes([i]) * 8 for first in (0, 1) for i in range(0, 255, 8)]
    view(local).commit(b"".join(keys), segments.to_blocks(list(range(len(keys)))))
    tending._Tending(local, FOLDER, lambda: False).index()
    results = view(local).refresh()
    assert results.lookup(keys) == [*range(len(keys))]
    for number, one in enumerate(keys):
        assert results.lookup([one]) == [number]
        assert results.lookup([one[:8] + bytes([one[8] + 1]) * 8]) == [MISSING]


def test_deleted_segments_are_absent(local, small):
    first = commit(local, range(500))
    commit(local, range(500, 1000))
    tending._Tending(local, FOLDER, lambda: False).index()
    reader = view(local).refresh()
    local.delete([first])
    assert look_up(local, range(1000)) == [MISSING] * 500 + [*range(500, 1000)]
    assert reader.lookup([key(0), key(999)]) == [MISSING, 999]
    assert view(local).refresh().count() == 500


def test_an_index_of_deleted_segments_alone_is_deleted(local, small):
    indexed(local)
    local.delete(names(local, ".seg"))
    commit(local, [1])
    tending._Tending(local, FOLDER, lambda: False).index()
    assert names(local, ".idx") == []
    assert look_up(local, [1, 2]) == [1, MISSING]


PARTS = {"rows": 0.1, "fences": 0.85, "checks": 0.88, "end": 0.97, "last": 0.9999}


@pytest.mark.parametrize("mends", [True, False])
@pytest.mark.parametrize("where", [*PARTS, "empty", "truncated", "doubled"])
def test_a_damaged_index_is_warned_of_once_and_costs_no_result(local, small, tmp_path, caplog, where, mends):
    path = tmp_path / "lake" / "acme" / indexed(local)
    data = bytearray(path.read_bytes())
    if where in PARTS:
        data[int(len(data) * PARTS[where])] ^= 1
    else:
        data = {"empty": bytearray(), "truncated": data[:-1], "doubled": data + data}[where]
    path.write_bytes(data)
    results = view(local, mends=mends).refresh()
    assert results.lookup([key(n) for n in range(1100)]) == [*range(1000)] + [MISSING] * 100
    results.refresh()
    assert caplog.text.count("damaged index") == 1
    assert path.name in caplog.text
    assert path.exists() is not mends
    tending._Tending(local, FOLDER, lambda: False).index()
    assert look_up(local, range(1000)) == [*range(1000)]


def test_damage_that_a_merge_of_index_files_meets_is_mended(local, small, tmp_path, caplog):
    for start in range(0, 300, 100):
        commit(local, range(start, start + 100))
        if start == 200:
            path = tmp_path / "lake" / "acme" / names(local, ".idx")[0]
            data = bytearray(path.read_bytes())
            data[50] ^= 1
            path.write_bytes(data)
        tending._Tending(local, FOLDER, lambda: False).index()
    assert caplog.text.count("damaged index") == 1
    assert path.name in caplog.text
    tending._Tending(local, FOLDER, lambda: False).index()
    assert look_up(local, range(310)) == [*range(300)] + [MISSING] * 10
    covered = {name for table in view(local).refresh().catalog.tables for name in table.segments}
    assert len(covered) == 3
    assert caplog.text.count("damaged") == 1


def test_no_changed_byte_of_an_index_gives_another_result(local, small, tmp_path):
    path = tmp_path / "lake" / "acme" / indexed(local, 300)
    data = path.read_bytes()
    draw = random.Random(1)
    for _ in range(40):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        some = draw.sample(range(400), 40)
        assert look_up(local, some, mends=False) == [n if n < 300 else MISSING for n in some]
        results = view(local, mends=False).refresh()
        assert [results.lookup([key(n)])[0] for n in range(310)] == [*range(300)] + [MISSING] * 10


def test_an_index_of_a_damaged_segment_gives_none_of_its_results(local, small, tmp_path, caplog):
    indexed(local)
    first = tmp_path / "lake" / "acme" / names(local, ".seg")[0]
    first.write_bytes(b"")
    assert look_up(local, [0, 999]) == [MISSING, 999]
    assert first.name in caplog.text
    assert not first.exists()


class Dying(LocalLake):
    """A lake whose process is killed at its nth change."""

    left = 10**9

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def write(self, *args, **options):
        self._count()
        super().write(*args, **options)

    def stream(self, *args):
        self._count()
        super().stream(*args)

    def delete(self, paths):
        for path in paths:
            self._count()
            super().delete([path])


def test_tending_that_is_killed_at_any_change_loses_nothing(tmp_path, small):
    deaths = 0
    lake = Dying(tmp_path / "lake", "acme")
    count = 0
    for changes in [*range(9), 10**9]:
        for _ in range(5):
            lake.left = 10**9
            commit(lake, range(count, count + 40))
            count += 40
        lake.left = changes
        try:
            tending.tend(lake, FOLDER)
        except KeyboardInterrupt:
            deaths += 1
        lake.left = 10**9
        assert look_up(lake, range(count + 5)) == [*range(count)] + [MISSING] * 5
        assert view(lake).refresh().count() == count
    assert deaths > 5
    tending.tend(lake, FOLDER)
    assert len(names(lake, ".idx")) < 6
    tables = view(lake).refresh().catalog.tables
    assert len(tables) == len(names(lake, ".idx"))
    assert sum(len(table.segments) for table in tables) == len({n for t in tables for n in t.segments})


def test_several_that_tend_at_once_lose_nothing(local, small):
    for start in range(0, 2000, 40):
        commit(local, range(start, start + 40))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(3):
                tending.tend(local, FOLDER)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert look_up(local, range(0, 2000, 7)) == [*range(0, 2000, 7)]
    assert not errors
    assert look_up(local, range(2010)) == [*range(2000)] + [MISSING] * 10


def test_a_lake_without_an_index_is_read_in_bounded_memory(local, small, monkeypatch):
    """As one that was written before there were index files."""
    for start in range(0, 1200, 30):
        commit(local, range(start, start + 30))
    commit(local, range(1200, 1300))  # more than is held in the dictionary
    results = view(local).refresh()
    assert len(results.catalog._recent) <= catalog.RECENT
    assert sum(len(table) for table in results.catalog.tables) >= 1200
    assert len(results.catalog.tables) < 8
    assert results.lookup([key(n) for n in range(1310)]) == [*range(1300)] + [MISSING] * 10
    assert results.count() == 1300
    assert names(local, ".idx") == []


def test_a_lake_without_an_index_gets_one_bit_by_bit(local, small, monkeypatch):
    monkeypatch.setattr(tending, "_INDEXED_AT_ONCE", 100)
    for start in range(0, 1200, 30):
        commit(local, range(start, start + 30))
    covered = 0
    for _ in range(20):
        looks = iter([False] * 40)
        tending._Tending(local, FOLDER, lambda looks=looks: next(looks, True)).index()
        before, covered = (
            covered,
            sum(len(table.segments) for table in view(local).refresh().catalog.tables if table.name),
        )
        assert covered > before or covered >= 38
        assert look_up(local, range(1210)) == [*range(1200)] + [MISSING] * 10
    assert covered >= 38


def test_what_is_added_rewrites_at_most_ten_times_its_index(local, monkeypatch):
    """Maps of 1,000 with limits a hundredth of the real ones: as maps of 100,000."""
    monkeypatch.setattr(tending, "INDEXED", tending.INDEXED // 100)
    monkeypatch.setattr(catalog, "RECENT", catalog.RECENT // 100)
    written = 0
    stream = LocalLake.stream

    def counting(self, path, pieces, size):
        def counted():
            nonlocal written
            for piece in pieces():
                written += len(piece)
                yield piece

        stream(self, path, counted, size)

    monkeypatch.setattr(LocalLake, "stream", counting)
    maps, most = 100, 0
    for number in range(maps):
        commit(local, range(1000 * number, 1000 * (number + 1)))
        tending.tend(local, FOLDER)
        most = max(most, len(names(local, ".idx")))
    assert written <= 10 * 24 * 1000 * maps
    assert most < 3 * catalog.FAN
    assert look_up(local, range(0, 1000 * maps, 501)) == [*range(0, 1000 * maps, 501)]


def test_usage_counts_segments_beside_their_index(local, small):
    indexed(local)
    (task,) = usage.usage(local)
    assert (task.results, task.files) == (1000, 2)
    assert task.bytes == sum(entry.size for entry in local.entries())


# Copies of index files of a lake on S3


@pytest.fixture
def remote(bucket) -> Lake:
    return open_lake(f"s3://{bucket}/prefix", tenant="acme")


def copies(tmp_path) -> list[Path]:
    return sorted((tmp_path / "copies").rglob("*.idx"))


def test_an_index_is_read_from_the_lake_once(remote, small, tmp_path, monkeypatch):
    path = indexed(remote)
    assert look_up(remote, range(1000)) == [*range(1000)]
    read = type(remote).read_range
    paths_read: list[str] = []
    monkeypatch.setattr(
        type(remote),
        "read_range",
        lambda self, path, *args: paths_read.append(path) or read(self, path, *args),
    )
    assert look_up(remote, range(1000)) == [*range(1000)]
    assert path not in paths_read
    assert len(copies(tmp_path)) == 1
    assert (tmp_path / "copies/lightwork/index").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("where", [*PARTS, "empty", "truncated"])
def test_a_damaged_copy_is_read_anew_without_a_word(remote, small, tmp_path, caplog, where):
    path = indexed(remote)
    assert look_up(remote, range(1000)) == [*range(1000)]
    (copy,) = copies(tmp_path)
    data = bytearray(copy.read_bytes())
    if where in PARTS:
        data[int(len(data) * PARTS[where])] ^= 1
    copy.write_bytes(data if where in PARTS else data[: 0 if where == "empty" else -1])
    assert look_up(remote, range(1000)) == [*range(1000)]
    assert remote.exists(path)
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("folder", ["none", "a file", "of others", "full"])
def test_without_a_folder_for_copies_the_index_is_read_each_time(
    remote, small, tmp_path, monkeypatch, folder
):
    indexed(remote)
    base = tmp_path / "copies" / "lightwork"
    if folder == "none":
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    elif folder == "a file":
        base.parent.mkdir()
        base.write_text("")
    elif folder == "of others":
        (base / "index").mkdir(parents=True)
        (base / "index").chmod(0o777)
    else:
        monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert look_up(remote, range(1000)) == [*range(1000)]
    assert copies(tmp_path) == []


@pytest.fixture
def large(monkeypatch) -> None:
    """As if index files were too large to be copied for a few keys."""
    monkeypatch.setattr(index_copies, "_SMALL", 0)


def test_a_few_keys_are_searched_without_a_copy(remote, small, large, tmp_path, monkeypatch):
    path = indexed(remote, 20_000)
    (size,) = [entry.size for entry in remote.entries() if entry.path == path]
    read = type(remote).read_range
    sizes: list[int] = []

    def watched(self, path, start, length):
        data = read(self, path, start, length)
        if path.endswith(".idx"):
            sizes.append(len(data))
        return data

    monkeypatch.setattr(type(remote), "read_range", watched)
    results = view(remote).refresh()
    assert results.lookup([key(5)]) == [5]
    assert results.lookup([key(n) for n in (19_999, 20_000, 0)]) == [19_999, MISSING, 0]
    assert [results.lookup([key(n)])[0] for n in range(30)] == [*range(30)]
    assert copies(tmp_path) == []
    assert sum(sizes[:3]) < size / 10
    assert results.lookup([key(n) for n in range(20_010)]) == [*range(20_000)] + [MISSING] * 10
    assert len(copies(tmp_path)) == 1
    sizes.clear()
    assert results.lookup([key(7)]) == look_up(remote, [7]) == [7]
    assert sizes == []


@pytest.mark.parametrize("where", PARTS)
def test_damage_elsewhere_is_found_by_a_search_of_one_key(remote, small, large, caplog, where):
    path = indexed(remote)
    data = bytearray(remote.read(path))
    data[int(len(data) * PARTS[where])] ^= 1
    remote.write(path, bytes(data))
    results = view(remote).refresh()
    assert [results.lookup([key(n)])[0] for n in range(0, 1000, 10)] == [*range(0, 1000, 10)]
    assert results.lookup([key(1000)]) == [MISSING]
    assert caplog.text.count("damaged index") == 1


def test_keys_that_begin_alike_are_told_apart_elsewhere(remote, small, large):
    keys = [bytes(7) + bytes([first]) + bytes([i]) * 8 for first in (0, 1) for i in range(100)]
    view(remote).commit(b"".join(keys), segments.to_blocks(list(range(len(keys)))))
    tending._Tending(remote, FOLDER, lambda: False).index()
    results = view(remote).refresh()
    assert [results.lookup([one])[0] for one in keys[::9]] == [*range(0, 200, 9)]
    assert results.lookup([keys[0][:8] + b"x" * 8]) == [MISSING]


def test_an_index_that_is_merged_away_while_it_is_searched_is_looked_for_again(remote, small, large):
    path = indexed(remote)
    results = view(remote).refresh()
    remote.delete([path])
    tending._Tending(remote, FOLDER, lambda: False).index()
    assert results.lookup([key(3)]) == [3]


def test_copies_are_bounded_and_the_least_used_go(remote, small, tmp_path, monkeypatch):
    path = indexed(remote)
    folder = index_copies.folder()
    for number in range(5):
        (folder / f"{number}.idx").write_bytes(bytes(1000))
        os.utime(folder / f"{number}.idx", (number, number))
    (folder / ".tmp-abandoned").write_bytes(b"x")
    os.utime(folder / ".tmp-abandoned", (1, 1))
    (entry,) = [e for e in remote.entries() if e.path == path]
    monkeypatch.setattr(index_copies, "COPIES_BYTES", entry.size + 2500)
    assert look_up(remote, [1]) == [1]
    assert [copy.name for copy in copies(tmp_path) if len(copy.name) < 10] == ["3.idx", "4.idx"]
    assert not (folder / ".tmp-abandoned").exists()


def test_a_lake_that_is_made_anew_at_the_same_address_has_its_own_index(remote, small):
    indexed(remote)
    assert look_up(remote, [1]) == [1]
    remote.delete([entry.path for entry in remote.entries()])
    commit(remote, range(5000, 6000))
    tending._Tending(remote, FOLDER, lambda: False).index()
    assert look_up(remote, [1, 5001]) == [MISSING, 5001]


def test_an_index_that_names_files_elsewhere_is_refused(local, small, caplog):
    path = indexed(local)
    data = local.read(path)
    name = names(local, ".seg")[0].rpartition("/")[2].encode()
    other = b"../" + name[3:]
    size = struct.calcsize("<8sQQQQ16s")
    body, tail = data[:-size].replace(name, other), data[-size:]
    rows = struct.unpack("<8sQQQQ16s", tail)[1]
    check = blake2b(body[rows * 24 :], digest_size=16).digest()
    local.write(path, body + tail[:-16] + check)
    assert look_up(local, range(1000)) == [*range(1000)]
    assert "another folder" in caplog.text


def test_a_reader_meets_merges_and_indexes_that_come_and_go(local, small):
    """Each list may be old by the time that its files are read."""
    reader = view(local)
    for start in range(0, 1500, 50):
        commit(local, range(start, start + 50))
        reader.refresh()
        tending.tend(local, FOLDER)
        assert reader.lookup([key(n) for n in range(start + 50)]) == [*range(start + 50)]


def test_files_that_vanish_while_they_are_read_are_looked_for_again(local, small, monkeypatch):
    for start in range(0, 400, 10):
        commit(local, range(start, start + 10))
    entries = type(local).entries
    merged = []

    def outdated(self, prefix=""):
        found = entries(self, prefix)
        if not merged and prefix == FOLDER:
            merged.append(True)
            tending.tend(local, FOLDER)
        return found

    monkeypatch.setattr(type(local), "entries", outdated)
    assert look_up(local, range(400)) == [*range(400)]


def test_errors_of_a_lake_are_errors_of_one_line(local, small, monkeypatch):
    indexed(local)

    def refuse(*_: object) -> None:
        raise LightworkError("cannot list")

    monkeypatch.setattr(type(local), "entries", refuse)
    with pytest.raises(LightworkError, match="cannot list"):
        look_up(local, [1])


def test_a_generation_above_others_is_found_in_any_order_of_index_files(local, small):
    results = view(local)
    for generation in (3, 1, 2, 0):
        results.commit(key(1), segments.to_blocks([generation]), generation)
        results.commit(
            b"".join(key(100 + n) for n in range(200)), segments.to_blocks([generation] * 200), generation
        )
        tending._Tending(local, FOLDER, lambda: False).index()
    assert look_up(local, [1, 100, 299]) == [3, 3, 3]
