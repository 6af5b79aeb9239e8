"""Ctrl-C on a terminal: one line, what is computed is kept, and another Ctrl-C means now."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.unit.lightwork.terminal import CTRL_C, Terminal
from tests.waiting import patience, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(patience(120))]

WORK = """
import pathlib, sys, time
from lightwork import connect, pipeline, task

@task(batch=1000)
def work(x):
    if x >= 3 and pathlib.Path("slow").exists():
        pathlib.Path("here").touch()
        time.sleep(9999)
    return x
"""
SCRIPT = f"""{WORK}
if __name__ == "__main__":
    with connect(sys.argv[1], workers=2, lake="lake") as session:
        print("at it", flush=True)
        if "closing" in sys.argv:
            session.runner.close = lambda: (print("closing", flush=True), time.sleep(9999))
        print(sum(work.map(range(4))), session.elements)
"""
PIPELINE = f"""{WORK}
@pipeline
def works() -> dict:
    return {{"sum": sum(work.map(range(4)))}}
"""
RUN = ("-m", "lightwork", "run", "works", "--lake", "lake", "--on")


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments, PYTHONPATH=str(tmp_path)))
        return opened[-1]

    (tmp_path / "slow").touch()
    yield start
    for one in opened:
        one.stop()


def install(folder) -> None:
    """Install a package of one pipeline there."""
    (folder / "napping").mkdir()
    (folder / "napping" / "__init__.py").touch()
    (folder / "napping" / "works.py").write_text(PIPELINE)
    (folder / "napping-1.dist-info").mkdir()
    (folder / "napping-1.dist-info" / "METADATA").write_text("Name: napping\nVersion: 1\n")
    (folder / "napping-1.dist-info" / "entry_points.txt").write_text(
        "[lightwork.pipelines]\nnapping = napping\n"
    )


def lines_after(terminal: Terminal) -> list[str]:
    """Return the lines that were shown, without those of the program itself."""
    own = ("at it", "closing", "running on", "http://", " runs as ")
    lines = terminal.text.replace("^C", "").split("\n")
    return [line for line in lines if line.strip() and not any(word in line for word in own)]


@pytest.mark.parametrize("on", ["serial", "local"])
def test_an_interrupt_is_one_line_and_keeps_what_is_computed(tmp_path, terminal, on):
    (tmp_path / "script.py").write_text(SCRIPT)
    program = terminal("script.py", on)
    program.read_until((tmp_path / "here").exists, "the slow element")
    program.type(CTRL_C)
    assert program.end() == 130, program.text
    assert len(lines_after(program)) == 1, program.text
    (line,) = lines_after(program)
    assert line.startswith("lightwork: stopped; finished results are kept")
    (tmp_path / "slow").unlink()
    again = subprocess.run(
        [sys.executable, "script.py", "serial"], cwd=tmp_path, capture_output=True, text=True,
        timeout=patience(60), check=True,
    )  # fmt: skip
    assert again.stdout.split("\n")[1] == "6 {'total': 4, 'cached': 3, 'computed': 1, 'failed': 0}"


@pytest.mark.parametrize("on", ["serial", "local"])
def test_the_command_says_one_line_and_records_that_it_was_stopped(tmp_path, terminal, on):
    install(tmp_path)
    program = terminal(*RUN, on)
    program.read_until((tmp_path / "here").exists, "the slow element")
    program.type(CTRL_C)
    assert program.end() == 130, program.text
    assert len(lines_after(program)) == 1, program.text
    (line,) = lines_after(program)
    assert line.startswith("lightwork: stopped; finished results are kept")
    (record,) = tmp_path.glob("lake/**/attempts/*.json")
    assert json.loads(record.read_text())["status"] == "stopped"


def test_a_second_interrupt_ends_the_program_while_it_closes(tmp_path, terminal):
    (tmp_path / "script.py").write_text(SCRIPT)
    program = terminal("script.py", "local", "closing")
    program.read_until((tmp_path / "here").exists, "the slow element")
    program.type(CTRL_C)
    program.wait_for("closing\r\n")
    program.type(CTRL_C)
    assert program.end() == 130, program.text
    assert len(lines_after(program)) == 1, program.text
    (line,) = lines_after(program)
    assert line.startswith("lightwork: stopped at once")


def test_nothing_is_written_after_the_end_of_a_program_that_was_interrupted_twice(tmp_path):
    (tmp_path / "slow").touch()
    (tmp_path / "script.py").write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, "script.py", "local", "closing"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert program.stdout is not None
    wait_until((tmp_path / "here").exists, "the slow element", seconds=30)
    program.send_signal(signal.SIGINT)
    assert "at it" in program.stdout.readline()
    assert "closing" in program.stdout.readline()
    program.send_signal(signal.SIGINT)
    # Its pipes are closed once the processes have ended that it has started, too.
    _, written = program.communicate(timeout=patience(30))
    lines = [line for line in written.splitlines() if "[info" not in line and "progress" not in line]
    assert len(lines) == 1, written
    assert lines[0].startswith("lightwork: stopped at once")


def test_an_interrupt_while_workers_start_is_one_line(tmp_path, terminal):
    (tmp_path / "script.py").write_text(SCRIPT)
    program = terminal("script.py", "local")
    program.wait_for("0/4")
    program.type(CTRL_C)
    assert program.end() == 130, program.text
    assert len(lines_after(program)) == 1, program.text
    (line,) = lines_after(program)
    assert line.startswith("lightwork: stopped; finished results are kept")
