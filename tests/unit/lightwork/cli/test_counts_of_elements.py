"""Elements that were retried or exceeded their time are counted wherever a person looks at a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightwork.cli.waiting import _troubled
from lightwork.functions import discovery

CODE = """
import time
from lightwork import pipeline, task

tried = set()

@task(timeout=0.2, retries=1, retry_on=ConnectionError, retry_delay=0, on_error="skip", cache=False)
def ask(number: int) -> int:
    if number == 2:
        time.sleep(1000)
    if number == 4 and number not in tried:
        tried.add(number)
        raise ConnectionError(number)
    return number

@task(cache=False)
def plain(number: int) -> int:
    return number

@pipeline
def asks() -> int:
    return sum(plain.map(ask.map(range(6))))
"""


@pytest.fixture
def module(project: Path) -> Path:
    (project / "cli_pipelines" / "more.py").write_text(CODE)
    discovery.scan.cache_clear()
    return project


def test_they_are_in_the_summary_the_report_show_and_json(lightwork: Callable, module: Path) -> None:
    done = lightwork("run", "asks", "--on", "serial")
    assert "1 failed, 1 timed out, 1 retried" in done.out
    run = json.loads(lightwork("runs", "--json").out.splitlines()[-1])["runs"][0]["name"]
    record = json.loads(lightwork("show", run, "--json").out.splitlines()[-1])
    assert (record["elements"]["retried"], record["elements"]["timed_out"]) == (1, 1)
    by_task = {name.rpartition(".")[2]: counts for name, counts in record["tasks"].items()}
    assert (by_task["ask"]["retried"], by_task["ask"]["timed_out"]) == (1, 1)
    assert not {"retried", "timed_out"} & by_task["plain"].keys()
    shown = lightwork("show", run).out
    assert "1 retried, 1 timed out" in shown
    head = next(line.split() for line in shown.splitlines() if line.split()[:1] == ["task"])
    assert head == ["task", "total", "cached", "computed", "failed", "retried", "timed", "out"]
    assert "1 retried, 1 timed out" in Path(record["report"]).read_text()


def test_they_are_in_the_object_that_a_run_prints(lightwork: Callable, module: Path) -> None:
    printed = json.loads(lightwork("run", "asks", "--on", "serial", "--json").out.splitlines()[-1])
    assert printed["elements"] == {
        "total": 11,
        "cached": 0,
        "computed": 10,
        "failed": 1,
        "retried": 1,
        "timed_out": 1,
    }


def test_they_are_told_while_a_run_in_a_cluster_is_waited_for() -> None:
    assert _troubled({"failed": 2, "retried": 1200, "timed_out": 0}) == ["2 failed", "1,200 retried"]
    assert _troubled({"done": 3}) == []


def test_the_options_of_tasks_are_in_the_help(lightwork: Callable, module: Path) -> None:
    text = " ".join(lightwork("run", "asks", "--help").out.split())
    assert (
        "ask retries=1, retry_delay=0, on_error='skip', retry_on=ConnectionError, timeout=0.2"
        in text.replace("cache=False, ", "")
    )
