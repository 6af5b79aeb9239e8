"""A notebook's stop button: an interrupt ends a cell, and the next one works in the same session."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.waiting import patience, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(patience(120))]

NOTEBOOK = """
import json, queue, signal, sys, threading, time, traceback
from lightwork import connect, task

@task(cache=False)
def double(x): return 2 * x

@task(cache=False)
def nap(x, seconds):
    time.sleep(seconds)
    return x

@task(cache=False)
def lists(x): return [x] * 1000

def execute(number, cell, names):
    # As a kernel does: an interrupt counts while a cell runs, and is ignored between two.
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("started", number, flush=True)
        exec(cell, names)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("done", number, flush=True)
    except Exception:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("failed", traceback.format_exc().replace(chr(10), " | "), flush=True)

def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = queue.Queue()  # an interrupted readline() would lose a line
    threading.Thread(target=lambda: [lines.put(line) for line in sys.stdin] + [lines.put("")], daemon=True).start()
    names = dict(globals())
    names["session"] = connect("local", workers=2, lake="lake", progress="off").__enter__()
    print("ready", flush=True)
    while line := lines.get():
        try:
            execute(*json.loads(line), names)
        except KeyboardInterrupt as error:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.last_value = error  # as IPython does
            print("interrupted", flush=True)
    names["session"].close()

if __name__ == "__main__":
    main()
"""  # noqa: E501


class Notebook:
    """A process that executes cells one after the other in one session."""

    def __init__(self, folder, to_all: bool) -> None:
        (folder / "notebook.py").write_text(NOTEBOOK)
        self.to_all = to_all
        self.process = subprocess.Popen(
            [sys.executable, "notebook.py"], cwd=folder, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        self.numbers = 0
        threading.Thread(target=self._read, daemon=True).start()
        assert self.line() == "ready"

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def line(self) -> str:
        return self.lines.get(timeout=patience(20))

    def start(self, cell: str) -> int:
        """Start a cell; lines of earlier ones are skipped."""
        self.numbers += 1
        self.process.stdin.write(json.dumps([self.numbers, cell]) + "\n")
        self.process.stdin.flush()
        self._skip_to(f"started {self.numbers}")
        return self.numbers

    def run(self, cell: str) -> None:
        """Execute a cell to its end."""
        self._skip_to(f"done {self.start(cell)}")

    def _skip_to(self, wanted: str) -> None:
        while (line := self.line()) != wanted:
            assert line.startswith(("started", "done", "interrupted")), line

    def interrupt(self) -> None:
        if self.to_all:
            os.killpg(self.process.pid, signal.SIGINT)
        else:
            self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End the process as its user does; no other process of it stays."""
        others = psutil.Process(self.process.pid).children(recursive=True)
        self.process.stdin.close()
        self.process.wait(patience(20))
        wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in others), "workers end")


CHECK = "assert list(double.map(range(20))) == list(range(0, 40, 2)); assert double.submit(4).result() == 8"
CELLS = {
    "a map": "list(nap.map(range(1000), [0.05] * 1000))",
    "a map of unknown length": "list(nap.map(iter(range(1000)), [0.2] * 1000))",
    "a map of endless elements": "list(nap.map(range(4), [9999] * 4))",
    "a map of many results": "for _ in range(100): list(lists.map(range(5000)))",
    "many short maps": "while True: list(double.map(range(10)))",
    "a call": "nap.submit(1, 9999).result()",
    "many calls": "while True: [call.result() for call in [double.submit(x) for x in range(10)]]",
    "the loop's own code": "for _ in nap.map(range(1000), [0.01] * 1000): time.sleep(0.2)",
    "nothing": "pass",
}


@pytest.mark.parametrize("to_all", [True, False], ids=["from a terminal", "from a kernel"])
def test_the_cell_after_an_interrupt_works_in_the_same_session(tmp_path, to_all):
    moments = random.Random(7)
    notebook = Notebook(tmp_path, to_all)
    try:
        for moment in (0.0, moments.uniform(0, 2)):  # the cluster starts
            notebook.start("list(double.map(range(3)))")
            time.sleep(moment)
            notebook.interrupt()
        notebook.run(CHECK)
        for cell in CELLS.values():
            notebook.start(cell)
            time.sleep(moments.uniform(0.05, 1.5))
            notebook.interrupt()
            notebook.run(CHECK)
        notebook.stop()
    finally:
        if notebook.process.poll() is None:
            os.killpg(notebook.process.pid, signal.SIGKILL)
            notebook.process.wait()


PARENT = """
import os, signal, subprocess, sys, time
from lightwork import connect, task

@task(cache=False)
def start(x):
    '''Start a program, and return whether it ends by SIGINT.'''
    program = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(9999)"],
        stdout=subprocess.PIPE)
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    return program.wait() != 0

@task(cache=False)
def signals_itself(x):
    os.kill(os.getpid(), signal.SIGINT)
    return x

if __name__ == "__main__":
    with connect("local", workers=1, lake="lake", progress="off"):
        print(list(start.map([1])), list(signals_itself.map([1])))
"""


def test_programs_that_a_task_starts_still_take_an_interrupt(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    process = subprocess.run(
        [sys.executable, "parent.py"], cwd=tmp_path, capture_output=True, text=True,
        timeout=patience(30), check=True,
    )  # fmt: skip
    assert process.stdout.split("\n")[0] == "[True] [1]"
