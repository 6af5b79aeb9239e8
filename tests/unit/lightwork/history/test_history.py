"""The history on this machine is what the lake has, whatever became of its database; it asks for little."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lightwork.errors import LightworkError
from lightwork.history import cache, segments
from lightwork.history.collect import collect
from lightwork.history.query import Filter, History
from lightwork.history.sync import ask
from lightwork.lake import Lake, open_lake
from lightwork.lake.local import LocalLake
from lightwork.store import marks
from tests.unit.lightwork.history.leaving import NOW, Counting, leave


def names(lake: Lake, last: int = 10**6, **only: object) -> list[str]:
    return [run["name"] for run in ask(lake, lambda history: history.page(Filter(**only), last))]  # type: ignore[arg-type]


def statuses(lake: Lake) -> dict[str, str]:
    return {run["name"]: run["status"] for run in ask(lake, lambda history: history.page(Filter(), 1000))}


def fill(lake: Lake, count: int, days: int = 40) -> None:
    """Pack so many runs of some days, without a record of each."""
    from lightwork.history.packing import Packing

    day = dt.timedelta(days=1)
    runs = [
        {
            "name": f"run-{number:06}",
            "pipeline": f"pipeline-{number % 3}",
            "tenant": "acme",
            "status": "succeeded",
            "started": (NOW - number % days * day - dt.timedelta(minutes=5)).isoformat(),
            "finished": (NOW - number % days * day).isoformat(),
            "seconds": 300.0,
            "parameters": {"number": number},
            "worker_seconds": [{"size": "cpu=2 memory=4Gi", "spot": True, "seconds": 600.0}],
        }
        for number in range(count)
    ]
    Packing(lake, segments.listing(lake).segments, NOW).add(runs)
    lake.write(segments.STATE, b"-")


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "lake", "acme")


def test_a_lake_without_a_history_is_read_as_it_is(lake: Lake) -> None:
    assert names(lake) == []
    for number in range(5):
        leave(lake, f"run-{number}", ended=NOW - dt.timedelta(hours=number), marked=number % 2 == 0)
    assert names(lake) == [f"run-{number}" for number in range(5)]
    lake.delete(["runs/run-1/run.json"])
    assert names(lake) == ["run-0", "run-2", "run-3", "run-4"], "it was deleted"


def test_before_and_after_a_collection_it_is_the_same(lake: Lake) -> None:
    for number in range(5):
        leave(lake, f"run-{number}", ended=NOW - dt.timedelta(days=30 * number))
    leave(lake, "busy", ended=None, status="running")
    before = ask(lake, lambda history: history.page(Filter(), 10))
    for _ in range(2):
        collect(lake)
        after = ask(lake, lambda history: history.page(Filter(), 10))
        assert [{**run, "result": None} for run in after] == [{**run, "result": None} for run in before]


def test_a_run_is_followed_from_its_start_to_its_end(lake: Lake) -> None:
    collect(lake)
    leave(lake, "one", ended=None, status="running")
    assert statuses(lake) == {"one": "running"}
    leave(lake, "one", ended=None, status="running", marked=False, elements={"total": 7})
    assert ask(lake, lambda history: history.find("one"))["elements"] == {"total": 7}
    leave(lake, "one", status="stopped")
    assert statuses(lake) == {"one": "stopped"}
    collect(lake)
    leave(lake, "one", status="failed")  # the controller knows better
    assert statuses(lake) == {"one": "failed"}, "its own record counts, not its segment"
    collect(lake)
    assert statuses(lake) == {"one": "failed"}


def test_a_mark_that_goes_leaves_the_run_that_was_packed_before(lake: Lake) -> None:
    leave(lake, "one")
    collect(lake)
    assert statuses(lake) == {"one": "succeeded"}
    marks.mark(lake, "one")
    assert statuses(lake) == {"one": "succeeded"}
    assert collect(lake).written == 0
    assert statuses(lake) == {"one": "succeeded"}, "its segment is the same as before"


def test_warm_it_takes_one_listing_and_no_segment(counting: Counting) -> None:
    fill(counting, 1000)
    assert len(names(counting)) == 1000
    counting.calls.clear()
    counting.bytes = 0
    assert len(names(counting)) == 1000
    assert (counting.calls, counting.bytes) == ([("list", marks.HISTORY)], 0)
    leave(counting, "new")
    collect(counting)
    counting.calls.clear()
    assert len(names(counting)) == 1001
    listing, *reads = counting.calls
    assert listing == ("list", marks.HISTORY)
    assert [path[: len("history/runs/2026-11-28")] for _, path in reads] == [f"history/runs/{NOW:%Y-%m-%d}"]


@pytest.mark.parametrize("count", [300, 3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_first_sync_reads_each_segment_once_however_many_runs_there_are(
    counting: Counting, count: int
) -> None:
    fill(counting, count)
    held = segments.listing(counting)
    size = sum(entry.size for entry in counting.entries(marks.HISTORY) if entry.path in held.segments)
    counting.calls.clear()
    counting.bytes = 0
    assert len(names(counting, 20)) == 20
    assert counting.calls[0] == ("list", marks.HISTORY)
    assert sorted(counting.calls[1:]) == sorted(("read", path) for path in held.segments)
    assert len(counting.calls) <= 1 + 35 + 2, "days of this month and the last, and months"
    assert counting.bytes == size <= 120 * count + 20_000


def test_runs_that_ended_since_are_read_once_and_those_at_work_each_time(counting: Counting) -> None:
    collect(counting)
    for number in range(3):
        leave(counting, f"run-{number}")
    names(counting)
    counting.calls.clear()
    names(counting)
    assert counting.calls == [("list", marks.HISTORY)]
    leave(counting, "busy", ended=None, status="running")
    names(counting)
    counting.calls.clear()
    names(counting)
    assert ("read", "runs/busy/run.json") in counting.calls
    assert not any("run-0" in path for _, path in counting.calls)


def test_each_lake_has_a_database_of_its_own_that_only_its_user_reads(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_lake(tmp_path / "lake", tenant="globex")
    assert len({cache.path_of(lake), cache.path_of(other)}) == 2
    before = cache.path_of(lake)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://another.example")
    assert cache.path_of(lake) != before
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    leave(lake, "one")
    assert (names(lake), names(other)) == (["one"], [])
    path = cache.path_of(lake)
    assert path is not None
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "another file": lambda data: b"not a database" * 1000,
    "zeros": lambda data: data[:4096] + bytes(len(data) - 4096),
    "its header": lambda data: bytes(100) + data[100:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_made_anew(lake: Lake, damage: str) -> None:
    fill(lake, 500)
    expected = names(lake)
    path = cache.path_of(lake)
    assert path is not None
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert names(lake) == expected
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_of_another_version_is_left_to_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, 10)
    names(lake)
    before = cache.path_of(lake)
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    assert len(names(lake)) == 10
    assert cache.path_of(lake) != before
    assert before is not None
    assert before.exists()


@pytest.mark.parametrize("where", ["/proc/none", "a file"])
def test_without_a_folder_for_it_the_database_is_in_memory(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / where))
    fill(lake, 10)
    assert len(names(lake)) == 10


def test_a_disk_that_is_full_is_no_reason_not_to_answer(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, 10)
    put = cache.add_segment

    def full(database: sqlite3.Connection, *rest: object) -> None:
        if database.execute("PRAGMA database_list").fetchone()[2]:
            raise sqlite3.OperationalError("database or disk is full")
        put(database, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "add_segment", full)
    assert len(names(lake)) == 10


def test_databases_that_nobody_uses_are_deleted(lake: Lake, tmp_path: Path) -> None:
    names(lake)
    path = cache.path_of(lake)
    assert path is not None
    old = path.with_name("old-1.sqlite")
    old.touch()
    os.utime(old, (0, 0))
    names(lake)
    assert not old.exists()
    assert path.exists()


def test_commands_at_once_share_one_database(lake: Lake) -> None:
    fill(lake, 2000)
    answers: list[object] = []

    def look() -> None:
        try:
            answers.append(len(names(lake)))
        except BaseException as error:
            answers.append(error)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [2000] * 6


def test_a_segment_that_is_replaced_while_it_is_read_is_looked_for_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(lake, "one")
    collect(lake)
    listing = segments.listing

    def slower(which: Lake) -> segments.Listing:
        listed = listing(which)
        monkeypatch.undo()
        leave(lake, "two")
        collect(lake)
        return listed

    monkeypatch.setattr(segments, "listing", slower)
    assert set(names(lake)) == {"one", "two"}


def test_a_segment_that_s3_denies_as_it_is_gone_is_looked_for_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says `access denied` to a person who may list the tenant's folder, but not the whole bucket."""
    leave(lake, "one")
    collect(lake)
    listing, read, raced = segments.listing, LocalLake.read, []

    def denied(self: LocalLake, path: str) -> bytes:
        try:
            return read(self, path)
        except FileNotFoundError:
            raise LightworkError("access denied") from None

    def slower(which: Lake) -> segments.Listing:
        listed = listing(which)
        if not raced:
            raced.append(True)
            leave(lake, "two")
            collect(lake)
        return listed

    monkeypatch.setattr(LocalLake, "read", denied)
    monkeypatch.setattr(segments, "listing", slower)
    assert set(names(lake)) == {"one", "two"}
    monkeypatch.setattr(LocalLake, "read", lambda *_: denied(lake, "missing"))  # type: ignore[arg-type]
    leave(lake, "three")
    monkeypatch.undo()
    collect(lake)
    monkeypatch.setattr(LocalLake, "read", lambda *_: denied(lake, "missing"))  # type: ignore[arg-type]
    with pytest.raises(LightworkError, match="access denied"):
        names(lake)


def test_a_damaged_segment_is_told_each_time(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    leave(lake, "one")
    collect(lake)
    (path,) = segments.listing(lake).segments
    lake.write(path, b"damaged")
    for _ in range(2):
        caplog.clear()
        names(lake)
        assert "ignored a damaged file" in caplog.text


def test_pages_follow_each_other_without_gaps_also_where_runs_started_at_once(lake: Lake) -> None:
    for number in range(25):
        leave(lake, f"run-{number:02}", ended=NOW - dt.timedelta(minutes=number // 5))
    collect(lake)
    found: list[str] = []
    while page := names(lake, 4, before=found[-1] if found else None):
        found += page
    assert len(found) == len(set(found)) == 25
    assert found == names(lake)
    with pytest.raises(KeyError):
        names(lake, 4, before="nobody")


def test_what_is_asked_for_is_found(lake: Lake) -> None:
    for number, status in enumerate(["succeeded", "failed", "stopped", "succeeded"]):
        parameters = {
            "number": number,
            "text": str(number),
            "flag": number == 1,
            "list": [1, number],
            "none": None,
        }
        leave(
            lake,
            f"run-{number}",
            pipeline="windy" if number % 2 else "sunny",
            status=status,
            ended=NOW - dt.timedelta(days=number),
            parameters=parameters,
        )
    leave(lake, "as-texts", parameters={"number": "2"}, ended=NOW - dt.timedelta(days=9))
    assert names(lake, pipeline="windy") == ["run-1", "run-3"]
    assert names(lake, statuses=("failed", "stopped")) == ["run-1", "run-2"]
    assert names(lake, since=(NOW - dt.timedelta(days=1.5)).timestamp()) == ["run-0", "run-1"]
    for where, expected in {
        ("number", "2"): ["run-2", "as-texts"],
        ("number", "2.0"): ["run-2"],
        ("text", "2"): ["run-2"],
        ("flag", "true"): ["run-1"],
        ("flag", "1"): [],
        ("list", "[1, 3]"): ["run-3"],
        ("none", "null"): ["run-0", "run-1", "run-2", "run-3"],
        ("missing", "null"): [],
    }.items():
        assert names(lake, where=(where,)) == expected, where
    assert names(lake, where=(("number", "2"), ("text", "2")), pipeline="sunny") == ["run-2"]
    assert names(lake, where=(("number", "2"),), pipeline="windy") == []


def test_slow_runs_took_more_than_twice_as_long_as_usual(lake: Lake) -> None:
    for number in range(10):
        leave(lake, f"usual-{number}", seconds=100 + number, ended=NOW - dt.timedelta(hours=10 + number))
        leave(lake, f"other-{number}", seconds=1000, pipeline="other", ended=NOW - dt.timedelta(hours=30))
    leave(lake, "slow", seconds=250)
    leave(lake, "slow-and-failed", seconds=400, status="failed", ended=NOW - dt.timedelta(hours=1))
    leave(lake, "new-pipeline", seconds=10_000, pipeline="new", status="failed")
    started = (NOW - dt.timedelta(seconds=900)).isoformat()
    leave(lake, "hangs", ended=None, status="running", started=started)
    alive = dt.datetime.now(dt.UTC).isoformat().encode()
    lake.write("runs/hangs/alive", alive)
    assert set(names(lake, slow=True)) == {"slow", "slow-and-failed", "hangs"}
    assert ask(lake, lambda history: history.usual("other")) == 1000
    assert ask(lake, lambda history: history.usual("new")) is None


def test_pipelines_are_those_of_the_runs_that_count(lake: Lake) -> None:
    assert ask(lake, History.pipelines) == set()
    for number, pipeline in enumerate(("winds", "a", "winds", "", "ä", "zz")):
        leave(lake, f"run-{number}", pipeline=pipeline)
    assert ask(lake, History.pipelines) == {"winds", "a", "ä", "zz"}

    def hidden(history: History) -> set[str]:
        history._database.execute("UPDATE runs SET hidden = 1 WHERE name IN ('run-0', 'run-1')")
        return history.pipelines()

    assert ask(lake, hidden) == {"winds", "ä", "zz"}


def test_a_retry_is_linked_both_ways(lake: Lake) -> None:
    leave(lake, "first", status="failed", ended=NOW - dt.timedelta(days=40))
    collect(lake)
    leave(lake, "again", retry_of="first")

    def links(history: History) -> tuple[object, object]:
        first, again = history.find("first"), history.find("again")
        assert first is not None
        assert again is not None
        return first["retried_by"], again["retry_of"]

    assert ask(lake, links) == (["again"], "first")
    collect(lake)
    assert ask(lake, links) == (["again"], "first")


def test_commands_do_not_import_pyarrow(lake: Lake) -> None:
    fill(lake, 10)
    code = (
        "import sys; from lightwork.cli.main import execute\n"
        f"for words in (['runs'], ['runs', '--json'], ['cost']):\n"
        f"    assert execute([*words, '--lake', {str(Path(lake.root.removeprefix('file://')).parent)!r},"
        " '--tenant', 'acme']) == 0\n"
        "loaded = {'pyarrow', 'pandas', 'numpy', 'dask', 'boto3', 'pydantic'} & sys.modules.keys()\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_the_lake_no_longer_has_is_forgotten(lake: Lake) -> None:
    for number in (0, 100):
        leave(lake, f"of-{number}-days-ago", ended=NOW - dt.timedelta(days=number))
    collect(lake)
    assert len(names(lake)) == 2
    lake.delete([path for path, period in segments.listing(lake).segments.items() if len(period) == 7])
    assert names(lake) == ["of-0-days-ago"]


def test_the_content_of_another_segment_is_not_taken_for_its_own(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (0, 100):
        leave(lake, f"of-{number}-days-ago", ended=NOW - dt.timedelta(days=number))
    collect(lake)
    first, second = segments.listing(lake).segments
    lake.write(second, lake.read(first))
    assert len(names(lake)) == 1
    assert "it does not match its checksum" in caplog.text
