"""Progress lines for each phase, with its duration; and commands, whose output is shown on failure."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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
        timeout: seconds after which the command is killed.
        cwd: the working directory.
        env: variables in addition to those of this process.
        stdin: the command's input.
        check: whether an exit code other than 0 is an error.

    Raises:
        HarnessError: the command failed, timed out or cannot be run; with the end of its output.
    """
    words = [os.fspath(word) for word in command]
    try:
        process = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{' '.join(words[:6])}: timed out after {timeout:.0f} s") from error
    except OSError as error:
        raise HarnessError(f"{words[0]}: {error}") from error
    if check and process.returncode:
        output = (process.stderr.strip() or process.stdout.strip())[-3000:]
        raise HarnessError(f"{' '.join(words[:8])}: exit code {process.returncode}\n{output}")
    return process.stdout


def wait_for(what: str, ready: object, *, seconds: float, every: float = 0.25) -> None:
    """Poll until `ready()` is true.

    Raises:
        HarnessError: it did not become true in time; with the last exception if there was one.
    """
    assert callable(ready)
    until = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < until:
        try:
            if ready():
                return
            last = None
        except (HarnessError, OSError) as error:
            last = error
        time.sleep(every)
    raise HarnessError(f"{what}: timed out after {seconds:.0f} s" + (f": {last}" if last else ""))
