"""The machine is restored also if pods end meanwhile, and whatever rules were made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import machine


class Listed:
    """What a folder held when it was listed, as `os.scandir` returns it."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self.entries = iter(entries)

    def __enter__(self) -> Listed:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self.entries

    def __next__(self) -> os.DirEntry[str]:
        return next(self.entries)


def test_a_pods_group_that_vanishes_after_it_was_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir
    for name in ("gone", "stays"):
        (tmp_path / "kubepods" / name / "container").mkdir(parents=True)
    (tmp_path / "kubepods" / "stays" / "container" / "cgroup.procs").write_text("4194305\n")

    def scandir(path: Any) -> Any:
        entries = list(real(path))
        if str(path).endswith("kubepods"):
            shutil.rmtree(tmp_path / "kubepods" / "gone", ignore_errors=True)
        return Listed(entries)

    monkeypatch.setattr(machine, "control_groups", lambda: [tmp_path])
    monkeypatch.setattr(os, "scandir", scandir)
    assert machine._pids() == {4194305}


def test_only_the_rules_that_are_marked_as_ours_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = "-m comment --comment lightwork-cluster -j NFQUEUE --queue-num 7"
    other = '-m comment --comment "not the lightwork-cluster of the tests" -j DROP'
    removed = []

    def run(words: Sequence[str], **_: object) -> str:
        if words[-1] == "-S":
            return f"-P INPUT ACCEPT\n-A INPUT -i other {ours}\n-A FORWARD {other}\n"
        removed.append(" ".join(words))
        return ""

    monkeypatch.setattr(machine, "run", run)
    machine._remove_rules()
    assert removed == [f"iptables -w -t {table} -D INPUT -i other {ours}" for table in ("filter", "mangle")]


def test_the_pods_together_get_more_of_busy_processors_than_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "control_groups", lambda: [tmp_path / "old", tmp_path / "new"])
    for name, file, usual in (("old", "cpu.shares", "1024"), ("new", "cpu.weight", "100")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(usual)
    machine.make_control_groups()
    assert (tmp_path / "old/cpu.shares").read_text() == "10240"
    assert (tmp_path / "new/cpu.weight").read_text() == "1000"
