"""A run in a cluster tells how far it is: in log lines, and in the file that Argo reads."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from pathlib import Path

import pytest

from lightwork import connect, task
from lightwork.kube.contract import ENV_ARGO_PROGRESS, ENV_RUN, PROGRESS
from lightwork.kube.watching import progress
from lightwork.runs import telling
from tests.waiting import wait_until

GATE = threading.Event()


@task(cache=False)
def gated(x: int) -> int:
    if x == 3:
        GATE.wait(60)
    return x


@pytest.fixture
def argo_file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(ENV_RUN, "r1")
    monkeypatch.setenv(ENV_ARGO_PROGRESS, str(tmp_path / "progress"))
    GATE.clear()
    return tmp_path / "progress"


def test_it_tells_elements_of_maps_that_go_on_and_argo_gets_them(tmp_path, argo_file):
    with connect("serial", lake=tmp_path / "lake") as session, telling.telling(session, every=0.01):
        results = iter(gated.map(range(10)))
        list(zip(range(3), results, strict=False))
        wait_until(lambda: argo_file.exists() and argo_file.read_text() == "3/10\n", "3/10")
        GATE.set()
        list(results)
        wait_until(lambda: argo_file.read_text() == "10/10\n", "10/10")
    assert not list(tmp_path.glob("*.part"))
    threads = [item.name for item in threading.enumerate()]
    wait_until(lambda: "lightwork-telling" not in [item.name for item in threading.enumerate()], str(threads))


def test_lines_have_the_rate_the_time_left_and_the_run(tmp_path, argo_file, caplog):
    caplog.set_level(logging.INFO)
    GATE.set()
    with connect("serial", lake=tmp_path / "lake", tenant="acme") as session:
        teller = telling.Teller(session)
        teller.tell(100.0)
        results = iter(gated.map(range(10)))
        list(zip(range(4), results, strict=False))
        teller.tell(102.0)
        teller.tell(102.0)
        list(results)
        teller.tell(104.0)
        teller.tell(104.0)
        teller.tell(170.0)
        teller.tell(180.0)
        teller.tell(231.0)
    lines = [record.msg for record in caplog.records if PROGRESS in str(record.msg)]
    numbers = ("done", "total", "per_second", "seconds_left", "workers")
    assert [tuple(line[name] for name in numbers) for line in lines[:3]] == [
        (0, 0, 0.0, None, 0),
        (4, 10, 2.0, 3, 0),
        (10, 10, 2.5, 0, 0),
    ]
    assert progress(json.dumps(lines[1]))["seconds_left"] == 3
    # What has not changed is told once a minute.
    assert len(lines) == 5


def test_an_input_that_is_still_read_has_no_time_left(tmp_path, argo_file):
    GATE.set()
    with connect("serial", lake=tmp_path / "lake") as session:
        teller = telling.Teller(session)
        teller.tell(0.0)
        results = iter(gated.map(itertools.count(4)))
        next(results)
        teller.tell(2.0)
        assert teller._told["seconds_left"] is None
        assert not session.runner.counts()[1]


def test_half_a_line_is_never_in_the_file(argo_file):
    """Argo's executor panics on a line without `/`."""
    ended = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not ended.is_set():
            if argo_file.exists():
                seen.add(argo_file.read_text())

    thread = threading.Thread(target=read)
    thread.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        telling._write(argo_file, 123_456, 7_891_011)
    ended.set()
    thread.join()
    assert seen == {"123456/7891011\n"}


@pytest.mark.parametrize(("done", "total"), [(0, 0), (3, 2)])
def test_what_argo_does_not_take_is_not_written(argo_file, done, total):
    telling._write(argo_file, done, total)
    assert not argo_file.exists()


def test_outside_a_cluster_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv(ENV_RUN, raising=False)
    with connect("serial", lake=tmp_path / "lake") as session, telling.telling(session, every=0.01):
        assert "lightwork-telling" not in [item.name for item in threading.enumerate()]
