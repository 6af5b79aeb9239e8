"""After a power cut, all that was committed is in the lake, and nothing in it is damaged."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from lightwork import connect, task
from lightwork.functions.pickling import load
from lightwork.keys import CodeKey
from lightwork.keys.components import Component
from lightwork.lake import Lake, open_lake
from lightwork.lake import local as local_lake
from lightwork.store import segments
from lightwork.store.artifacts import Artifacts
from lightwork.store.results import CodeResults, ResultStore
from tests.unit.lightwork.lake.disk import Disk

_CODE = CodeKey("0" * 32, (Component("function", "jobs.load", "1"),))
Check = Callable[[Lake], None]


class Promises:
    """What has been committed so far, and how to check that a lake has it."""

    def __init__(self) -> None:
        self.made: list[Check] = []

    def add(self, check: Check) -> None:
        self.made.append(check)

    def check(self, lake: Lake) -> None:
        for promise in self.made:
            promise(lake)
        _check_intact(lake)


def _check_intact(lake: Lake) -> None:
    """Check that whatever a lake shows is whole."""
    for entry in lake.entries():
        data = lake.read(entry.path)
        if entry.path.endswith(".seg"):
            index = segments.decode_index(data, len(data))
            for block in index.blocks:
                segments.read_block(data[block.offset : block.offset + block.length], block)
        elif entry.path.endswith(".json"):
            assert isinstance(json.loads(data), dict), entry.path
    artifacts = Artifacts(lake, run_id="", provenance={})
    for item in artifacts.list():
        if item.rows is None:
            assert len(artifacts.read_file(item.name, run=item.run_id)) == item.bytes
        else:
            assert len(artifacts.read(item.name, run=item.run_id)) == item.rows


@pytest.fixture(params=[0, 1, 2], ids=["all is lost", "half is lost", "most is kept"])
def luck(request: pytest.FixtureRequest) -> float:
    return {0: 0.0, 1: 0.5, 2: 0.9}[request.param]


def _writes(lake: Lake, promises: Promises) -> None:
    """Write all kinds of files that must last."""
    results = ResultStore(lake, "jobs.load").open(_CODE)
    results.describe(_CODE)
    for number in range(4):
        key = bytes([number]) * segments.KEY_BYTES
        results.commit(key, segments.to_blocks([f"value {number}"]))
        promises.add(lambda at, key=key, number=number: _check_result(at, key, f"value {number}"))
    results.compact()
    frame = pd.DataFrame({"place": ["a", "b", "a", "c"], "value": [1, 2, 3, 4]})
    artifacts = Artifacts(lake, run_id="r1", provenance={})
    for by in ((), ("place",)):
        version = artifacts.write("table", frame, partition_by=by).version
        promises.add(lambda at, v=version: _check_version(at, "table", v))
    version = artifacts.write_file("note.txt", "text " * 1000).version
    promises.add(lambda at, v=version: _check_version(at, "note.txt", v))
    for status in ("running", "succeeded"):
        lake.write("runs/r1/run.json", json.dumps({"run_id": "r1", "status": status}).encode())
        promises.add(lambda at, s=status: _check_status(at, s))
    assert lake.create("mark", b"once")
    promises.add(lambda at: _check_bytes(at, "mark", b"once"))


def _check_result(lake: Lake, key: bytes, value: object) -> None:
    assert ResultStore(lake, "jobs.load").open(_CODE).refresh().lookup([key]) == [value]


def _check_version(lake: Lake, name: str, version: str) -> None:
    assert version in [item.version for item in Artifacts(lake, run_id="", provenance={}).list(name)]


def _check_status(lake: Lake, status: str) -> None:
    order = ["running", "succeeded"]
    found = json.loads(lake.read("runs/r1/run.json"))["status"]
    assert order.index(found) >= order.index(status)


def _check_bytes(lake: Lake, path: str, data: bytes) -> None:
    assert lake.read(path) == data


class Cuts:
    """Cuts the power after every change that a disk records, and checks what is left."""

    def __init__(self, disk: Disk, promises: Promises, folder: Path, luck: float, lake: str) -> None:
        self._disk, self._promises, self._folder, self._luck, self._lake = disk, promises, folder, luck, lake
        self.errors: list[str] = []

    def __call__(self) -> None:
        number = self._disk.events
        target = self._folder / str(number)
        cuts, self._disk.cuts = self._disk.cuts, []  # what the checks do is not recorded
        try:
            self._disk.restore(target, random.Random(number), self._luck)
            self._promises.check(open_lake(target / self._lake, tenant="acme"))
        except Exception as error:
            self.errors.append(f"cut {number}: {type(error).__name__}: {error}")
        finally:
            self._disk.cuts = cuts
            shutil.rmtree(target)


@pytest.mark.parametrize("lake_path", ["lake", "a/new/deep/lake"])
@pytest.mark.sample(2)
def test_each_cut_leaves_what_was_committed(tmp_path: Path, monkeypatch, luck: float, lake_path: str) -> None:
    disk = Disk(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    promises = Promises()
    cut = Cuts(disk, promises, tmp_path / "images", luck, lake_path)
    (tmp_path / "images").mkdir()
    disk.cuts.append(cut)
    with disk.recording(monkeypatch):
        _writes(open_lake(tmp_path / "disk" / lake_path, tenant="acme"), promises)
    assert disk.events > 50
    assert not cut.errors


@task
def _double(number: int) -> int:
    return 2 * number


def test_maps_submits_and_runs_survive_each_cut(tmp_path: Path, monkeypatch, luck: float) -> None:
    disk = Disk(tmp_path / "disk")
    for name in ("disk", "images"):
        (tmp_path / name).mkdir()
    promises = Promises()
    cut = Cuts(disk, promises, tmp_path / "images", luck, "lake")
    disk.cuts.append(cut)
    kept: list[int] = []

    def check(lake: Lake) -> None:
        values = set()
        for entry in lake.entries("results"):
            if entry.path.endswith(".seg"):
                data = lake.read(entry.path)
                for block in segments.decode_index(data, len(data)).blocks:
                    part = data[block.offset : block.offset + block.length]
                    values |= set(load(part) if part[:1] == b"\x80" else ())
        assert values >= set(kept)

    promises.add(check)
    lake = tmp_path / "disk/lake"
    with disk.recording(monkeypatch), connect(on="serial", lake=lake, tenant="acme") as session:
        assert list(_double.map(range(100))) == [2 * n for n in range(100)]
        kept += [2 * n for n in range(100)]
        for number in range(1000, 1010):
            assert _double.submit(number).result() == 2 * number
            session.runner.commit_calls()
            kept.append(2 * number)
        for number in range(2000, 2010):
            _double.submit(number)
    kept += range(4000, 4020, 2)
    cut()
    assert not cut.errors


def test_a_folder_that_another_process_made_is_synced_too(tmp_path: Path, monkeypatch) -> None:
    disk = Disk(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    with disk.recording(monkeypatch):
        os.mkdir(tmp_path / "disk/lake")  # noqa: PTH102 - recorded, as if another process had made it
        os.mkdir(tmp_path / "disk/lake/acme")  # noqa: PTH102
        os.mkdir(tmp_path / "disk/lake/acme/a")  # noqa: PTH102
        open_lake(tmp_path / "disk/lake", tenant="acme").write("a/x", b"1")
    disk.restore(tmp_path / "image", random.Random(0), 0.0)
    assert (tmp_path / "image/lake/acme/a/x").read_bytes() == b"1"


def test_a_folder_that_was_removed_and_made_again_is_synced_again(tmp_path: Path, monkeypatch) -> None:
    disk = Disk(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    lake = open_lake(tmp_path / "disk/lake", tenant="acme")
    with disk.recording(monkeypatch):
        for data in (b"1", b"2", b"3"):
            lake.write("a/b/x", data)
            lake.delete(["a/b/x"])
        lake.write("a/b/x", b"4")
    disk.restore(tmp_path / "image", random.Random(0), 0.0)
    assert (tmp_path / "image/lake/acme/a/b/x").read_bytes() == b"4"


def test_a_second_write_into_a_folder_syncs_its_data_and_its_name_only(tmp_path: Path, monkeypatch) -> None:
    lake = open_lake(tmp_path / "lake", tenant="acme")
    lake.write("a/b/c/1", b"1")
    synced = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda number, real=real: (synced.append(number), real(number)))
    lake.write("a/b/c/2", b"2")
    assert len(synced) == 2
    lake.write("a/b/c/3", b"3", durable=False)
    assert len(synced) == 2


def test_few_folders_stay_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for number in range(200):
        open_lake(tmp_path / str(number), tenant="acme").write("a/x", b"1")
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after - before <= 40


def test_a_file_system_that_cannot_sync_folders_is_used_all_the_same(tmp_path: Path, monkeypatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    lake = open_lake(tmp_path / "lake", tenant="acme")
    lake.write("a/x", b"1")
    assert lake.read("a/x") == b"1"


def test_a_disk_that_fails_to_sync_is_one_line(tmp_path: Path, monkeypatch) -> None:
    from lightwork.errors import LightworkError

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(local_lake.syncing, "sync_data", fail)
    lake = open_lake(tmp_path / "lake", tenant="acme", patience=0)
    with pytest.raises(LightworkError, match=r"cannot write .*/acme/a/x: Input/output error"):
        lake.write("a/x", b"1")
    assert lake.entries() == []


_WRITE = """
    import sys
    import pandas as pd
    from lightwork import connect, task

    @task
    def double(number):
        return 2 * number

    with connect(on="serial", lake=sys.argv[1], tenant="acme") as session:
        assert list(double.map(range(1000)))[-1] == 1998
        session.artifacts.write("table", pd.DataFrame({"value": range(1000)}))
        for number in range(2000, 2010):
            double.submit(number).result()
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Return a function that mounts an image of a disk, and returns where."""
    points: list[Path] = []

    def mount(image: Path) -> Path:
        point = tmp_path / f"mounted {len(points)}"
        point.mkdir()
        done = subprocess.run(
            ["mount", "-o", "loop", os.fspath(image), os.fspath(point)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no image of a disk can be mounted here: {done.stderr.strip()}")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", os.fspath(point)], check=False)


@pytest.mark.root
@pytest.mark.slow
def test_an_ext4_disk_holds_what_was_committed(tmp_path: Path, mounted: Callable[[Path], Path]) -> None:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    image, copy = tmp_path / "disk", tmp_path / "copy"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", os.fspath(image)], check=True)
    lake = mounted(image) / "lake"
    script = tmp_path / "jobs.py"
    script.write_text(textwrap.dedent(_WRITE))
    subprocess.run([sys.executable, os.fspath(script), os.fspath(lake)], check=True, capture_output=True)
    shutil.copyfile(image, copy)  # what has reached the disk, as after a power cut
    after = open_lake(mounted(copy) / "lake", tenant="acme")
    _check_intact(after)
    (folder,) = {entry.path.rpartition("/")[0] for entry in after.entries("results")}
    task, code = folder.split("/")[1:]
    assert CodeResults(after, task, code).refresh().count() == 1010
    assert len(Artifacts(after, run_id="", provenance={}).read("table")) == 1000
