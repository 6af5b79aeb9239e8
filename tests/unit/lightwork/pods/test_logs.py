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
