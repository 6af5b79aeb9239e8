"""Programs on a terminal of their own, which types to them and reads what they show."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = "\x03"


class Terminal:
    """A program, Python's unless another is named, as the foreground process group of a new terminal.

    Attributes:
        text: what it has shown so far, without escape sequences and progress bars.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: str = sys.executable,
        columns: int = 200,
        **environment: str,
    ) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(folder)
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
                names = {"COLUMNS": str(columns), "TERM": "xterm", **environment}
                os.execve(program, [program, *arguments], {**os.environ, **names})
            finally:
                os._exit(99)
        self._bytes = b""
        self._read = 0
        self._over = False

    @property
    def text(self) -> str:
        lines = re.split(r"[\r\n]+", _ESCAPES.sub("", self._bytes.decode(errors="replace")))
        return "\n".join(line for line in lines if "━" not in line)

    def type(self, keys: str) -> None:
        """Send keys, as if someone pressed them."""
        os.write(self._fd, keys.encode())

    def wait_for(self, text: str) -> None:
        """Read until a text is shown that was not shown at the last call."""
        limit = time.monotonic() + patience(30)
        while (found := self._bytes.find(text.encode(), self._read)) < 0:
            assert self._more(limit), f"{text!r} did not come:\n{self.text}"
        self._read = found + len(text)

    def read_until(self, ready: Callable[[], object], what: str) -> None:
        """Read until something is so; a program that shows much would wait otherwise."""
        limit = time.monotonic() + patience(30)
        while not ready():
            assert self._more(limit, 0.05), f"{what} did not come:\n{self.text}"

    def end(self, seconds: float = 30) -> int:
        """Read to the program's end, which takes so long at most; return its exit code as a shell has it."""
        limit = time.monotonic() + patience(seconds)
        while self._more(limit):
            pass
        assert self._over, f"it did not end:\n{self.text}"
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._fd)
        self._pid = 0
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """Kill what still runs."""
        if self._pid:
            os.killpg(self._pid, 9)
            os.waitpid(self._pid, 0)
            os.close(self._fd)

    def _more(self, limit: float, wait: float = 1.0) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, min(wait, limit - time.monotonic())))
        if ready:
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:
                data = b""
            self._bytes += data
            self._over = not data
        return not self._over and time.monotonic() < limit
