"""What killed processes left is deleted, what living ones use stays, and history goes by age and number."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import locks, open_lake, s3
from lightwork.lake.s3_connection import client
from lightwork.store import kinds, usage
from lightwork.store.artifacts import Artifacts
from lightwork.store.collector import Collected, Policy, collect
from lightwork.store.documents import seal
from lightwork.store.results import MISSING, CodeResults
from tests.unit.lightwork.store.places import DAY, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.lightwork import gateway

VERSION = "20260101T000000.000000Z"


WRITER = """
import os, sys, threading, time
from pathlib import Path
from lightwork.functions import mapped
from lightwork.lake import open_lake
from lightwork.lake.s3_connection import client
from lightwork.store import presence
from lightwork.store.artifacts import Artifacts

lake, run = open_lake(sys.argv[1], tenant="acme"), sys.argv[2]
presence.enter(lake, run)
lake.write(f"runs/{run}/jobs/one.job", bytes(100_000))
if lake.root.startswith("file"):
    place = mapped.Folder(lake.folder / "mapped")
    kept = place.put([bytes(50_000)])

    def half():
        yield bytes(10_000)
        time.sleep(1000)

    def unfinished():
        lake.stream("results/x/y/z.seg", half, 10_000)

    threading.Thread(target=unfinished, daemon=True).start()
else:
    key = f"{lake._base}results/big"
    upload = client().create_multipart_upload(Bucket=lake.bucket, Key=key)["UploadId"]
    client().upload_part(Bucket=lake.bucket, Key=key, UploadId=upload, PartNumber=1, Body=bytes(5 << 20))

def pieces():
    import pandas as pd
    from lightwork.store import tables_writing
    tables_writing.PART_BYTES = 1
    for number in range(3):
        yield pd.DataFrame({"n": [number]})
    time.sleep(0.5)  # the temporary file
    print("ready", flush=True)
    sys.stdin.readline()

Artifacts(lake, run_id=run, provenance={}).write("winds", pieces())
print("written", flush=True)
"""


@pytest.fixture
def writer(place: Place) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that is in the middle of everything that a run writes."""
    started: list[subprocess.Popen[str]] = []

    def start(run_id: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, place.url, run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def found(place: Place) -> Counter[str]:
    """Count what the lake holds, by kind; all parts of artifacts are alike."""
    return Counter(kinds.kind_of(item) for item in place.lake.inventory() if item.kind != "folder")


def amounts(collected: Collected) -> dict[str, int]:
    return {kind: amount.files for kind, amount in collected.kinds.items() if kind != kinds.FOLDERS}


@pytest.mark.slow
def test_what_a_killed_process_left_goes_and_what_living_ones_use_stays(
    place: Place, writer: Callable[[str], subprocess.Popen[str]]
) -> None:
    killed, paused, living = writer("killed"), writer("paused"), writer("living")
    one_each = found(place)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    paused.send_signal(signal.SIGSTOP)
    if place.url.startswith("s3"):
        # Only time tells there, for uploads too: those of the others have just received a part.
        assert amounts(collect(place.lake, Policy())) == {}
        for folder in ("runs/killed", *(str(f.relative_to(place.folder)) for f in versions(place, "killed"))):
            place.age(1.1, folder)
        expected = {kinds.JOBS: 1, kinds.UNCOMMITTED: 2}
    else:
        place.age(10)
        expected = {kinds.JOBS: 1, kinds.SIGNS: 1, kinds.UNCOMMITTED: 2, kinds.INPUTS: 2, kinds.TEMPORARY: 1}
    assert amounts(collect(place.lake, Policy(), dry_run=True)) == expected
    assert found(place) == one_each
    assert amounts(collect(place.lake, Policy())) == expected
    assert amounts(collect(place.lake, Policy())) == {}
    assert one_each - found(place) == {
        kinds.ARTIFACTS if kind == kinds.UNCOMMITTED else kind: count for kind, count in expected.items()
    }
    paused.send_signal(signal.SIGCONT)
    for process in (paused, living):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"
        for run in ("paused", "living"):
            assert place.lake.exists(f"runs/{run}/jobs/one.job")
    artifacts = Artifacts(place.lake, run_id="", provenance={})
    for run in ("paused", "living"):
        assert list(artifacts.read("winds", run=run)["n"]) == [0, 1, 2]


def versions(place: Place, run_id: str) -> list[Path]:
    """Return the folders of a run's versions."""
    return list(place.folder.glob(f"artifacts/*/*-{run_id}"))


# A process that only holds a lock, which costs less than one that imports lightwork.
HOLDER = """
import fcntl, sys
held = [open(path, "r+b") for path in sys.argv[1:]]
for file in held:
    fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(open_lake(tmp_path / "lake", tenant="acme"), str(tmp_path / "lake"), tmp_path / "lake/acme")


@pytest.fixture
def holder() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that holds the locks of files."""
    started = []

    def start(*paths: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", HOLDER, *map(os.fspath, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def killed_run(place: Place, run_id: str, machine: str) -> list[Path]:
    """Write what a killed run leaves: an owner's file, a job, a part without a commit, a temporary file."""
    lake = place.lake
    lake.write(f"runs/{run_id}/owner-1", machine.encode())
    lake.write(f"runs/{run_id}/jobs/a.job", b"x")
    lake.write(f"artifacts/winds/{VERSION}-{run_id}/part-00000.parquet", b"x")
    temporary = place.folder / f"results/t/c/.tmp-{machine}-1-{run_id}"
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(b"half")
    return [place.folder / f"runs/{run_id}/owner-1", temporary]


@pytest.mark.parametrize(
    ("machine", "held", "hours", "goes"),
    [
        ("here", False, 0.01, True),
        ("here", True, 0.01, False),
        ("here", True, 24 * 365, False),
        ("elsewhr", False, 23, False),
        ("elsewhr", False, 25, True),
        ("elsewhr", True, 25, False),
        ("here", False, -5, False),
        ("elsewhr", False, -5, False),
    ],
    ids=str,
)
def test_a_lock_shows_at_once_who_lives_and_elsewhere_time_does(
    here: Place, holder: Callable[..., object], machine: str, held: bool, hours: float, goes: bool
) -> None:
    files = killed_run(here, "r1", locks.machine() if machine == "here" else machine)
    if held:
        holder(*files)
    here.age(hours / 24)
    if hours < 0 and machine == "here":
        goes = True
        files[1].unlink()  # only its age protects a temporary file in the moment of its move
    collect(here.lake, Policy())
    assert [item.path for item in here.lake.files() if not item.path.startswith("results")] == (
        [] if goes else
        [f"artifacts/winds/{VERSION}-r1/part-00000.parquet", "runs/r1/jobs/a.job", "runs/r1/owner-1"]
    )  # fmt: skip
    assert files[1].exists() is (not goes)


@pytest.mark.parametrize("hours", [1, 25])
def test_of_two_processes_of_a_run_the_other_machines_may_live(here: Place, hours: float) -> None:
    killed_run(here, "r1", locks.machine())
    here.lake.write("runs/r1/owner-2", b"elsewhr")
    here.age(hours / 24)
    collect(here.lake, Policy())
    assert here.lake.exists("runs/r1/jobs/a.job") is (hours == 1)


def test_links_to_other_folders_are_not_followed(here: Place, tmp_path: Path) -> None:
    other = open_lake(tmp_path, tenant="other")
    for folder in ("runs", "artifacts", "argo", "mapped"):
        other.write(f"{folder}/x/owner", b"")
        other.write(f"{folder}/x/jobs/y", b"")
        other.write(f"{folder}/x/.hidden", b"")
    before = {item.path for item in other.files()}
    here.lake.write("runs/r1/run.json", b"{}")
    for folder in ("artifacts", "argo", "mapped", "runs/x"):
        (here.folder / folder).symlink_to(tmp_path / "other" / folder)
    for path in (tmp_path / "other").rglob("*"):
        os.utime(path, (1e9, 1e9))
    collect(here.lake, Policy(silent=0.0, history=-10, newest=1, versions=1))
    assert {item.path for item in other.files()} == before


def run(place: Place, run_id: str, pipeline: str = "windy-city", status: str = "succeeded") -> None:
    """Write a run's record and report."""
    record = {"run_id": run_id, "pipeline": pipeline, "status": status}
    place.lake.write(f"runs/{run_id}/run.json", seal(record))
    place.lake.write(f"runs/{run_id}/report.html", b"<html>")


def runs(place: Place) -> list[str]:
    return sorted({item.path.split("/")[1] for item in place.lake.files("runs")})


def test_runs_go_by_age_with_their_reports_and_logs_but_not_living_ones(place: Place) -> None:
    for run_id, status in (("1", "succeeded"), ("2", "failed"), ("3", "running"), ("4", "running")):
        run(place, run_id, status=status)
    place.lake.write("argo/flow-1/pod/main.log", b"x")
    place.lake.write("results/t/c/1.seg", b"x")
    place.lake.write("notes/by-hand.txt", b"x")
    place.age(100)
    run(place, "5")
    place.lake.write("runs/4/alive", b"now")  # a run that goes on for months
    assert amounts(collect(place.lake, Policy(history=None))) == {}
    assert amounts(collect(place.lake, Policy(history=101 * DAY))) == {}
    assert amounts(collect(place.lake, Policy(history=99 * DAY))) == {
        kinds.RUNS: 3, kinds.REPORTS: 3, kinds.STEP_LOGS: 1,
    }  # fmt: skip
    assert runs(place) == ["4", "5"]
    assert place.lake.exists("results/t/c/1.seg")
    assert place.lake.exists("notes/by-hand.txt")
    # What has ended just now is of no age, and may go; a run that may go on does not.
    run(place, "6", status="running")
    collect(place.lake, Policy(history=-10))
    assert runs(place) == ["4", "6"]


def test_the_newest_runs_of_each_pipeline_stay(place: Place) -> None:
    for number in range(6):
        run(place, f"a{number}", "windy-city")
        run(place, f"b{number}", "calm-city", "running" if number == 0 else "failed")
        place.age(0.01, "runs")
    assert amounts(collect(place.lake, Policy(newest=2), dry_run=True))[kinds.RUNS] == 7
    collect(place.lake, Policy(newest=2))
    assert runs(place) == ["a4", "a5", "b0", "b4", "b5"], "b0 may still be running"


def test_versions_go_once_they_are_replaced_for_long_but_never_the_newest(place: Place) -> None:
    artifacts = Artifacts(place.lake, run_id="", provenance={})
    written = []
    for _ in range(4):
        written.append(artifacts.write_file("notes.txt", b"x").version)
        place.age(10, "artifacts")
    # Of 40, 30, 20 and 10 days; replaced for 30, 20, 10 and not at all.
    kept = [each.version for each in artifacts.list("notes.txt")]
    assert kept == written[::-1]
    for policy, left in (
        (Policy(), 4),
        (Policy(history=31 * DAY), 4),
        (Policy(history=25 * DAY), 3),
        (Policy(newest=2, versions=2, replaced=15 * DAY), 2),
        (Policy(newest=1, versions=1, replaced=15 * DAY), 2),
        (Policy(history=0.0, newest=1, versions=1), 1),
        (Policy(history=-1e9, newest=1, versions=1), 1),
    ):
        collect(place.lake, policy)
        assert [each.version for each in artifacts.list("notes.txt")] == written[::-1][:left], policy
        assert len(list(place.lake.files("artifacts"))) == 2 * left
    assert artifacts.read_file("notes.txt") == b"x"


def test_the_newest_version_of_a_run_that_succeeded_stays_with_the_record_that_says_so(here: Place) -> None:
    for run_id, status in (("1", "succeeded"), ("2", "succeeded"), ("3", "failed"), ("4", "failed")):
        run(here, run_id, status=status)
        Artifacts(here.lake, run_id=run_id, provenance={}, recorded=True).write_file("notes.txt", b"x")
        here.age(10)
    looking = Artifacts(here.lake, run_id="", provenance={})
    collect(here.lake, Policy(history=15 * DAY, newest=1, versions=1))
    assert [item.run_id for item in looking.list()] == ["4", "3", "2"]
    assert runs(here) == ["2", "3", "4"]
    assert looking.read_file("notes.txt") == b"x"
    here.lake.delete(entry.path for entry in here.lake.entries("runs/2"))
    with pytest.raises(LightworkError, match="of a run that succeeded"):
        looking.read_file("notes.txt")


def test_a_damaged_newest_version_does_not_count_as_one(place: Place) -> None:
    artifacts = Artifacts(place.lake, run_id="", provenance={})
    versions = [artifacts.write_file("notes.txt", bytes([number])).version for number in range(4)]
    for version, data in zip(versions[2:], (b"", b'{"name": "notes'), strict=True):
        place.lake.write(f"artifacts/notes.txt/_versions/{version}.json", data)
    place.age(400)
    collect(place.lake, Policy(history=DAY, newest=1, versions=1))
    assert artifacts.read_file("notes.txt") == b"\x01"
    assert [each.version for each in artifacts.list()] == [versions[1]]


def test_a_version_that_goes_while_it_is_read_is_read_anew(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = Artifacts(here.lake, run_id="", provenance={})
    artifacts.write_file("notes.txt", b"old")
    newest = Artifacts._newest

    def replaced(self: Artifacts, *arguments: Any) -> dict[str, Any]:
        document = newest(self, *arguments)
        if document["bytes"] == 3:
            self.write_file("notes.txt", b"newer")
            collect(self.lake, Policy(newest=1, versions=1))
        return document

    monkeypatch.setattr(Artifacts, "_newest", replaced)
    assert artifacts.read_file("notes.txt") == b"newer"


def test_an_upload_that_others_have_ended_is_made_again(
    s3_gateway: gateway.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_gateway.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{os.urandom(6).hex()}"
    client().create_bucket(Bucket=bucket)
    lake = open_lake(f"s3://{bucket}", tenant="acme")
    monkeypatch.setattr(s3, "_ONE_PUT", 20 << 20)
    data = os.urandom(21 << 20)
    ended: list[int] = []

    def stand_still(**_: object) -> None:
        if not ended:
            ended.append(1)
            for item in lake.unfinished():
                assert lake.is_abandoned(item, lake.now() + 2 * DAY)
                assert lake.discard(item)

    events = client(lake.patience).meta.events
    events.register("before-call.s3.UploadPart", stand_still)
    try:
        lake.write("large", data)
    finally:
        events.unregister("before-call.s3.UploadPart", stand_still)
    assert ended
    assert lake.read("large") == data
    assert list(lake.unfinished()) == []


@pytest.mark.parametrize("place", ["S3"], indirect=True)
def test_uploads_that_nobody_completes_are_shown_and_ended(place: Place) -> None:
    lake, key = place.lake, f"some/prefix/acme/results/{'x' * 20}"
    bucket = place.url.split("/")[2]
    for number in range(3):
        upload = client().create_multipart_upload(Bucket=bucket, Key=f"{key}{number}")["UploadId"]
        for part in range(number):
            client().upload_part(
                Bucket=bucket, Key=f"{key}{number}", UploadId=upload, PartNumber=part + 1, Body=bytes(5 << 20)
            )
    client().create_multipart_upload(Bucket=bucket, Key="some/prefix/globex/another-tenants")
    _, spaces = usage.measure(lake)
    assert [(each.kind, each.files, each.bytes) for each in spaces] == [(kinds.UPLOADS, 3, 15 << 20)]
    assert amounts(collect(lake, Policy())) == {}
    assert amounts(collect(lake, Policy(silent=-10))) == {kinds.UPLOADS: 3}
    assert list(lake.unfinished()) == []
    assert len(client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])) == 1


BUSY = """
import itertools, os, sys
from lightwork.lake import open_lake
from lightwork.store import presence, segments
from lightwork.store.artifacts import Artifacts
from lightwork.store.results import CodeResults

lake, kind, run = open_lake(sys.argv[1], tenant="acme"), sys.argv[2], sys.argv[3]
artifacts = Artifacts(lake, run_id=run, provenance={})
for number in itertools.count():
    if kind == "reader":
        try:
            data = artifacts.read_file("notes.txt")
            assert data == data[:1] * 200_000, "mixed"
        except Exception as error:
            print(f"failed: {error!r}", flush=True)
            break
        print(".", flush=True)
        continue
    with presence.present(lake, run):
        lake.write(f"runs/{run}/jobs/{number}.job", b"job")
        artifacts.write_file("notes.txt", bytes([number % 256]) * 200_000)
        key = os.urandom(16)
        CodeResults(lake, "task", "code").commit(key, segments.to_blocks([number]))
        assert lake.read(f"runs/{run}/jobs/{number}.job") == b"job"
    print(key.hex(), flush=True)
"""


@pytest.mark.slow
def test_nothing_is_lost_while_processes_write_read_and_are_killed(place: Place) -> None:
    def start(kind: str, run_id: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", BUSY, place.url, kind, run_id], stdout=subprocess.PIPE, text=True
        )

    Artifacts(place.lake, run_id="", provenance={}).write_file("notes.txt", b"x" * 200_000)
    steady = [start("reader", "r"), start("reader", "r"), start("writer", "steady")]
    said: list[str] = []
    collected = Collected()
    for number in range(4):
        victim = start("writer", f"victim-{number}")
        assert victim.stdout is not None
        said += [victim.stdout.readline().strip()]
        until = time.monotonic() + random.uniform(0.5, 1.5)
        while time.monotonic() < until:
            done = collect(place.lake, Policy(history=0.0, newest=1, versions=1))
            for kind, amount in done.kinds.items():
                collected.kinds[kind].add(amount.files, amount.bytes)
        victim.kill()
        said += victim.communicate()[0].split()
    for process in steady:
        process.kill()
    words = [line for process in steady for line in process.communicate()[0].split("\n") if line]
    assert [word for word in words if word.startswith(("failed", "mixed"))] == []
    assert words.count(".") > 20
    keys = [bytes.fromhex(word) for word in [*said, *words] if len(word) == 32]
    assert len(keys) > 20
    assert MISSING not in CodeResults(place.lake, "task", "code").refresh().lookup(keys)
    assert collected.kinds[kinds.ARTIFACTS].files > 20
    place.age(2)
    collect(place.lake, Policy(history=0.0, newest=1, versions=1))
    left = {kind: count for kind, count in found(place).items() if kind != kinds.RESULTS}
    assert left == {kinds.ARTIFACTS: 2}


@pytest.mark.parametrize("answers", [True, False], ids=["a response that breaks off", "nobody there"])
def test_the_uploads_of_a_lake_that_is_away_are_not_left_out(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if answers:
            threading.Thread(target=_break_off, args=(listening,), daemon=True).start()
        else:
            listening.shutdown(socket.SHUT_RDWR)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
        lake = open_lake("s3://lake", tenant="acme", patience=0.2)
        with pytest.raises(LakeAway, match="cannot list the uploads"):
            list(lake.unfinished())


def _break_off(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.recv(100)
            connection.close()
