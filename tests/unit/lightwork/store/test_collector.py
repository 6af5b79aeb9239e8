"""What killed processes left is deleted, what living ones use stays, and history goes by age and number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from lightwork.lake import Lake, open_lake
from lightwork.lake.s3_connection import client
from lightwork.store import kinds
from lightwork.store.artifacts import Artifacts
from lightwork.store.collector import Collected, Policy, collect
from lightwork.store.documents import seal
from tests.unit.lightwork import gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = 86400.0
TABLE = pd.DataFrame({"n": [1, 2, 3]})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    program = gateway.program()
    if program is None:
        pytest.skip("the S3 server of the cluster tests is not built on this machine")
    with gateway.running(program, tmp_path_factory.mktemp("s3")) as running:
        yield running


@dataclass(frozen=True)
class Place:
    """A lake, and the folder in which its files can be made older."""

    lake: Lake
    url: str
    folder: Path

    def age(self, days: float, prefix: str = "") -> None:
        """Let all files below a folder have been written some days earlier."""
        start = self.folder / prefix
        for file in [start, *start.rglob("*")]:
            status = file.lstat()
            os.utime(file, (status.st_atime, status.st_mtime - days * DAY), follow_symlinks=False)


@pytest.fixture(params=["folder", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return Place(
            open_lake(tmp_path / "lake", tenant="acme"), str(tmp_path / "lake"), tmp_path / "lake/acme"
        )
    server: gateway.Gateway = request.getfixturevalue("server")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{os.urandom(6).hex()}"
    client().create_bucket(Bucket=bucket)
    url = f"s3://{bucket}/some/prefix"
    folder = server.data / bucket / "some/prefix/acme"
    folder.mkdir(parents=True)
    return Place(open_lake(url, tenant="acme"), url, folder)


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
        lake.write("results/x/y/z.seg", half())

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
    assert {kind: count for kind, count in (one_each - found(place)).items()} == {
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
