"""The seconds at the keyboard, over a real terminal: help, Tab, silence while a run starts, and Ctrl-C."""

from __future__ import annotations

import itertools
import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, folder, timed

if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT = 7
ROUNDS = 3
WORKERS = 2
PATIENCE = 120.0
"""Seconds after which a program that does not show what is waited for has failed."""
CTRL_C = b"\x03"
SCRIPT = """
import time
from lightwork import connect, task

@task(cache=False)
def nap(x):
    time.sleep(0.2)
    return x

if __name__ == "__main__":
    with connect("local", workers=2, lake="lake"):
        print(sum(nap.map(range(10_000))))
"""


class Watched:
    """A Python program on a terminal of its own, with the time of whatever it shows.

    Attributes:
        shown: pairs of seconds since the start and bytes.
    """

    def __init__(self, where: Path, *arguments: str) -> None:
        self.shown: list[tuple[float, bytes]] = []
        self._start = time.monotonic()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(where)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
            os.execve(sys.executable, [sys.executable, *arguments], environment)

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def until(self, text: str) -> float:
        """Read until a text is shown; return when that was."""
        return self._read(lambda: re.search(text.encode(), self._all()) is not None, text)

    def end(self) -> float:
        """Read to the program's end; return when that was."""
        at = self._read(lambda: bool(self.shown) and not self.shown[-1][1], "the end")
        os.waitpid(self._pid, 0)
        os.close(self._fd)
        return at

    def interrupt(self) -> float:
        """Press Ctrl-C; return when that was."""
        os.write(self._fd, CTRL_C)
        return self.now()

    def silence(self, end: float) -> float:
        """Return the longest time without output from the start to a moment."""
        moments = [0.0, *(at for at, data in self.shown if data and at <= end), end]
        return max(after - before for before, after in itertools.pairwise(moments))

    def _all(self) -> bytes:
        return b"".join(data for _, data in self.shown)

    def _read(self, ready: Callable[[], bool], what: str) -> float:
        limit = self.now() + PATIENCE
        while not ready():
            if not select.select([self._fd], [], [], max(0.0, limit - self.now()))[0]:
                os.kill(self._pid, signal.SIGKILL)
                raise TimeoutError(f"{what} did not come: {self._all().decode(errors='replace')}")
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:
                data = b""
            self.shown.append((self.now(), data))
            if not data and not ready():
                raise RuntimeError(f"ended before {what}: {self._all().decode(errors='replace')}")
        return self.shown[-1][0]


def run() -> list[Row]:
    """Measure each, as a person at a terminal would."""
    with folder() as where:
        (where / "script.py").write_text(SCRIPT)
        rounds = [_interrupted(where) for _ in range(ROUNDS)]
        twice = [_interrupted_twice(where) for _ in range(ROUNDS)]
    python = _start("-c", "import click")
    rows = [
        _row(
            "lightwork --help",
            0.3,
            [_start("-m", "lightwork", "--help")],
            f"python, import click: {python:.2f} s",
        ),
        *(
            _row(f"Tab after `{line}`", 0.5, [_tab(line)], f"python, import click: {python:.2f} s")
            for line in LINES
        ),
    ]
    names = {
        "first line of a run on local": None,
        "first progress bar of a run on local": None,
        "longest silence until then": 2.0,
        "Ctrl-C on local, until its line": 1.0,
        "Ctrl-C on local, until its end": None,
    }
    for number, (name, target) in enumerate(names.items()):
        figures = [one[number] for one in rounds]
        if name.startswith("longest"):
            rows.append(_row(name, target, [max(figures)], f"the longest of {ROUNDS} runs"))
        else:
            rows.append(_row(name, target, figures, f"median of {ROUNDS}"))
    rows.append(_row("second Ctrl-C on local, until the end", 1.0, twice, f"median of {ROUNDS}"))
    return rows


LINES = ("lightwork ru", "lightwork run ", "lightwork run windy-city unit=")
_BAR = "nap.*━"
_STOPPED = "lightwork: stopped"


def _row(name: str, target: float | None, seconds: list[float], detail: str) -> Row:
    median = statistics.median(seconds)
    bar = "█" * max(1, round(median * 10))
    spread = f", {min(seconds):.2f} to {max(seconds):.2f}" if len(seconds) > 1 else ""
    return Row(
        name,
        "" if target is None else f"at most {target:g} s",
        f"{median:.2f} s",
        None if target is None else median <= target,
        f"{bar[:40]} {detail}{spread}",
    )


def _start(*words: str, **environment: str) -> float:
    """Time a Python process from its start to its end."""
    return timed(
        lambda: subprocess.run(
            [sys.executable, *words],
            stdout=subprocess.DEVNULL,
            env={**os.environ, **environment},
            check=True,
        ),
        repeat=REPEAT,
    )


def _tab(line: str) -> float:
    """Time the completion of a line, as the shells ask for it."""
    return _start("-m", "lightwork", _LIGHTWORK_COMPLETE="bash_complete", LIGHTWORK_COMPLETION_LINE=line)


def _interrupted(where: Path) -> tuple[float, float, float, float, float]:
    """Start a run and press Ctrl-C; return the moments and the silence that `run` names."""
    program = Watched(where, "script.py")
    first = program.until(r"\S")
    bar = program.until(_BAR)
    program.until("━.* [1-9][0-9]*/")
    pressed = program.interrupt()
    line = program.until(_STOPPED)
    end = program.end()
    return first, bar, program.silence(bar), line - pressed, end - pressed


def _interrupted_twice(where: Path) -> float:
    """Start a run and press Ctrl-C twice; return the seconds from the second time to the end."""
    program = Watched(where, "script.py")
    program.until(_BAR)
    program.interrupt()
    time.sleep(0.1)
    pressed = program.interrupt()
    return program.end() - pressed
