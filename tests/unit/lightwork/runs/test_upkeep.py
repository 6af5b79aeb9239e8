"""Runs clean their lake up beside their work: it does not fail or delay them, and spares what they use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lightwork import connect, current_session, pipeline, task
from lightwork.engine.job import INLINE_BYTES
from lightwork.engine.shared import Shared
from lightwork.lake import open_lake
from lightwork.runs.run import run_pipeline
from lightwork.runs.upkeep import Upkeep
from lightwork.store import kinds, upkeep, usage
from lightwork.store.collector import Policy, collect
from tests.waiting import patience, wait_until


@task
def double(x: int) -> int:
    return 2 * x


@pipeline
def doubles() -> int:
    collect(current_session().lake, Policy(silent=0.0, history=-1e9, newest=1))
    assert list(current_session().lake.files(current_session().folder))
    return sum(double.map(range(3)))


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTWORK_HISTORY_DAYS", raising=False)
    lake = open_lake(tmp_path, tenant="local")
    lake.write("runs/old/jobs/a.job", b"x")
    old = tmp_path / "local/runs/old/jobs/a.job"
    os.utime(old, (1e9, 1e9))
    return lake


def test_a_run_cleans_up_and_leaves_only_its_record_and_its_report(lake, tmp_path):
    result = run_pipeline(doubles, {}, on="serial", lake=tmp_path, tenant="local", progress="off")
    wait_until(lambda: not lake.exists("runs/old/jobs/a.job"), "the collection")
    names = sorted(item.path.split("/", 2)[2] for item in lake.files("runs"))
    assert [name.partition("/")[0] for name in names] == ["attempts", "report.html"]
    assert result.result == 6


@pytest.mark.parametrize("fault", ["raises", "hangs", "setting"])
def test_a_run_neither_fails_nor_waits_because_of_it(lake, tmp_path, monkeypatch, fault, caplog):
    going = threading.Event()

    def broken(*_):
        going.set()
        if fault == "raises":
            raise MemoryError("no\nroom")
        time.sleep(patience(60))

    if fault == "setting":
        monkeypatch.setenv("LIGHTWORK_HISTORY_DAYS", "soon")
    else:
        monkeypatch.setattr(upkeep, "keep_up", broken)
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    begun = time.monotonic()
    result = run_pipeline(doubles, {}, on="serial", lake=tmp_path, tenant="local", progress="off")
    assert result.result == 6
    assert time.monotonic() - begun < patience(10)
    assert raised == []
    assert going.is_set() is (fault != "setting")
    assert ("LIGHTWORK_HISTORY_DAYS: 'soon' is not" in caplog.text) is (fault == "setting")


def test_short_sessions_leave_the_lake_alone_and_long_ones_do_not(lake, tmp_path, monkeypatch):
    with connect(on="serial", lake=tmp_path, tenant="local", progress="off"):
        pass
    assert [item.path for item in lake.files()] == ["runs/old/jobs/a.job"]
    monkeypatch.setattr("lightwork.runs.upkeep._LONG", 0.01)
    with connect(on="serial", lake=tmp_path, tenant="local", progress="off"):
        wait_until(lambda: not lake.exists("runs/old/jobs/a.job"), "the collection")


def test_jobs_are_spared_as_long_as_their_session_is_open(tmp_path):
    def jobs():
        return [item.path for item in session.lake.files() if kinds.kind_of(item) == kinds.JOBS]

    with connect(on="serial", lake=tmp_path / "lake", progress="off") as session:
        runner = session.runner
        shared = Shared({"text": os.urandom(2 * INLINE_BYTES)})
        runner.store(runner.pack(runner.job(double, runner.code_of(double), shared=shared)))
        os.utime(session.lake.folder / jobs()[0], (1e9, 1e9))
        for file in session.lake.folder.glob("runs/*/owner-*"):
            os.utime(file, (1e9, 1e9))
        assert not collect(session.lake, Policy(history=1.0)).kinds
        assert len(jobs()) == 1
    assert list(session.lake.files("runs")) == []


def test_it_may_be_ended_before_it_has_begun(lake):
    beside = Upkeep(lake)
    beside.start_if_long()
    beside.end()
    beside.start()
    assert beside._thread is None


DRIVER = """
import sys, time
import numpy as np
from lightwork import connect, task

@task
def work(x: int, big, words) -> int:
    time.sleep(0.01)
    return len(big) + len(words)

with connect(sys.argv[1], lake=sys.argv[2], tenant="local", progress="off") as session:
    shared = {"big": np.zeros(1_000_000), "words": [str(n) for n in range(50_000)]}
    results = iter(work.map(range(int(sys.argv[3]), 10_000_000), shared=shared))
    next(results)
    print("going", flush=True)
    sys.stdin.readline()
    count = sum(1 for _, result in zip(range(300), results) if result == 1_050_000)
    print(count, flush=True)
"""


@pytest.mark.slow
def test_what_a_killed_driver_leaves_is_shown_and_goes_while_another_runs(scheduler, tmp_path):
    def start(first: int) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", DRIVER, scheduler, str(tmp_path / "lake"), str(first)]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        return process

    lake = open_lake(tmp_path / "lake", tenant="local")
    upkeep.keep_up(lake, Policy(), threading.Event())  # so that the drivers do not
    killed, living = start(0), start(1_000_000)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for file in (tmp_path / "lake").rglob("*"):
        os.utime(file, (1e9, 1e9))
    spaces = {space.kind: space for space in usage.measure(lake)[1]}
    assert (spaces[kinds.JOBS].files, spaces[kinds.INPUTS].files) == (2, 4)
    collected = {kind: amount.files for kind, amount in collect(lake, Policy()).kinds.items()}
    assert (collected[kinds.JOBS], collected[kinds.INPUTS]) == (1, 2)
    assert living.communicate("\n", timeout=patience(60))[0] == "300\n"
    collect(lake, Policy())
    left = {item.path.split("/")[0] for item in lake.files()}
    assert left <= {"results", "lightwork-lake", "lightwork-collected"}
    assert Path(tmp_path / "lake").exists()
