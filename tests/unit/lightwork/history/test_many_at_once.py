"""Runs that end at once, and collectors that are killed: in a folder and in S3, by real processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lightwork.history.collect import collect
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.lake import Lake, open_lake
from tests.unit.lightwork import gateway
from tests.unit.lightwork.history.leaving import leave
from tests.unit.lightwork.history.test_collect import packed
from tests.waiting import patience

FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    if request.param == "folder":
        return open_lake(tmp_path / "lake", tenant="acme", patience=5)
    server: gateway.Gateway = request.getfixturevalue("server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    from lightwork.lake.s3_connection import client

    name = f"lake-{uuid.uuid4().hex[:12]}"
    client().create_bucket(Bucket=name)
    return open_lake(f"s3://{name}", tenant="acme", patience=5)


def start(target: Callable[..., object], *arguments: object) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=target, args=arguments)
    process.start()
    return process


def end(processes: list[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.join(patience(60))
        assert process.exitcode == 0


@pytest.mark.slow
def test_twenty_runs_that_end_at_once_beside_collectors_lose_nothing(shared: Lake) -> None:
    collect(shared)
    begin = time.time() + 0.3

    def run(number: int) -> None:
        time.sleep(max(0.0, begin - time.time()))
        leave(shared, f"run-{number}", ended=None, status="running")
        leave(shared, f"run-{number}")

    def look() -> None:
        time.sleep(max(0.0, begin - time.time()))
        for _ in range(5):
            collect(shared)

    end([*(start(run, number) for number in range(20)), *(start(look) for _ in range(3))])
    collect(shared)
    assert packed(shared) == {f"run-{number}": "succeeded" for number in range(20)}


@pytest.mark.slow
@pytest.mark.kill
def test_a_collector_killed_at_fifty_random_moments_loses_and_doubles_nothing(shared: Lake) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    expected: dict[str, str] = {}

    def work() -> None:
        while True:
            collect(shared)

    for number in range(50):
        process = start(work)
        for part in range(3):
            name = f"run-{number}-{part}"
            status = chance.choice(["succeeded", "failed"])
            leave(shared, name, ended=None, status="running")
            leave(shared, name, status=status)
            expected[name] = status
            time.sleep(chance.uniform(0, 0.03))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = ask(shared, lambda history: history.page(Filter(), 1000))
        assert {run["name"]: run["status"] for run in found} == expected, f"seed {seed}"
        assert len(found) == len(expected)
    collect(shared)
    assert packed(shared) == expected, f"seed {seed}"
