"""A Dask cluster that cannot run lightwork's calls is told in one line as a session connects."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import pytest

from lightwork import RunFailed, connect, task
from lightwork.cluster import versions
from lightwork.version import __version__
from tests.waiting import patience

WITHOUT = """
import asyncio, sys
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=None) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(main())
"""


@task(cache=False)
def one(x: int) -> int:
    return 1


def refusal(on: str, folder) -> str:
    with (
        pytest.raises(RunFailed) as refused,
        connect(on, lake=folder / "lake", progress="off"),
    ):
        list(one.map([1]))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.timeout(patience(60))
def test_a_scheduler_without_lightwork(tmp_path):
    # Without `site`, the folder's .pth files do not count, by which lightwork is installed here.
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", WITHOUT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert refusal(address, tmp_path) == (
            f"the scheduler at {address} lacks lightwork {__version__}; install it there"
        )
    finally:
        process.kill()
        process.wait()


def test_another_version_of_lightwork_or_python(scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "__version__", "9.9.9")
    text = refusal(scheduler, tmp_path)
    assert text == (
        f"the scheduler at {scheduler} has lightwork {__version__}, this process 9.9.9;"
        " install the same version in both"
    )
    monkeypatch.setattr(versions.sys, "version_info", (3, 99, 0))
    assert "runs Python 3." in versions._problem({"python": "3.11.7.final.0"}, is_missing=False)


def test_a_cluster_with_the_same_is_used(scheduler, tmp_path):
    with connect(scheduler, lake=tmp_path / "lake", progress="off"):
        assert list(one.map([1, 2])) == [1, 1]


def test_the_time_of_all_attempts_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "1.5")
    text = refusal("tcp://127.0.0.1:1", tmp_path)
    seconds = float(text.partition("timed out after ")[2].partition(" s")[0])
    assert 1.4 < seconds < patience(10)
