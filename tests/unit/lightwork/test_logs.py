"""Log lines: who says what, from which run, on which element's attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.waiting import patience

SCRIPT = """
import logging, os, sys
from lightwork import connect, get_logger, task

@task(cache=False, retries=1, retry_delay=0)
def work(x: int) -> int:
    get_logger().info("working", element=x)
    logging.getLogger("mine").warning("plain %s", x)
    if x == 1 and not os.path.exists("tried"):
        open("tried", "w").close()
        raise OSError("once")
    return x

if __name__ == "__main__":
    names = {"tenant": "acme", "pipeline": "demo", "run_id": "r1"}
    with connect(on=sys.argv[1], workers=1, lake="lake", progress="off", **names):
        list(work.map(range(2)))
        get_logger().info("done")
"""


@pytest.fixture(scope="module", params=["serial", "local"])
def lines(request, tmp_path_factory):
    """What a run writes to standard error in JSON."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "LIGHTWORK_LOG": "json"}
    done = subprocess.run(
        [sys.executable, "script.py", request.param],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=patience(60), check=True,
    )  # fmt: skip
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_json_with_time_and_level(lines):
    assert all({"timestamp", "level", "event", "host"} <= line.keys() for line in lines)


def test_a_line_of_a_task_says_tenant_pipeline_run_task_and_attempt(lines):
    line = next(line for line in lines if line["event"] == "working" and line["element"] == 0)
    expected = {"tenant": "acme", "pipeline": "demo", "run": "r1", "task": "__main__.work", "attempt": 1}
    assert expected.items() <= line.items()


def test_a_second_attempt_is_numbered(lines):
    attempts = [line["attempt"] for line in lines if line["event"] == "working" and line["element"] == 1]
    assert attempts == [1, 2]
    assert any("trying again" in line["event"] and "OSError: once" in line["event"] for line in lines)


def test_the_standard_logging_module_carries_the_context_too(lines):
    line = next(line for line in lines if line["event"] == "plain 0")
    assert (line["logger"], line["run"], line["task"]) == ("mine", "r1", "__main__.work")


def test_a_line_outside_tasks_carries_the_run_alone(lines):
    line = next(line for line in lines if line["event"] == "done")
    assert line["run"] == "r1"
    assert "task" not in line


def test_text_is_readable_and_short():
    code = (
        "from lightwork import logs; logs.configure('text')\n"
        "with logs.context(tenant='acme', run='r1', task='t', attempt=1):\n"
        "    logs.get_logger().info('hello', rows=3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patience(60), check=True
    )
    assert "hello" in done.stderr
    assert "rows=3" in done.stderr
    assert "acme" not in done.stderr
    assert "attempt" not in done.stderr


def test_a_program_that_has_set_up_logging_keeps_its_own():
    code = (
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stdout, format='MINE %(message)s', level='INFO')\n"
        "from lightwork import logs; logs.configure()\n"
        "logging.getLogger('x').info('hello')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patience(60), check=True
    )
    assert done.stdout == "MINE hello\n"
    assert done.stderr == ""
