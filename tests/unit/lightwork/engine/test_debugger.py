"""A breakpoint in a task stops in the task's own frame on `serial`."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.waiting import patience

SCRIPT = """
from lightwork import connect, task

@task
def halve(x: int) -> float:
    half = x / 2
    breakpoint()
    return half

with connect(on="serial", lake="lake", progress="off"):
    print(list(halve.map([5])))
"""


def test_a_breakpoint_stops_in_the_tasks_own_frame(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONBREAKPOINT"}
    process = subprocess.run(
        [sys.executable, "script.py"],
        input="p ('half is', half)\nargs\ncontinue\n",
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=patience(60), check=True,
    )  # fmt: skip
    assert "halve()" in process.stdout
    assert "('half is', 2.5)" in process.stdout
    assert "x = 5" in process.stdout
    assert process.stdout.rstrip().endswith("[2.5]")


def test_post_mortem_debugging_shows_the_tasks_own_frame(tmp_path):
    script = SCRIPT.replace("breakpoint()", "raise ValueError(half)")
    (tmp_path / "script.py").write_text(script)
    process = subprocess.run(
        [sys.executable, "-m", "pdb", "-c", "continue", "script.py"],
        input="where\nq\nq\n",
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip
    assert "ValueError: 2.5" in process.stdout + process.stderr
    assert "in halve" in process.stdout + process.stderr
