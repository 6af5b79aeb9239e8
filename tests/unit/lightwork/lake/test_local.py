from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lightwork
from lightwork.errors import LightworkError
from lightwork.lake import Lake, open_lake

_SOURCE = os.fspath(Path(lightwork.__file__).parents[1])


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": _SOURCE}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def here(folder: Path) -> Lake:
    return open_lake(folder, tenant="acme")


_WRITE_FOR_EVER = """
import itertools, sys
from lightwork.lake import open_lake
lake = open_lake(sys.argv[1], tenant="acme")
print("ready", flush=True)
for number in itertools.count():
    lake.write(f"w/{number % 50}", bytes([number % 251]) * (1 + number % 7 * 300_000))
    lake.create(f"c/{number}", bytes([number % 251]) * 100_000)
    if number == 20:
        print("going", flush=True)
"""


@pytest.mark.kill
def test_a_killed_writer_leaves_no_partial_file(here: Lake, folder: Path) -> None:
    for _ in range(3):
        writer = _start(_WRITE_FOR_EVER, os.fspath(folder))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert writer.stdout.readline() == "going\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        entries = here.entries()
        assert len(entries) > 20
        for entry in entries:
            data = here.read(entry.path)
            assert len(data) == entry.size
            assert data == data[:1] * len(data)
            assert len(data) in (
                {1 + step * 300_000 for step in range(7)} if entry.path[0] == "w" else {100_000}
            )
    left = [item for item in here.unfinished() if item.kind == "temporary"]
    later = here.now() + 11
    assert all(here.is_abandoned(item, later) and here.discard(item) for item in left)
    assert not list(folder.rglob(".tmp-*"))


_CREATE_EACH = """
import sys
from lightwork.lake import open_lake
lake = open_lake(sys.argv[1], tenant="acme")
print("ready", flush=True)
sys.stdin.readline()
print([n for n in range(300) if lake.create(f"race/{n}", sys.argv[2].encode())])
"""


def test_exactly_one_of_many_processes_creates_a_path(here: Lake, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": _SOURCE}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _CREATE_EACH, os.fspath(folder), f"racer {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(6)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    outputs = [racer.communicate()[0] for racer in racers]
    won = [(n, number) for number, output in enumerate(outputs) for n in eval(output)]
    assert sorted(n for n, _ in won) == list(range(300))
    assert all(here.read(f"race/{n}") == f"racer {number}".encode() for n, number in won)


_WRITE_AND_DELETE = """
import sys
from lightwork.lake import open_lake
lake = open_lake(sys.argv[1], tenant="acme")
for number in range(600):
    lake.write(f"a/b/c/{sys.argv[2]}", b"x")
    lake.delete([f"a/b/c/{sys.argv[2]}"])
print("done")
"""


@pytest.mark.slow
def test_writers_may_create_and_remove_the_same_folders(here: Lake, folder: Path) -> None:
    writers = [_start(_WRITE_AND_DELETE, os.fspath(folder), name) for name in ("one", "two", "three")]
    assert [writer.communicate()[0] for writer in writers] == ["done\n"] * 3
    assert here.entries() == []
    assert list((folder / "acme").iterdir()) == []


def test_unfinished_files_are_not_listed_and_abandoned_when_old(here: Lake, folder: Path) -> None:
    here.write("a/x", b"1")
    fresh, old = folder / "acme/a/.tmp-1-fresh", folder / "acme/b/.tmp-1-old"
    old.parent.mkdir()
    for path in (fresh, old):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    assert [entry.path for entry in here.entries()] == ["a/x"]
    assert here.folders() == ["a"]
    left = [item for item in here.unfinished() if here.is_abandoned(item, here.now())]
    assert [item.path for item in left] == ["b/.tmp-1-old"]


class Standing(list[bytes]):
    """Pieces of a file whose writer stands still for so long that others delete its temporary file."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__([b"one", b"two"])
        self.folder, self.times = folder, times

    def __iter__(self) -> Iterator[bytes]:
        if self.times:
            self.times -= 1
            for file in self.folder.rglob(".tmp-*"):
                file.unlink()
        return super().__iter__()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("method", ["write", "create"])
def test_a_write_whose_temporary_file_is_gone_is_made_again(
    here: Lake, folder: Path, method: str, times: int
) -> None:
    getattr(here, method)("a/x", Standing(folder, times))
    assert here.read("a/x") == b"onetwo"
    assert not list(folder.rglob(".tmp-*"))


def test_a_failed_write_leaves_no_temporary_file(here: Lake, folder: Path) -> None:
    here.write("a/x", b"1")
    with pytest.raises(TypeError):
        here.write("a/x", [b"new", "no bytes"])
    assert here.read("a/x") == b"1"
    assert [path.name for path in (folder / "acme" / "a").iterdir()] == ["x"]


def test_a_disk_error_is_one_line_with_advice(here: Lake, monkeypatch) -> None:
    here.write("x", b"1")

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        LightworkError, match=r"cannot write .*/acme/y: No space left on device; free some"
    ) as caught:
        here.write("y", b"1")
    assert "\n" not in str(caught.value)
    assert [entry.path for entry in here.entries()] == ["x"]


def test_a_file_in_the_way_of_a_folder_is_reported(here: Lake) -> None:
    here.write("a/x", b"1")
    with pytest.raises(LightworkError, match=r"/a/x.*file exists where a folder is needed"):
        here.write("a/x/y", b"1")
    with pytest.raises(LightworkError, match=r"/a: .*folder exists where a file is needed"):
        here.write("a", b"1")
    with pytest.raises(LightworkError, match=r"/a: .*folder exists where a file is needed"):
        here.create("a", b"1")


def test_a_denied_permission_is_one_line(here: Lake, monkeypatch) -> None:
    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LightworkError, match=r"cannot list .*/acme/a: Permission denied; give this user"):
        here.entries("a")


def test_a_file_address_may_be_percent_encoded(tmp_path: Path) -> None:
    open_lake(f"file://{os.fspath(tmp_path)}/two%20words", tenant="acme").write("x", b"1")
    assert (tmp_path / "two words" / "acme" / "x").exists()
