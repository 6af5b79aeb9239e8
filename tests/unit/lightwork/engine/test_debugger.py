"""A breakpoint in a task stops in the task's own frame on `serial`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit.lightwork.terminal import Terminal
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


QUITS = """
import sys

import pytest
from lightwork import connect, task

@task(on_error="collect", retries=2)
def halve(x: int) -> float:
    breakpoint()
    return x / 2

if __name__ == "__main__":
    with connect(on=sys.argv[1], workers=1, lake="lake", progress="off"):
        print(HOW)
"""
HOW = ["list(halve.map(range(3)))", "halve.submit(1).result()"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("how", HOW)
def test_quitting_the_debugger_ends_the_run(tmp_path, how):
    (tmp_path / "script.py").write_text(QUITS.replace("HOW", how))
    terminal = Terminal(tmp_path, "script.py", "serial", PYTHONBREAKPOINT="")
    try:
        terminal.wait_for("(Pdb)")
        terminal.type("q\n")
        assert terminal.end() == 1
    finally:
        terminal.stop()
    assert terminal.text.count("(Pdb)") == 1
    assert "Traceback" not in terminal.text
    assert "lightwork: stopped; finished results are kept" in terminal.text


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_a_breakpoint_on_a_worker_names_serial_in_one_line(tmp_path, how):
    (tmp_path / "script.py").write_text(QUITS.replace("HOW", how))
    terminal = Terminal(tmp_path, "script.py", "local", PYTHONBREAKPOINT="")
    try:
        assert terminal.end() == 1
    finally:
        terminal.stop()
    assert "(Pdb)" not in terminal.text
    assert "use --on serial" in terminal.text.rstrip().split("\n")[-1]
