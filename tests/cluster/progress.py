"""Progress lines for each phase, with its duration; and commands, whose output is shown on failure."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import VARIABLE, patience

_started = time.monotonic()


class HarnessError(Exception):
    """A step of the harness failed; the message says which step, and how."""


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"cluster {time.monotonic() - _started:6.1f}s  {text}", flush=True)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Print when a phase begins, and how long it took."""
    say(f"{name} ...")
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{name}: FAILED after {time.monotonic() - start:.1f} s")
        raise
    say(f"{name}: {time.monotonic() - start:.1f} s")


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
) -> str:
    """Run a command and return its output.

    Args:
        command: the program and its arguments, without a shell.
        timeout: seconds that it takes at most on an idle machine; `patience` after them it is killed.
        cwd: the working directory.
        env: variables in addition to those of this process.
        stdin: the command's input.
        check: whether an exit code other than 0 is an error.

    Raises:
        HarnessError: the command failed, timed out or cannot be run; with the end of its output.
    """
    words = [os.fspath(word) for word in command]
    limit = patience(timeout)
    try:
        process = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{' '.join(words[:6])}: {_too_long(limit)}") from error
    except OSError as error:
        raise HarnessError(f"{words[0]}: {error}") from error
    if check and process.returncode:
        output = (process.stderr.strip() or process.stdout.strip())[-3000:]
        raise HarnessError(f"{' '.join(words[:8])}: exit code {process.returncode}\n{output}")
    return process.stdout


def run_while_it_advances(
    command: Sequence[str | os.PathLike[str]],
    *,
    silence: float,
    folders: Sequence[Path] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    every: float = 1.0,
    says_every: float = 60.0,
) -> str:
    """Run a command that may take hours on a busy machine, and return its output.

    Now and then a line says that it goes on, and for how long so far.

    Args:
        command: the program and its arguments, without a shell.
        silence: seconds without output, and without a change in the folders, after which it is stopped.
        folders: where it writes.
        cwd: the working directory.
        env: variables in addition to those of this process.
        every: seconds between two looks.
        says_every: seconds between two lines.

    Raises:
        HarnessError: the command failed, was stopped or cannot be run; with the end of its output.
    """
    words = [os.fspath(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise HarnessError(f"{words[0]}: {error}") from error
        try:
            looks = _Looks(process, (out.fileno(), err.fileno()), folders, silence, every, says_every)
            stopped = looks.until_it_ends()
        except BaseException:
            _end_group(process)
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if stopped or process.returncode:
        end = (texts[1].strip() or texts[0].strip())[-3000:]
        reason = f"stopped: nothing new for {silence:.0f} s" if stopped else f"exit code {process.returncode}"
        raise HarnessError(f"{' '.join(words[:8])}: {reason}\n{end}")
    return texts[0]


@dataclass(frozen=True)
class _Looks:
    """Looks at a running command again and again."""

    process: subprocess.Popen[bytes]
    outputs: Sequence[int]
    folders: Sequence[Path]
    silence: float
    every: float
    says_every: float

    def until_it_ends(self) -> bool:
        """Wait for the command to end; stop it, and return True, once nothing has changed for too long."""
        start = since = said = time.monotonic()
        last = None
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.every)
                return False
            now = time.monotonic()
            seen = (
                [os.fstat(output).st_size for output in self.outputs],
                [_state(folder) for folder in self.folders],
            )
            if seen != last:
                last, since = seen, now
            elif now - since > self.silence:
                _end_group(self.process)
                return True
            if now - said > self.says_every:
                said = now
                say(f"... goes on, {now - start:.0f} s so far; something new {now - since:.0f} s ago")


def _state(folder: Path) -> tuple[int, int]:
    """Return the total size and the newest change of all files in a folder."""
    size = newest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = (Path(parent) / name).stat()
                size, newest = size + found.st_size, max(newest, found.st_mtime_ns)
    return size, newest


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it has started, politely first: it may keep what it has done so far."""
    for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(what: str, ready: object, *, seconds: float, every: float = 0.25) -> None:
    """Poll until `ready()` is true.

    Args:
        what: what is waited for.
        ready: called again and again.
        seconds: how long it takes at most on an idle machine.
        every: seconds between two calls.

    Raises:
        HarnessError: it did not become true in time; with the last exception if there was one.
    """
    assert callable(ready)
    limit = patience(seconds)
    until = time.monotonic() + limit
    last: Exception | None = None
    while time.monotonic() < until:
        try:
            if ready():
                return
            last = None
        except (HarnessError, OSError) as error:
            last = error
        time.sleep(every)
    raise HarnessError(f"{what}: {_too_long(limit)}" + (f": {last}" if last else ""))


def _too_long(limit: float) -> str:
    return f"timed out after {limit:.0f} s ({VARIABLE} multiplies the wait)"
