"""Worker processes on this machine that Dask gives up are replaced, or the run fails by the reason."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightwork import RunFailed, connect, task
from lightwork.cluster import revival
from tests.waiting import patience, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(patience(120))]


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(revival, "TRIES", 3)
    monkeypatch.setattr(revival, "_LONGEST_PAUSE", 0.2)


@pytest.fixture
def session(hurry, tmp_path):
    with connect(on="local", workers=1, lake=tmp_path / "lake", progress="off") as session:
        yield session


@task(cache=False)
def close_once(x: int, mark: str) -> int:
    """Close the worker with its nanny, as Dask does where its state is broken; the second call returns."""
    from distributed import get_worker

    if Path(mark).exists():
        return x
    Path(mark).touch()
    worker = get_worker()
    worker.loop.add_callback(worker.close, executor_wait=False)
    time.sleep(patience(60))
    return x


@task(cache=False)
def same(x: int) -> int:
    return x


def test_a_worker_that_closes_itself_and_its_nanny_is_replaced(session, tmp_path):
    assert list(close_once.map([1, 2, 3], shared={"mark": str(tmp_path / "mark")})) == [1, 2, 3]


def _compute(kind: str) -> object:
    import dask.bag

    if kind == "map":
        return list(same.map(range(3)))
    if kind == "call":
        return same.submit(1).result()
    return dask.bag.from_sequence(range(10), npartitions=2).sum().compute()


def _kill_workers(session) -> None:
    for pid in session.client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["map", "call", "collection"])
def test_a_run_whose_workers_cannot_use_their_folder_fails_by_that_and_goes_on_once_they_can(session, kind):
    import dask

    same.submit(1).result()
    folder = Path(dask.config.get("temporary-directory"))
    kept = folder.with_name(f"{folder.name}-kept")
    folder.rename(kept)
    folder.touch()
    _kill_workers(session)
    with pytest.raises(RunFailed, match=r"no worker process can be started .*(Not a directory|File exists)"):
        _compute(kind)
    folder.unlink()
    shutil.move(kept, folder)
    wait_until(lambda: not session.runner.cluster._owned.revival.failure, "workers are back")
    assert _compute(kind) is not None


def test_a_run_without_memory_for_a_process_fails_by_that(session, monkeypatch):
    import multiprocessing.context

    def refused(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    same.submit(1).result()
    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "_Popen", staticmethod(refused))
    _kill_workers(session)
    with pytest.raises(RunFailed, match="no worker process can be started"):
        same.submit(1).result()


ENDS = """
import os, signal, sys
from pathlib import Path
if Path("broken").exists():
    {end}
from lightwork import connect, task
from lightwork.cluster import revival

@task(cache=False)
def same(x: int) -> int:
    return x

if __name__ == "__main__":
    revival.TRIES, revival._LONGEST_PAUSE = 3, 0.2
    with connect(on="local", workers=2, lake="lake", progress="off") as session:
        print(list(same.map(range(3))), flush=True)
        Path("broken").touch()
        for pid in session.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        print(list(same.map(range(3))), flush=True)
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os._exit(7)", "ended with exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("raise ImportError('no such library')", "ended with exit code 1"),
    ],
)
def test_a_run_whose_workers_end_as_they_start_fails_by_that(tmp_path, end, reason):
    (tmp_path / "script.py").write_text(ENDS.format(end=end))
    process = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip
    assert process.stdout == "[0, 1, 2]\n"
    last = process.stderr.splitlines()[-1]
    assert f"no worker process can be started on this machine any more: {reason}" in last
