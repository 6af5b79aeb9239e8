"""`latest.parquet` is at any moment a whole version of a run that succeeded, and never an older one again."""

from __future__ import annotations

import errno
import io
import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import locks, open_lake, s3, s3_connection
from lightwork.store import latest, tables_writing, versions
from lightwork.store.artifacts import Artifacts
from tests.unit.lightwork.history.leaving import leave
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightwork.lake import Lake
    from tests.unit.lightwork.store.places import Place


def of_run(lake: Lake, run: str) -> Artifacts:
    """Return the artifacts of a run that has begun."""
    leave(lake, run, ended=None, status="running")
    return Artifacts(lake, run_id=run, provenance={}, recorded=True)


def end(artifacts: Artifacts, status: str = "succeeded") -> None:
    """End a run as `runs.run` does."""
    leave(artifacts.lake, artifacts.run_id, status=status)
    if status == "succeeded":
        artifacts.renew_latest()


def there(lake: Lake, name: str = "sun") -> list[Any] | None:
    """Return the column `n` of what lies at the path; None if nothing does."""
    if not lake.exists(latest.path_of(name)):
        return None
    system, base = lake.arrow()
    table = pq.read_table(f"{base}/{latest.path_of(name)}", filesystem=system)
    values: list[Any] = table["n"].to_pylist()
    return values


def table(n: int, rows: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"n": [n] * rows})


TABLES: dict[str, Callable[[], Any]] = {
    "rows": lambda: pd.DataFrame({"n": [3, 1, None], "text": ["a", None, "ü\n"]}),
    "an index with a name": lambda: pd.DataFrame({"n": [1, 2]}, index=pd.Index(["x", "y"], name="place")),
    "two levels": lambda: pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
    "a range that starts later": lambda: pd.DataFrame({"n": range(5)}, index=pd.RangeIndex(10, 20, 2)),
    "categories and times": lambda: pd.DataFrame(
        {
            "n": pd.Categorical(["b", "a", "b"]),
            "at": pd.to_datetime(["2026-01-01", "2026-07-01", None]).tz_localize("Europe/Berlin"),
        }
    ),
    "nullable": lambda: pd.DataFrame({"n": pd.array([1, None], "Int64")}),
    "no rows": lambda: pd.DataFrame({"n": pd.array([], "int64")}),
    "pieces": lambda: iter([table(1, 3), table(2, 2), table(3, 4)]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_pandas_reads_from_its_path_what_the_artifact_has(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tables_writing, "PART_BYTES", 40)
    artifacts = Artifacts(place.lake, run_id="notebook", provenance={"pipeline": "p"})
    artifact = artifacts.write("sun", TABLES[kind]())
    system, base = place.lake.arrow()
    path = f"{base}/artifacts/sun/latest.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path, filesystem=system), artifacts.read("sun"))
    facts = json.loads(pq.read_schema(path, filesystem=system).metadata[b"lightwork"])
    assert (facts["version"], facts["provenance"]) == (artifact.version, {"pipeline": "p"})


def test_the_columns_that_are_folders_are_columns_in_it(place: Place) -> None:
    artifacts = Artifacts(place.lake, run_id="notebook", provenance={})
    frame = pd.DataFrame({"place": ["b", "a", "b"], "n": [1, 2, 3]})
    artifacts.write("sun", frame, partition_by=["place"])
    system, base = place.lake.arrow()
    got = pd.read_parquet(f"{base}/artifacts/sun/latest.parquet", filesystem=system)
    pd.testing.assert_frame_equal(got, artifacts.read("sun"))


def test_only_the_newest_run_that_succeeded_writes_it(place: Place) -> None:
    first, second, third = (of_run(place.lake, f"run-{number}") for number in (1, 2, 3))
    first.write("sun", table(1))
    assert there(place.lake) is None, "the run has not ended"
    end(first)
    assert there(place.lake) == [1]
    second.write("sun", table(2))
    third.write("sun", table(3))
    end(third)
    assert there(place.lake) == [3]
    end(second)
    assert there(place.lake) == [3], "an older version, whose run ended later"
    failed = of_run(place.lake, "run-4")
    failed.write("sun", table(4))
    end(failed, "failed")
    latest.renew_every(place.lake)
    assert there(place.lake) == [3]


def test_a_clock_that_is_slow_does_not_hide_the_newest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    end_of = of_run(place.lake, "run-1")
    end_of.write("sun", table(1))
    end(end_of)
    slow = of_run(place.lake, "run-2")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
    monkeypatch.setattr("lightwork.store.artifacts._last_time", 0)
    slow.write("sun", table(2))
    end(slow)
    assert there(place.lake) == [2]


def test_what_turns_out_to_have_failed_goes_back_to_the_version_before(place: Place) -> None:
    for number in (1, 2):
        run = of_run(place.lake, f"run-{number}")
        run.write("sun", table(number))
        end(run)
    leave(place.lake, "run-2", status="failed")  # its Workflow was stopped after its driver had ended
    latest.renew(place.lake, "sun")
    assert there(place.lake) == [1]


def test_of_a_table_above_the_limit_there_is_none_and_never_a_stale_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = of_run(place.lake, "run-1")
    run.write("sun", table(1))
    end(run)
    large = of_run(place.lake, "run-2")
    large.write("sun", table(2))
    with monkeypatch.context() as patch:
        patch.setattr(latest, "MOST_BYTES", 1)
        end(large)
    assert there(place.lake) is None
    latest.renew(place.lake, "sun")
    assert there(place.lake) == [2]


def test_a_file_of_the_same_name_ends_it(place: Place) -> None:
    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    notebook.write("sun", table(1))
    notebook.write_file("sun", b"no table")
    assert there(place.lake) is None


def test_a_version_that_cannot_be_read_takes_the_older_one_away(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        run = of_run(place.lake, f"run-{number}")
        artifact = run.write("sun", table(number))
        if number == 2:
            place.lake.write(f"{artifact.path}/part-00000.parquet", b"damaged")
        end(run)
    assert there(place.lake) is None, "`read` gives an error as well, and not the first"
    assert "latest.parquet was not renewed" in caplog.text
    with pytest.raises(LightworkError, match="damaged"):
        latest.renew(place.lake, "sun")


def test_a_damaged_one_is_written_again(place: Place) -> None:
    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    notebook.write("sun", table(1))
    for data in (b"", b"PAR1", b"other bytes" * 10):
        place.lake.write(latest.path_of("sun"), data)
        latest.renew(place.lake, "sun")
        assert there(place.lake) == [1]


def test_who_is_overtaken_while_it_writes_does_not_write(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (of_run(place.lake, f"run-{number}") for number in (1, 2))
    first.write("sun", table(1))
    second.write("sun", table(2))
    real = latest._write
    seen: list[Any] = []

    def write(lake: Lake, file: Any, document: Any) -> None:
        real(lake, file, document)
        if not seen:  # the other one does all of its work just before the put
            seen.append(document["version"])
            end(second)

    monkeypatch.setattr(latest, "_write", write)
    replaced: list[bool] = []
    real_replace = type(place.lake).replace

    def replace(lake: Any, path: str, source: Any, expected: str | None) -> bool:
        replaced.append(real_replace(lake, path, source, expected))
        return replaced[-1]

    monkeypatch.setattr(type(place.lake), "replace", replace)
    end(first)
    assert there(place.lake) == [2]
    assert replaced == [True, False], "the second one's put, and the first one's"


def test_one_that_is_deleted_below_a_writer_comes_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    notebook.write("sun", table(1))
    real = latest._write
    seen: list[Any] = []

    def write(lake: Lake, file: Any, document: Any) -> None:
        real(lake, file, document)
        if not seen:
            seen.append(True)
            lake.delete([latest.path_of("sun")])

    monkeypatch.setattr(latest, "_write", write)
    notebook.write("sun", table(2))
    assert there(place.lake) == [2]


def test_a_lake_that_refuses_it_is_told_and_the_write_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> bool:
        raise LightworkError("access denied")

    monkeypatch.setattr(type(place.lake), "replace", refuse)
    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    notebook.write("sun", table(1))
    assert notebook.read("sun")["n"].tolist() == [1]
    assert "latest.parquet was not renewed: access denied" in caplog.text


RUNS = """
import itertools, sys, time
import pandas as pd
from lightwork.lake import open_lake
from lightwork.store.artifacts import Artifacts
from tests.unit.lightwork.store.test_latest import end, of_run

lake, name, rows = open_lake(sys.argv[1], tenant="acme"), sys.argv[2], int(sys.argv[3])
for number in itertools.count():
    run = of_run(lake, f"{name}-{number}")
    run.write("sun", pd.DataFrame({"n": [f"{name}-{number}"] * rows}))
    end(run, "failed" if number % 4 == 3 else "succeeded")
    print(".", flush=True)
    time.sleep(0.1)
"""


class Watcher:
    """Looks at the path again and again, and notes what must not be."""

    def __init__(self, lake: Lake, rows: int) -> None:
        self.lake, self.rows, self.seen, self.torn = lake, rows, 0, 0
        self.highest = ""

    def look(self) -> None:
        system, base = self.lake.arrow()
        try:
            found = pq.read_table(f"{base}/{latest.path_of('sun')}", filesystem=system)
        except FileNotFoundError:
            return
        except (OSError, pa.ArrowInvalid):
            self.torn += 1  # replaced between two requests, or between the two times that pyarrow opens it
            return
        facts = json.loads(found.schema.metadata[b"lightwork"])
        assert found["n"].to_pylist() == [facts["run_id"]] * self.rows, "it is whole"
        document = versions.read(self.lake, "sun", facts["version"])
        assert versions.is_trusted(self.lake, document), "its run has succeeded"
        assert facts["version"] >= self.highest, "it never goes back"
        self.highest = facts["version"]
        self.seen += 1


@pytest.mark.slow
def test_nobody_reads_half_of_one_or_an_older_one_while_processes_write_it_and_are_killed(
    place: Place,
) -> None:
    rows = 2_000
    victims: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUNS, place.url, name, str(rows)], stdout=subprocess.PIPE, text=True
        )
        victims.append(process)
        return process

    watcher = Watcher(place.lake, rows)
    steady = start("steady")
    try:
        for number in range(4):
            victim = start(f"victim-{number}")
            assert victim.stdout is not None
            victim.stdout.readline()
            until = time.monotonic() + random.uniform(0.3, 1.5)
            if number % 2:  # one that stands still for a while, and goes on
                victim.send_signal(signal.SIGSTOP)
                time.sleep(random.uniform(0.0, 0.5))
                victim.send_signal(signal.SIGCONT)
            while time.monotonic() < until:
                watcher.look()
            victim.kill()
            victim.wait(patience(10))
            latest.renew(place.lake, "sun")
            watcher.look()
        assert steady.poll() is None, "what others leave ends nobody"
    finally:
        for process in victims:
            process.kill()
            process.wait(patience(10))
            assert process.stdout is not None
            process.stdout.close()
    latest.renew(place.lake, "sun")
    newest = versions.newest(place.lake, "sun")
    assert newest is not None
    assert latest.version_in(place.lake, "sun") == newest["version"]
    assert watcher.seen > 20
    assert watcher.torn < watcher.seen


@pytest.mark.parametrize("place", ["S3"], indirect=True)
def test_a_reader_below_whom_it_is_replaced_gets_an_error_and_not_two_versions(place: Place) -> None:
    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    names = [f"column-{number}" for number in range(20)]
    system, base = place.lake.arrow()
    for number in range(5):
        notebook.write("sun", pd.DataFrame({name: [number] * 1000 for name in names}))
        with system.open_input_file(f"{base}/{latest.path_of('sun')}") as file:
            reader = pq.ParquetFile(file)
            assert reader.read([names[0]])[names[0]].unique().to_pylist() == [number]
            notebook.write("sun", pd.DataFrame({name: [-number - 1] * 1000 for name in names}))
            with pytest.raises((OSError, pa.ArrowInvalid)):
                reader.read(names[1:])


def test_it_counts_as_an_artifact_and_no_collection_deletes_it(place: Place) -> None:
    from lightwork.store import kinds
    from lightwork.store.collector import Policy, collect

    notebook = Artifacts(place.lake, run_id="notebook", provenance={})
    for number in (1, 2):
        notebook.write("sun", table(number))
    (item,) = [item for item in place.lake.files("artifacts/sun") if item.path.endswith(latest.FILE)]
    assert kinds.kind_of(item) == kinds.ARTIFACTS
    place.age(10)
    collect(place.lake, Policy(history=0.0, newest=1, versions=1))
    assert there(place.lake) == [2]
    assert [version.run_id for version in notebook.list("sun")] == ["notebook"]


# `Lake.replace`


def test_exactly_one_of_many_replaces_what_all_have_seen(place: Place) -> None:
    def replace_by(number: int, expected: str | None) -> bool:
        return place.lake.replace("one", io.BytesIO(b"%d" % number), expected)

    for before in (None, b"before"):
        if before is not None:
            place.lake.write("one", before)
        tag = place.lake.tag("one")
        assert (tag is None) is (before is None)
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(replace_by, range(16), [tag] * 16))
        assert won.count(True) == 1
        assert place.lake.read("one") == b"%d" % won.index(True)
        place.lake.delete(["one"])


def test_a_file_that_is_gone_or_has_come_is_not_replaced(place: Place) -> None:
    place.lake.write("one", b"1")
    tag = place.lake.tag("one")
    assert place.lake.replace("one", io.BytesIO(b"2"), None) is False
    place.lake.delete(["one"])
    assert place.lake.tag("one") is None
    assert place.lake.replace("one", io.BytesIO(b"2"), tag) is False
    assert not place.lake.exists("one")
    assert [item for item in place.lake.unfinished() if item.kind != "folder"] == []


@pytest.mark.parametrize("place", ["S3"], indirect=True)
@pytest.mark.parametrize("arrives", [True, False])
def test_a_put_that_is_sent_again_is_not_refused_because_of_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    place.lake.write("one", b"1")
    tag = place.lake.tag("one")
    real, faults = s3_connection.client(), [arrives]

    class Faulty:
        """The real client, whose first response is lost."""

        def put_object(self, **options: Any) -> Any:
            if faults:
                if faults.pop():
                    real.put_object(**options)
                fault = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
                raise ClientError(fault, "PutObject")
            return real.put_object(**options)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(s3, "client", lambda _: Faulty())
    assert place.lake.replace("one", io.BytesIO(b"2"), tag) is True
    assert place.lake.replace("one", io.BytesIO(b"3"), tag) is False
    assert place.lake.read("one") == b"2"


def test_a_folder_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    lake = open_lake(tmp_path, tenant="acme")
    assert lake.replace("one", io.BytesIO(b"1"), None) is True
    assert lake.replace("one", io.BytesIO(b"2"), None) is False


def test_a_process_that_stands_still_in_the_middle_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch
) -> None:
    lake = open_lake(tmp_path, tenant="acme", patience=0)
    lake.write("one", b"1")
    monkeypatch.setattr(locks, "_LONGEST_WAIT", 0.05)
    with (
        locks.alone(str(tmp_path / "acme")),
        pytest.raises(LakeAway, match="another process keeps it locked"),
    ):
        lake.replace("one", io.BytesIO(b"2"), lake.tag("one"))
    assert lake.replace("one", io.BytesIO(b"2"), lake.tag("one")) is True
