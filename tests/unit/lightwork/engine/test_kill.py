"""Processes that die in the middle: nothing is lost, little is done twice, nothing goes on for ever."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import pytest

from lightwork import ElementError, RunFailed, connect, task
from tests.waiting import patience

pytestmark = [pytest.mark.kill, pytest.mark.slow, pytest.mark.timeout(patience(300))]


def traces(folder: Path) -> list[int]:
    """Each call of a task that leaves traces, as the element it was for."""
    return sorted(int(path.name.split("-")[0]) for path in folder.iterdir())


@task
def leave_a_trace(x: int, folder: str) -> int:
    Path(folder, f"{x}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.02)
    return x * x


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


def pids(session) -> list[int]:
    return list(session.client.run(os.getpid).values())


def test_a_killed_worker_costs_one_batch_at_most(tmp_path, folder):
    with connect(on="local", workers=2, lake=tmp_path / "lake", progress="off") as session:
        results = leave_a_trace.map(range(200), shared={"folder": str(folder)})
        found = []
        for value in results:
            found.append(value)
            if len(found) == 60:
                os.kill(pids(session)[0], signal.SIGKILL)
        assert found == [x * x for x in range(200)]
    twice = len(traces(folder)) - 200
    # A batch takes 0.3 s, twice that at most: 30 elements of 20 ms.
    assert 0 <= twice <= 30
    assert set(traces(folder)) == set(range(200))


DRIVER = """
import sys
import threading
from pathlib import Path
from lightwork import connect, task
sys.path.insert(0, {tests!r})
from kill_task import leave_a_trace
if __name__ == "__main__":
    with connect(on=sys.argv[1], workers=2, lake={lake!r}, progress="off") as session:
        for value in leave_a_trace.map(range(200), shared={{"folder": {folder!r}}}):
            print(value, flush=True)
        print(session.elements, flush=True)
"""


@pytest.mark.parametrize("on", ["serial", "local"])
def test_a_killed_driver_is_followed_by_one_that_goes_on(tmp_path, folder, on):
    (tmp_path / "kill_task.py").write_text(
        "import os, time\nfrom lightwork import task\n"
        "@task(ignore=['folder'])\n"
        "def leave_a_trace(x: int, folder: str) -> int:\n"
        "    open(f'{folder}/{x}-{os.getpid()}-{time.monotonic_ns()}', 'w').close()\n"
        "    time.sleep(0.02)\n"
        "    return x * x\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(tests=str(tmp_path), lake=str(tmp_path / "lake"), folder=str(folder)))
    first = subprocess.Popen(
        [sys.executable, str(script), on], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert first.stdout is not None
    for _ in range(110):
        assert first.stdout.readline()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    second = subprocess.run(
        [sys.executable, str(script), on], capture_output=True, text=True, timeout=patience(60), check=True
    )
    lines = second.stdout.splitlines()
    assert lines[:-1] == [str(x * x) for x in range(200)]
    counts = dict(re.findall(r"'(\w+)': (\d+)", lines[-1]))
    # A driver in one process commits every second: 50 elements; with workers, two batches may be lost each.
    assert int(counts["cached"]) >= 40
    assert int(counts["cached"]) + int(counts["computed"]) == 200


def test_an_element_that_kills_its_worker_each_time_is_named(tmp_path):
    @task(on_error="collect")
    def deadly(x: int) -> int:
        if x == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with connect(on="local", workers=2, lake=tmp_path / "lake", progress="off"):
        results = deadly.map(range(20))
        found = list(results)
    assert found[:13] + found[14:] == [*range(13), *range(14, 20)]
    assert isinstance(found[13], ElementError)
    assert (found[13].index, found[13].input) == (13, "13")
    assert "killed" in str(found[13])
    assert results.stats.failed == 1


class Processes:
    """A scheduler and workers at a fixed address, started by the test, ended by their ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.port = _free_port()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env=environment
        )
        self.running.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def worker(self) -> subprocess.Popen[bytes]:
        words = (
            "--no-nanny",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            "--death-timeout",
            f"{patience(60):g}",
        )
        return self.start("worker", self.address, *words)

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "LIGHTWORK_CONNECT_SECONDS", f"{patience(60):g}"
    )  # the scheduler is only just starting
    started = Processes(tmp_path)
    yield started
    started.end()


def test_a_lost_scheduler_is_reached_again_and_only_the_unfinished_is_resubmitted(
    tmp_path, folder, processes
):
    scheduler = processes.scheduler()
    first = [processes.worker(), processes.worker()]
    with connect(on=processes.address, lake=tmp_path / "lake", progress="off"):
        results = leave_a_trace.map(range(200), shared={"folder": str(folder)})
        found = []
        for value in results:
            found.append(value)
            if len(found) == 60:
                # Workers leave when their scheduler is gone; in a cluster they are started anew.
                for process in (scheduler, *first):
                    process.kill()
                    process.wait()
                processes.scheduler()
                processes.worker()
                processes.worker()
        assert found == [x * x for x in range(200)]
    assert results.stats.computed == 200
    assert 0 < results.stats.resubmitted <= 90
    assert len(traces(folder)) - 200 <= 60


def test_a_scheduler_that_stays_away_ends_the_run_with_one_line(tmp_path, folder, processes, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_RECONNECT_SECONDS", "1")
    scheduler = processes.scheduler()
    processes.worker()
    with connect(on=processes.address, lake=tmp_path / "lake", progress="off"):
        results = leave_a_trace.map(range(200), shared={"folder": str(folder)})
        next(results)
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(RunFailed, match="did not come back in 1 s; what is done is kept"):
            list(results)


def test_nobody_at_the_address_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "1")
    with (
        connect(on=f"tcp://127.0.0.1:{_free_port()}", lake=tmp_path, progress="off"),
        pytest.raises(RunFailed, match=r"no scheduler answers at tcp://127\.0\.0\.1"),
    ):
        list(leave_a_trace.map([1], shared={"folder": "."}))


def test_who_reaches_nobody_leaves_no_thread_and_no_client_behind(tmp_path, monkeypatch):
    """What is closed as garbage may be closed while another is started, and both wait for ever."""
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "1")
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(3):
        with (
            connect(on=f"tcp://127.0.0.1:{_free_port()}", lake=tmp_path, progress="off"),
            pytest.raises(RunFailed, match="no scheduler answers"),
        ):
            list(leave_a_trace.map([1], shared={"folder": "."}))
    left = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    assert "IO loop" not in left
    assert distributed.client._get_global_client() is None, "nor is one of them anybody's default"
