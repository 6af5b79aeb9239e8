"""The collector packs every run that has ended exactly once, whoever else works and whenever it is killed."""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path

import pytest

from lightwork.history import segments
from lightwork.history.collect import collect
from lightwork.history.packing import Packing
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.lake import Lake
from lightwork.store import marks
from tests.unit.lightwork.history.leaving import NOW, Breaking, Killed, leave


def packed(lake: Lake) -> dict[str, str]:
    """Return the status of each run in the segments; a run that is in two of them is an error."""
    statuses: dict[str, str] = {}
    for path in segments.listing(lake).segments:
        for run in segments.runs_of(segments.read(lake, path) or ()):
            assert run["name"] not in statuses, f"{run['name']} is packed twice"
            statuses[run["name"]] = run["status"]
    return statuses


def periods(lake: Lake) -> list[str]:
    return sorted(segments.listing(lake).segments.values())


def test_runs_are_packed_by_the_day_on_which_they_ended_and_months_that_are_over_as_one(lake: Lake) -> None:
    days = [NOW - dt.timedelta(days=number) for number in range(0, 100, 7)]
    for number, day in enumerate(days):
        leave(lake, f"run-{number}", ended=day)
    done = collect(lake)
    assert done.runs == len(days)
    assert packed(lake) == {f"run-{number}": "succeeded" for number in range(len(days))}
    over = f"{NOW - dt.timedelta(days=35):%Y-%m}"
    assert over in periods(lake)
    assert f"{NOW:%Y-%m-%d}" in periods(lake)
    assert len(periods(lake)) == len(set(periods(lake)))
    assert not segments.listing(lake).marks, "what is packed is marked no more"


def test_a_second_collection_changes_nothing(lake: Lake) -> None:
    leave(lake, "one")
    collect(lake)
    before = lake.entries()
    marks.mark(lake, "one")
    assert collect(lake).written == 0
    assert [entry[:2] for entry in lake.entries()] == [entry[:2] for entry in before]


def test_a_run_that_is_at_work_stays_marked_until_it_has_ended(lake: Lake) -> None:
    leave(lake, "busy", ended=None, status="running")
    collect(lake)
    assert (packed(lake), list(segments.listing(lake).marks)) == ({}, ["busy"])
    leave(lake, "busy")
    collect(lake)
    assert packed(lake) == {"busy": "succeeded"}
    assert not segments.listing(lake).marks


def test_a_record_that_changes_while_it_is_packed_is_packed_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(lake, "one", status="stopped")
    add = Packing.add

    def late(self: Packing, runs: object) -> int:
        leave(lake, "one", status="failed")  # its record was read already
        return add(self, runs)  # type: ignore[arg-type]

    monkeypatch.setattr(Packing, "add", late)
    collect(lake)
    monkeypatch.undo()
    assert packed(lake) == {"one": "stopped"}
    collect(lake)
    assert packed(lake) == {"one": "failed"}


def test_runs_without_a_mark_are_taken_in_once_a_day(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(lake, "of-before", marked=False)
    leave(lake, "busy", ended=None, status="running", marked=False)
    assert not segments.listing(lake).complete
    collect(lake)
    assert packed(lake) == {"of-before": "succeeded"}
    listed = segments.listing(lake)
    assert listed.complete
    assert list(listed.marks) == ["busy"], "it is followed from now on"
    leave(lake, "by-an-older-version", marked=False)
    collect(lake)
    assert "by-an-older-version" not in packed(lake)
    monkeypatch.setattr("lightwork.history.collect.EVERY", -1.0)
    collect(lake)
    assert packed(lake)["by-an-older-version"] == "succeeded"


def test_a_lost_run_that_comes_back_days_later_is_packed_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(lake, "asleep", status="lost", ended=NOW - dt.timedelta(days=2))
    collect(lake)
    assert packed(lake) == {"asleep": "lost"}
    leave(lake, "asleep", ended=NOW)
    monkeypatch.setattr("lightwork.history.collect.EVERY", -1.0)
    collect(lake)
    collect(lake)
    assert packed(lake) == {"asleep": "succeeded"}


def test_what_two_collectors_have_written_of_a_day_is_merged(lake: Lake) -> None:
    for name in ("one", "two"):
        leave(lake, name)
        collect(lake)
        (path,) = segments.listing(lake).segments
        data = lake.read(path)
        lake.delete([path])
        lake.write(f"kept/{name}", data)
        lake.write(f"kept/{name}-path", path.encode())
    for name in ("one", "two"):
        lake.write(lake.read(f"kept/{name}-path").decode(), lake.read(f"kept/{name}"))
    assert len(periods(lake)) == 2
    collect(lake)
    assert packed(lake) == {"one": "succeeded", "two": "succeeded"}
    assert len(periods(lake)) == 1


def test_a_collector_that_another_one_is_faster_than_begins_anew(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(lake, "one")
    collect(lake)
    leave(lake, "two")
    add = Packing.add

    def slower(self: Packing, runs: object) -> int:
        monkeypatch.undo()
        collect(lake)  # replaces the segment that is about to be read
        return add(self, runs)  # type: ignore[arg-type]

    monkeypatch.setattr(Packing, "add", slower)
    collect(lake)
    collect(lake)
    assert packed(lake) == {"one": "succeeded", "two": "succeeded"}


def test_a_collector_killed_before_any_of_its_changes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Each attempt is killed one change later than the one before; between them, runs end."""
    lake = Breaking(tmp_path / "lake", "acme", 0.0)
    expected: dict[str, str] = {}
    for number in range(60):
        lake.left = 1000
        name = f"run-{number}"
        leave(lake, name, ended=NOW - dt.timedelta(days=number % 50))
        expected[name] = "succeeded"
        lake.left = number % 20
        with pytest.raises(Killed) if number % 20 < 2 else _maybe_killed():
            collect(lake)
        seen = {
            run["name"]
            for path in segments.listing(lake).segments
            for run in segments.runs_of(segments.read(lake, path) or ())
        }
        assert seen | segments.listing(lake).marks.keys() == expected.keys(), "it is packed or marked"
    lake.left = 1000
    collect(lake)
    assert packed(lake) == expected


class _maybe_killed:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is Killed


def test_a_damaged_segment_is_told_and_its_runs_are_taken_in_again(
    lake: Lake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(lake, "one")
    collect(lake)
    (path,) = segments.listing(lake).segments
    data = bytearray(lake.read(path))
    data[len(data) // 2] ^= 1
    lake.write(path, bytes(data))
    monkeypatch.setattr("lightwork.history.collect.EVERY", -1.0)
    with caplog.at_level(logging.WARNING):
        collect(lake)
    assert "ignored a damaged file" in caplog.text
    assert "one" in {
        run["name"]
        for other in segments.listing(lake).segments
        if other != path
        for run in segments.runs_of(segments.read(lake, other) or ())
    } or lake.read(path) != bytes(data)


def test_history_that_is_old_enough_is_deleted_by_the_lakes_own_clock(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (0, 100, 400):
        leave(lake, f"of-{days}-days-ago", ended=NOW - dt.timedelta(days=days))
    keep = 200 * 86400.0
    collect(lake, keep)
    assert len(packed(lake)) == 3, "the first look deletes nothing"
    monkeypatch.setattr("lightwork.history.collect.EVERY", -1.0)
    lake.delete(["runs/of-400-days-ago/run.json"])
    assert collect(lake, keep).expired == [f"{NOW - dt.timedelta(days=400):%Y-%m}"]
    assert set(packed(lake)) == {"of-0-days-ago", "of-100-days-ago"}


def test_a_mark_whose_run_never_had_a_record_is_deleted_after_a_day(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks.mark(lake, "never-started")
    collect(lake)
    assert "never-started" in segments.listing(lake).marks
    monkeypatch.setattr("lightwork.history.collect._NEVER_RECORDED", -60.0)
    collect(lake)
    assert not segments.listing(lake).marks


def test_what_is_very_long_in_a_run_is_shortened(lake: Lake) -> None:
    leave(
        lake, "long", parameters={"text": "x" * 100_000, "items": list(range(100_000))}, result=["y"] * 1000
    )
    collect(lake)
    ((path, _),) = segments.listing(lake).segments.items()
    (run,) = segments.runs_of(segments.read(lake, path) or ())
    assert run["parameters"]["text"].endswith("… (100,000 characters)")
    assert len(json.dumps(run)) < 10_000
    assert "result" not in run


def test_a_stopped_collection_is_taken_up_by_the_next_one(lake: Lake) -> None:
    for number in range(3):
        leave(lake, f"run-{number}")
    assert collect(lake, stop=lambda: True).runs == 0
    assert len(segments.listing(lake).marks) == 3
    collect(lake)
    assert len(packed(lake)) == 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_lines_of_a_run_the_one_that_was_read_last_counts(lake: Lake, order: tuple[int, int]) -> None:
    run = {"name": "one", "pipeline": "windy", "started": NOW.isoformat(), "finished": NOW.isoformat()}
    for number in order:
        read_at = NOW + dt.timedelta(minutes=number)
        Packing(lake, {}, read_at).add([{**run, "status": ("stopped", "failed")[number]}])
    assert len(periods(lake)) == 2
    lake.write(segments.STATE, b"-")
    found = ask(lake, lambda history: history.page(Filter(), 9))
    assert [item["status"] for item in found] == ["failed"]
    collect(lake)
    assert packed(lake) == {"one": "failed"}
