"""Retiring a worker: over mutual TLS with a real scheduler, and in time without one."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightwork.pods import certificates, retire
from tests.coroutines import run_coroutine
from tests.waiting import patience


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, object]:
    """Dask's TLS settings as in pods, with a tenant's certificates."""
    now = dt.datetime.now(dt.UTC)
    files = certificates.certificate("acme", certificates.authority("acme", now), now)
    for name, value in files.items():
        (tmp_path / name).write_bytes(value)
    settings: dict[str, object] = {
        "distributed.comm.default-scheme": "tls",
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": str(tmp_path / "ca.crt"),
    }
    for role in ("scheduler", "worker", "client"):
        settings[f"distributed.comm.tls.{role}.cert"] = str(tmp_path / "tls.crt")
        settings[f"distributed.comm.tls.{role}.key"] = str(tmp_path / "tls.key")
    return settings


def test_a_retired_workers_results_move_to_another_one(tls: dict[str, object]) -> None:
    import dask
    from distributed import Client, Scheduler, Worker

    async def scene() -> None:
        quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        async with Scheduler(protocol="tls", host="127.0.0.1", port=0, **quiet) as scheduler:
            address = scheduler.address
            async with (
                Worker(address, host="127.0.0.1", nthreads=1, **quiet) as first,
                Worker(address, host="127.0.0.1", nthreads=1, **quiet) as second,
                Client(address, asynchronous=True, set_as_default=False) as client,
            ):
                assert address.startswith("tls://")
                future = client.submit(
                    lambda: 42, key="answer", workers=[first.address], allow_other_workers=True
                )
                await future
                assert "answer" in first.data
                assert await retire.retire(address, first.address, patience(20))
                assert "answer" in second.data
                assert list(scheduler.workers) == [second.address]
                assert not await retire.retire(address, "tls://127.0.0.1:1", patience(20)), "no such worker"

    with dask.config.set(tls):
        run_coroutine(scene())


def test_a_running_task_finishes_before_its_worker_is_retired(tls: dict[str, object], tmp_path: Path) -> None:
    import dask
    from distributed import Client, Scheduler, Worker

    note = tmp_path / "begun"

    def slow() -> str:
        with note.open("a") as file:
            file.write("x")
        time.sleep(1.5)
        return "done"

    async def scene() -> None:
        quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        async with Scheduler(protocol="tls", host="127.0.0.1", port=0, **quiet) as scheduler:
            address = scheduler.address
            async with (
                Worker(address, host="127.0.0.1", nthreads=1, **quiet) as first,
                Worker(address, host="127.0.0.1", nthreads=1, **quiet),
                Client(address, asynchronous=True, set_as_default=False) as client,
            ):
                future = client.submit(slow, workers=[first.address], allow_other_workers=True)
                while not note.exists():
                    await asyncio.sleep(0.01)
                assert await retire.retire(address, first.address, patience(30))
                assert await future == "done"
                assert note.read_text() == "x", "the other worker started it again"

    with dask.config.set(tls):
        run_coroutine(scene())


@pytest.mark.filterwarnings("ignore:coroutine 'wait_for'")  # from a Dask client that never connected
def test_without_a_scheduler_the_hook_ends_in_time_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    monkeypatch.setenv("POD_IP", "127.0.0.1")
    monkeypatch.setenv("LIGHTWORK_WORKER_PORT", "8788")
    with ThreadPoolExecutor(1) as pool:  # `asyncio.run` leaves its thread without an event loop
        assert pool.submit(retire.main, ["--seconds", "0.5"]).result() == 0, "the hook never fails"
    assert capsys.readouterr().err.startswith("retire: not retired: ")


def test_the_workers_address_is_its_pods_ip() -> None:
    environment = {
        "DASK_SCHEDULER_ADDRESS": "tls://s:8786",
        "POD_IP": "10.1.2.3",
        "LIGHTWORK_WORKER_PORT": "8788",
    }
    assert retire.addresses(environment) == ("tls://s:8786", "tls://10.1.2.3:8788")
    assert retire.addresses({**environment, "POD_IP": "fd00::1"})[1] == "tls://[fd00::1]:8788"
