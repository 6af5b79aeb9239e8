"""Dask's log lines, in a separate process because Dask sets up logging while it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from lightwork.manifests import dask
from tests.waiting import patience

CODE = """
import logging
import distributed
from lightwork.logs import configure, get_logger
logging.getLogger("distributed.scheduler").info("Lost all workers")
logging.getLogger("distributed.core").debug("too much")
configure()
get_logger().info("read", rows=3)
"""


def test_every_line_is_json_and_appears_once() -> None:
    environment = {**os.environ, "DASK_LOGGING": repr(dask.LOGGING)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["Lost all workers", "read"]
    assert (lines[0]["logger"], lines[0]["level"]) == ("distributed.scheduler", "info")
    assert lines[1]["rows"] == 3


IN_A_POD = {
    "LIGHTWORK_TENANT": "acme",
    "LIGHTWORK_PIPELINE": "wind",
    "LIGHTWORK_RUN": "r1",
    "LIGHTWORK_STEP": "first",
    "LIGHTWORK_ROLE": "worker",
    "DASK_LOGGING": repr(dask.LOGGING),
}
FAULTS = """
import logging, threading, warnings
import distributed
from lightwork.cli.main import _say
logging.getLogger("distributed.nanny").info("Starting")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0, name="loop")
thread.start()
thread.join()
class Odd:
    def __del__(self): raise OSError("too late")
Odd()
_say("failed: ValueError: no", "Traceback: no")
raise ValueError("the\\nend")
"""


def test_every_line_of_a_process_in_a_pod_is_one_event_with_its_place() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={**os.environ, **IN_A_POD},
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["event"].partition(":")[0]) for line in lines] == [
        ("info", "Starting"),
        ("warning", "UserWarning"),
        ("error", "loop ended with ZeroDivisionError"),
        ("warning", "Exception ignored in"),
        ("critical", "failed"),
        ("critical", "ValueError"),
    ]
    place = {"tenant": "acme", "pipeline": "wind", "run": "r1", "step": "first", "role": "worker"}
    assert all(place.items() <= line.items() for line in lines)
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert lines[4]["exception"] == "Traceback: no"
    assert lines[5]["event"] == "ValueError: the end"
    assert lines[5]["exception"].startswith("Traceback (most recent call last)")
