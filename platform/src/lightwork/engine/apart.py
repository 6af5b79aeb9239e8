"""Calls of a task with a time limit on a worker: in a process of their own, which is ended at the limit.

Ending a process is all that ends a call that hangs in compiled code, or holds Python's lock. The worker
itself goes on, so nothing else that runs or waits there is lost. `inner` is what runs in that process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from lightwork.cluster.ends import reason_of
from lightwork.cluster.losses import TRIES
from lightwork.engine.causes import receive, send
from lightwork.engine.compute import Elsewhere, killed
from lightwork.errors import RunFailed, TaskTimeoutError
from lightwork.functions.raised import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightwork.engine.compute import Computed
    from lightwork.engine.job import Parcel

IDLE_SECONDS = 60.0
"""Seconds after which a process that has nothing to do ends."""
_START_SECONDS = 120.0
"""Seconds within which the process has to be ready for its first call, on a machine that is busy."""
_HELD_UP = 2.0
"""Seconds beyond the limit within which an event loop says that it is alive, unless it is held up."""
_WHERE_SECONDS = 0.2
"""Seconds within which the process writes where it hangs."""
_TEXT = 20_000
_OURS = f'"{os.path.dirname(__file__)}'  # noqa: PTH120 - as a traceback has it
_BOOT = (
    "import pickle, sys; from multiprocessing.connection import Connection;"
    " link = Connection(int(sys.argv[1])); sys.path[:] = pickle.loads(link.recv_bytes());"
    " from lightwork.engine.inner import serve; serve(link, int(sys.argv[2]), int(sys.argv[3]))"
)
_here = threading.local()
"""The process of each of this worker's threads."""


class _Ended(Exception):  # noqa: N818 - it stands for an event
    """The process has ended while it had a call."""


class _Process:
    """A process that runs calls, one after the other.

    Attributes:
        parcel: the id of the job that it has.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.parcel = ""
        self._where = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._link = Connection(ours.detach())
        with theirs:
            files = theirs.fileno(), self._where.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with texts of this module
                [sys.executable, *_flags(), "-c", _BOOT, *map(str, files), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=files,
            )
        self._link.send_bytes(pickle.dumps(sys.path))

    def alive(self) -> bool:
        """Return whether it can take a call."""
        return self._process.poll() is None

    def send(self, *message: Any) -> None:
        """Send a message.

        Raises:
            _Ended: it has ended.
        """
        try:
            self._link.send_bytes(pickle.dumps(message, protocol=5))
        except OSError:
            raise _Ended from None

    def receive(self, seconds: float) -> Any:
        """Return its next message.

        Raises:
            _Ended: it has ended.
            TimeoutError: there is none within these seconds.
        """
        try:
            if not self._link.poll(max(0.0, seconds)):
                raise TimeoutError
            return pickle.loads(self._link.recv_bytes())
        except (EOFError, ConnectionError):
            raise _Ended from None

    def where(self) -> str:
        """Return where its code is, as a traceback without Python's lock; empty if it cannot be told."""
        with contextlib.suppress(OSError, ValueError):
            self._process.send_signal(signal.SIGUSR1)
            end = time.monotonic() + _WHERE_SECONDS
            while time.monotonic() < end and not os.fstat(self._where.fileno()).st_size:
                time.sleep(0.01)
            time.sleep(0.02)
            self._where.seek(0)
            lines = self._where.read(_TEXT).decode(errors="replace").splitlines()
            ours = next((i for i, line in enumerate(lines) if _OURS in line), len(lines))
            return "\n".join(lines[:ours])
        return ""

    def end(self) -> int:
        """End it, and return its exit code."""
        self._process.kill()
        code = self._process.wait()
        self._link.close()
        self._where.close()
        return code


def _flags() -> list[str]:
    """Return the options of the interpreter that a new one should have too."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


class Apart:
    """Calls the function of one job in the process of this thread.

    Args:
        parcel: the job.
        seconds: the time limit of a call.
        forward: receives the log lines of the function, as JSON.
        changed: receives the names of values that the function reads and has changed.
    """

    def __init__(
        self,
        parcel: Parcel,
        seconds: float,
        forward: Callable[[str], object],
        changed: Callable[[Sequence[str], str], object],
    ) -> None:
        self._parcel = parcel
        self._seconds = seconds
        self._forward = forward
        self._changed = changed

    def element(self, element: Any) -> Any:
        """Call the function on an element of a map, `Frozen` or plain; return its result likewise.

        Raises:
            TaskTimeoutError: it took too long.
            Elsewhere: it raised.
        """
        return self._call("element", element)

    def together(self, elements: Sequence[Any], budget: float) -> Computed | None:
        """Call a coroutine function on the elements of a batch, several at once.

        Returns:
            The outcome, as `looping.together` returns it. None if the process has ended or hangs, by one of
            several elements: calls one by one tell by which.
        """
        process = self._process()
        try:
            process.send("batch", (elements, budget))
            self._expect(process, "begun", _START_SECONDS)
            done: Computed = self._expect(process, "done", self._seconds + _HELD_UP)
        except (_Ended, TimeoutError):
            process.end()
            return None
        except BaseException:
            process.end()
            raise
        return done

    def submitted(self, data: Any, arguments: tuple[Any, ...]) -> Any:
        """Call the function with the arguments of a submitted call; as `element`."""
        return self._call("call", (data, arguments))

    def _call(self, kind: str, content: Any) -> Any:
        reason = ""
        for _ in range(TRIES):
            process = self._process()
            try:
                process.send(kind, content)
                return self._outcome(process)
            except _Ended:
                reason = reason_of(process.end())
            except TimeoutError:
                where = process.where()
                process.end()
                late = TaskTimeoutError(self._seconds)
                text = f"{type(late).__name__}: {late}"
                raise Elsewhere(late, send(late), text, bounded(f"{where}\n{text}", _TEXT)) from None
            except BaseException:
                process.end()  # it still computes
                raise
        error = RunFailed(killed(reason))
        raise Elsewhere(error, send(error), str(error), "")

    def _process(self) -> _Process:
        """Return the process of this thread, which has the job."""
        for _ in range(TRIES):
            process: _Process | None = getattr(_here, "process", None)
            if process is not None and not process.alive():
                process.end()
                process = None
            if process is None:
                process = _here.process = _Process()
            try:
                if process.parcel != self._parcel.id:
                    process.send("job", self._parcel)
                    self._expect(process, "ready", _START_SECONDS)
                    process.parcel = self._parcel.id
                return process
            except (_Ended, TimeoutError):
                reason = reason_of(process.end())
            except BaseException:
                process.end()
                raise
        raise RunFailed(f"the process for a task with a time limit cannot be started: {reason}")

    def _outcome(self, process: _Process) -> Any:
        """Wait for the outcome of a call, of which the process tells when it begins.

        Raises:
            _Ended: the process has ended.
            TimeoutError: there is none in time.
            Elsewhere: the function raised.
        """
        self._expect(process, "begun", _START_SECONDS)
        return self._expect(process, "done", self._seconds)

    def _expect(self, process: _Process, wanted: str, seconds: float) -> Any:
        end = time.monotonic() + seconds
        while True:
            kind, content = process.receive(end - time.monotonic())
            if kind == wanted:
                return content
            if kind == "log":
                self._forward(content)
            elif kind == "alive":
                end = time.monotonic() + seconds
            elif kind == "changed":
                self._changed(*content)
            elif kind == "raised":
                sent, text, trace = content
                error = receive(sent)
                raise Elsewhere(error or RuntimeError(text), sent, text, trace)
            else:
                raise content


def release() -> None:
    """End the process of this thread, if it has one."""
    process: _Process | None = getattr(_here, "process", None)
    if process is not None:
        process.end()
        _here.process = None
