"""Runs whose lake goes away, or refuses results, while they compute: the same on serial, local and S3."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lightwork
from lightwork.cli.main import execute
from lightwork.errors import LightworkError
from lightwork.functions import discovery
from lightwork.lake import patience as policy
from tests.unit.lightwork.outages import Gateway, gateway_in
from tests.waiting import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SOURCE = os.fspath(Path(lightwork.__file__).parents[1])
_CODE = '''
import os, time
from lightwork import connect, pipeline, task


@task
def double(x: int, seconds: float, flag: str) -> int:
    """Sleep; from the sixth element on there is a file that says so."""
    if x == 5:
        open(flag, "w").close()
    time.sleep(seconds)
    return 2 * x


@pipeline
def mapped(flag: str, n: int = 40, seconds: float = 0.1) -> int:
    return sum(double.map(range(n), shared={"seconds": seconds, "flag": flag}))


@pipeline
def submitted(flag: str, n: int = 20, seconds: float = 0.1) -> int:
    return sum(future.result() for future in [double.submit(x, seconds, flag) for x in range(n)])


@pipeline
def nothing() -> None:
    pass
'''
EXPECTED = {"mapped": 1560, "submitted": 380}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code, its JSON (empty if it failed), its log, the seconds since the fault."""

    code: int
    json: dict[str, Any]
    log: str
    seconds: float


class Runs:
    """Runs the pipelines of this test: serially in this process, otherwise in one of their own.

    Args:
        folder: the current folder of the runs.
        lake: their lake.
        environment: variables that they get.
        monkeypatch: sets them in this process.
        capfd: captures what is written in this process.
        caplog: captures the log lines of this process, which pytest keeps from being written.
    """

    def __init__(
        self,
        folder: Path,
        lake: str,
        environment: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        self.folder = folder
        self.lake = lake
        self._patch = monkeypatch
        self._capfd = capfd
        self._caplog = caplog
        package = folder / "away_pipelines"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "pipes.py").write_text(_CODE)
        info = folder / "away_pipelines-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: away_pipelines\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[lightwork.pipelines]\naway = away_pipelines\n")
        self.flag = folder / "reached"
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("LIGHTWORK_LOG", "text")
        monkeypatch.setenv("PYTHONPATH", f"{_SOURCE}:{folder}")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.chdir(folder)
        monkeypatch.setattr(discovery, "packages", lambda: ["away_pipelines"])
        discovery.scan.cache_clear()

    def run(
        self,
        pipeline: str,
        on: str = "serial",
        wait: float | str = 60,
        fault: Callable[[int], object] | None = None,
        *,
        here: bool = True,
    ) -> Outcome:
        """Run a pipeline.

        Args:
            pipeline: its name.
            on: where it runs.
            wait: the seconds for which it waits for its lake.
            fault: called with the run's process id once it computes its sixth element.
            here: whether a serial run is one of this process.
        """
        given = () if pipeline == "nothing" else (f"flag={self.flag}",)
        words = ("run", pipeline, "--on", on, "--workers", "2", "--json", *given)
        return self.execute(*words, wait=wait, fault=fault, here=here and on == "serial")

    def execute(
        self,
        *words: str,
        wait: float | str = 60,
        fault: Callable[[int], object] | None = None,
        here: bool = True,
    ) -> Outcome:
        """Run a command line of lightwork on the lake."""
        self.flag.unlink(missing_ok=True)
        self._patch.setenv("LIGHTWORK_LAKE_PATIENCE", str(wait))
        self._patch.setattr(policy, "_state", policy._State())
        at = [time.monotonic()]

        def watch(pid: int) -> None:
            wait_until(self.flag.exists, "an element is computed", seconds=60)
            assert fault is not None
            at.append(time.monotonic())
            fault(pid)

        argv = [*words, "--lake", self.lake]
        process = None
        if not here:
            call = "from lightwork.cli.main import main; main()"
            process = subprocess.Popen(
                [sys.executable, "-c", call, *argv],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        pid = os.getpid() if process is None else process.pid
        watcher = threading.Thread(target=watch, args=(pid,), daemon=True)
        if fault is not None:
            watcher.start()
        if process is None:
            self._capfd.readouterr()
            self._caplog.clear()
            with self._caplog.at_level("INFO", "lightwork"):
                code = execute(argv)
            out, written = self._capfd.readouterr()
            events = [record.msg["event"] for record in self._caplog.records if type(record.msg) is dict]
            log = "\n".join([*events, written])
        else:
            out, log = process.communicate(timeout=patience(60))
            code = process.returncode
        seconds = time.monotonic() - at[-1]
        if fault is not None:
            watcher.join(patience(10))
        return Outcome(code, json.loads(out.splitlines()[-1]) if out else {}, log, seconds)


def _lines(log: str, pattern: str) -> list[str]:
    return [line for line in log.splitlines() if re.search(pattern, line)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with gateway_in(tmp_path_factory.mktemp("s3")) as gateway:
        yield gateway


@pytest.fixture
def runs(server: Gateway, tmp_path: Path, monkeypatch, capfd, caplog) -> Iterator[Runs]:
    yield Runs(tmp_path, f"s3://lake/{tmp_path.name}", server.environment(), monkeypatch, capfd, caplog)
    _forget_pipelines()


def _forget_pipelines() -> None:
    discovery.scan.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "away_pipelines"]:
        del sys.modules[name]


ALL = [
    pytest.param(pipeline, on, marks=[pytest.mark.slow] if on == "local" else [])
    for on in ("serial", "local")
    for pipeline in ("mapped", "submitted")
]


@pytest.mark.parametrize(("pipeline", "on"), ALL)
def test_a_run_outlives_an_outage_and_loses_nothing(server, runs, pipeline, on) -> None:
    def outage(_: int) -> None:
        server.stop()
        time.sleep(3.5)
        server.start()

    run = runs.run(pipeline, on, fault=outage)
    assert run.code == 0, run.log
    assert run.json["result"] == EXPECTED[pipeline]
    told = _lines(
        run.log, "(waiting up to 60 s for the lake s3://lake/|the lake s3://lake/.* responds again)"
    )
    # Once for all workers; on a busy machine a response may take seconds at any time.
    assert len(told) in (2, 4), run.log
    assert ["again" in line for line in told] == [False, True] * (len(told) // 2), run.log
    assert not _lines(run.log, "not kept|not in the lake|Traceback")
    again = runs.run(pipeline)
    assert again.json["elements"]["cached"] == run.json["elements"]["total"]


@pytest.mark.parametrize(("pipeline", "on"), ALL)
@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_a_run_whose_lake_stays_away_ends_with_75(server, runs, pipeline, on, how) -> None:
    try:
        run = runs.run(pipeline, on, 2.5, fault=lambda _: getattr(server, how)())
    finally:
        server.stop()
        server.start()
    assert run.code == 75, run.log
    assert run.seconds < patience(20), run.log
    assert "Traceback" not in run.log
    last = run.log.splitlines()[-1]
    assert re.match(r"lightwork: cannot \w+ s3://lake/.*; gave up after \d s$", last), run.log
    # What was committed before is still there, and the same command resumes from it.
    assert runs.run(pipeline).json["result"] == EXPECTED[pipeline]


def test_a_run_whose_lake_is_away_from_the_start_ends_with_75(server, runs) -> None:
    server.stop()
    try:
        run = runs.run("nothing", "serial", 2.5)
    finally:
        server.start()
    assert run.code == 75
    assert len(_lines(run.log, "waiting up to 2.5 s for the lake")) == 1
    assert len(run.log.splitlines()) == 2, run.log


@pytest.mark.sample(1)
@pytest.mark.parametrize(("pipeline", "on"), ALL)
def test_ctrl_c_ends_the_wait_for_a_lake_at_once(server, runs, pipeline, on) -> None:
    at = []

    def interrupt(pid: int) -> None:
        server.stop()
        time.sleep(2.5)
        at.append(time.monotonic())
        os.kill(pid, signal.SIGINT)

    try:
        # An interrupt of this process that comes too late would end pytest.
        run = runs.run(pipeline, on, 120, fault=interrupt, here=False)
        seconds = time.monotonic() - at[0]
    finally:
        server.start()
    assert run.code == 130, run.log
    assert seconds < patience(4), run.log
    assert "Traceback" not in run.log
    if pipeline == "mapped":
        assert _lines(run.log, "results were computed but not kept in the lake: ")
    if (pipeline, on) == ("mapped", "serial"):
        assert _lines(run.log, r"double: \d+ computed results are not in the lake")


@pytest.mark.parametrize(("pipeline", "on"), ALL)
def test_a_lake_that_denies_results_is_told_of_at_once_and_the_run_goes_on(
    server, runs, pipeline, on
) -> None:
    denied = f"{runs.folder.name}/*/results/*"
    try:
        run = runs.run(pipeline, on, 120, fault=lambda _: server.deny("s3:PutObject", under=denied))
    finally:
        server.allow()
    assert run.code == 0, run.log
    assert run.json["result"] == EXPECTED[pipeline]
    _check_told_once(run.log, pipeline, on, "access denied")


def _check_told_once(log: str, pipeline: str, on: str, reason: str) -> None:
    """Check that the log names what was not kept: once at once, and in numbers at the end."""
    told = _lines(log, rf"double: results were computed but not kept in the lake: .*{reason}")
    # Each of two workers tells for its own calls.
    assert 1 <= len(told) <= (2 if (pipeline, on) == ("submitted", "local") else 1), log
    if pipeline == "mapped":
        assert len(_lines(log, r"double: \d+ computed results are not in the lake")) == 1, log


def test_commands_that_look_wait_for_a_moment_and_tell(server, runs) -> None:
    assert runs.run("nothing").code == 0
    commands = ["runs", "artifacts", "cache size", "explain mapped double"]
    server.stop()
    for words in commands:
        look = runs.execute(*words.split(), "--json", wait=2.5)
        assert look.code == 75, look.log
        lines = look.log.splitlines()
        assert "waiting up to 2.5 s for the lake s3://lake/" in lines[0]
        assert re.match(r"lightwork: cannot .*; gave up after [23] s$", lines[1])
    threading.Timer(0.5, server.start).start()
    assert runs.execute("runs", "--json").code == 0


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9", "120s"])
@pytest.mark.parametrize("words", ["run nothing --on serial", "runs", "explain mapped double"])
def test_a_wrong_patience_is_one_line(runs, words: str, text: str) -> None:
    run = runs.execute(*words.split(), wait=text)
    assert run.code == 2
    assert re.fullmatch(r"lightwork: LIGHTWORK_LAKE_PATIENCE: '.*' is not a number of seconds .*\n", run.log)


# Folders


@pytest.fixture
def folder(tmp_path: Path, monkeypatch, capfd, caplog) -> Iterator[Runs]:
    yield Runs(tmp_path, str(tmp_path / "lake"), {}, monkeypatch, capfd, caplog)
    _forget_pipelines()


def _in_results(monkeypatch, number: int) -> Callable[[int], None]:
    """Return a fault after which nothing can be created in the folder of results."""
    real = os.open

    def refuse(path, *args, **options):
        if "/results/" in str(path):
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **options)

    return lambda _: monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES], ids=os.strerror)
@pytest.mark.parametrize("pipeline", ["mapped", "submitted"])
def test_a_folder_that_refuses_results_is_told_of_at_once_and_the_run_goes_on(
    folder, monkeypatch, pipeline, number
) -> None:
    run = folder.run(pipeline, fault=_in_results(monkeypatch, number))
    assert run.code == 0, run.log
    assert run.json["result"] == EXPECTED[pipeline]
    _check_told_once(run.log, pipeline, "serial", os.strerror(number))


@pytest.mark.parametrize("pipeline", ["mapped", "submitted"])
def test_a_network_folder_that_stays_away_ends_the_run_with_75(folder, monkeypatch, pipeline) -> None:
    run = folder.run(pipeline, wait=2.5, fault=_in_results(monkeypatch, errno.ESTALE))
    assert run.code == 75, run.log
    assert len(_lines(run.log, "waiting up to 2.5 s for the lake /.*Stale file handle")) == 1
    assert run.log.rstrip().endswith("; gave up after 3 s") or run.log.rstrip().endswith("2 s"), run.log


@pytest.mark.root
@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize(("pipeline", "on"), ALL)
def test_a_real_disk_that_is_full_or_read_only(folder, pipeline, on, fault) -> None:
    disk = Path(folder.lake)
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")

    def fill(_: int) -> None:
        if fault == "read-only":
            # Mounted once more, as a disk with open files cannot be made read-only.
            subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
            return
        with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    try:
        run = folder.run(pipeline, on, 120, fault=fill)
    finally:
        while disk.is_mount():
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
    reason = "No space left on device" if fault == "full" else "Read-only file system"
    assert run.json["result"] == EXPECTED[pipeline], run.log
    _check_told_once(run.log, pipeline, on, reason)
    assert run.code == 1
    last = run.log.splitlines()[-1]
    assert last.startswith(
        "lightwork: the run succeeded, but its record could not be written: cannot write /"
    )
    assert reason in last


@pytest.mark.parametrize("on", ["serial", pytest.param("workers", marks=pytest.mark.slow)])
def test_a_lake_that_takes_nothing_new_is_read_and_results_are_handed_out(
    tmp_path, monkeypatch, caplog, request, on
) -> None:
    from lightwork import connect, task
    from lightwork.lake.local import LocalLake

    @task
    def triple(x: int) -> int:
        return 3 * x

    @task
    def negative(x: int) -> int:
        return -x

    def refuse(self, full, path, *_, **__):
        raise LightworkError(f"cannot write {full}: Permission denied")

    where = "serial" if on == "serial" else request.getfixturevalue("scheduler")
    with connect(on="serial", lake=tmp_path / "lake", progress="off"):
        assert sum(triple.map(range(10))) == 135
    monkeypatch.setattr(LocalLake, "_write_and_move", refuse)
    with connect(on=where, lake=tmp_path / "lake", progress="off") as session:
        assert sum(triple.map(range(10))) == 135
        assert session.elements["cached"] == 10
        assert sum(negative.map(range(10))) == -45
        assert negative.submit(3).result() == -3
        assert list(negative.map(range(3))) == [0, -1, -2]
    told = [record.msg["event"] for record in caplog.records if "not kept" in str(record.msg)]
    assert len(told) == 1
    assert re.search(
        r"negative: results are not kept in the lake: cannot write .*: Permission denied", told[0]
    )
