"""Processes that die mid-run: nothing is lost, little is computed twice, and nothing runs forever."""

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
    """Return the element of each call that has left a trace."""
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
        values = []
        for value in results:
            values.append(value)
            if len(values) == 60:
                os.kill(pids(session)[0], signal.SIGKILL)
        assert values == [x * x for x in range(200)]
    twice = len(traces(folder)) - 200
    # A batch takes 0.3 s and at most twice that: 30 elements of 20 ms.
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
def test_a_new_driver_continues_where_a_killed_one_stopped(tmp_path, folder, on):
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
    # A serial driver commits every second, or 50 elements; each worker may lose two batches.
    assert int(counts["cached"]) >= 40
    assert int(counts["cached"]) + int(counts["computed"]) == 200


def test_an_element_that_always_kills_its_worker_is_reported(tmp_path):
    @task(on_error="collect")
    def deadly(x: int) -> int:
        if x == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with connect(on="local", workers=2, lake=tmp_path / "lake", progress="off"):
        results = deadly.map(range(20))
        values = list(results)
    assert values[:13] + values[14:] == [*range(13), *range(14, 20)]
    assert isinstance(values[13], ElementError)
    assert (values[13].index, values[13].input) == (13, "13")
    assert "killed on every attempt: ended by SIGKILL" in str(values[13])
    assert results.stats.failed == 1


class Processes:
    """A scheduler at a fixed address and its workers, which the test starts and ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.port = _free_port()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, role: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *options]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env=environment
        )
        self.running.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def worker(self) -> subprocess.Popen[bytes]:
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        return self.start("worker", self.address, *options, "--death-timeout", f"{patience(60):g}")

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
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", f"{patience(60):g}")  # the scheduler is still starting
    processes = Processes(tmp_path)
    yield processes
    processes.end()


def test_a_map_reconnects_to_a_restarted_scheduler_and_resubmits_only_unfinished_elements(
    tmp_path, folder, processes
):
    scheduler = processes.scheduler()
    first = [processes.worker(), processes.worker()]
    with connect(on=processes.address, lake=tmp_path / "lake", progress="off"):
        results = leave_a_trace.map(range(200), shared={"folder": str(folder)})
        values = []
        for value in results:
            values.append(value)
            if len(values) == 60:
                # Workers exit when their scheduler is gone; in a cluster they are restarted.
                for process in (scheduler, *first):
                    process.kill()
                    process.wait()
                processes.scheduler()
                processes.worker()
                processes.worker()
        assert values == [x * x for x in range(200)]
    assert results.stats.computed == 200
    assert 0 < results.stats.resubmitted <= 90
    assert len(traces(folder)) - 200 <= 60


def test_a_scheduler_that_does_not_return_ends_the_run_with_one_line(
    tmp_path, folder, processes, monkeypatch
):
    monkeypatch.setenv("LIGHTWORK_RECONNECT_SECONDS", "1")
    scheduler = processes.scheduler()
    processes.worker()
    with connect(on=processes.address, lake=tmp_path / "lake", progress="off"):
        results = leave_a_trace.map(range(200), shared={"folder": str(folder)})
        next(results)
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(RunFailed, match=r"127\.0\.0\.1:\d+ did not return within 1 s; .*are kept"):
            list(results)


def test_an_address_without_a_scheduler_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "1")
    with (
        connect(on=f"tcp://127.0.0.1:{_free_port()}", lake=tmp_path, progress="off"),
        pytest.raises(RunFailed, match=r"no scheduler responds at tcp://127\.0\.0\.1"),
    ):
        list(leave_a_trace.map([1], shared={"folder": "."}))


def test_failing_to_connect_leaves_no_thread_and_no_client_behind(tmp_path, monkeypatch):
    """A client that is closed by garbage collection can deadlock with one that is starting."""
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "1")
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(3):
        with (
            connect(on=f"tcp://127.0.0.1:{_free_port()}", lake=tmp_path, progress="off"),
            pytest.raises(RunFailed, match="no scheduler responds"),
        ):
            list(leave_a_trace.map([1], shared={"folder": "."}))
    left = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    assert "IO loop" not in left
    assert distributed.client._get_global_client() is None, "none of them is left as the default client"
