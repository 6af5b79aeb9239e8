"""A line on the terminal for each phase, with its seconds; and commands, whose output is shown on failure."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_started = time.monotonic()


class HarnessError(Exception):
    """The harness could not do a step; the message says which, and what was seen."""


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"cluster {time.monotonic() - _started:6.1f}s  {text}", flush=True)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Say that something begins, and how long it took."""
    say(f"{name} ...")
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{name}: FAILED after {time.monotonic() - begun:.1f} s")
        raise
    say(f"{name}: {time.monotonic() - begun:.1f} s")


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
) -> str:
    """What a command printed.

    Args:
        command: the program and its arguments; no shell reads them.
        timeout: seconds after which it is ended, and HarnessError raised.
        cwd: where it runs.
        env: variables beside those of this process.
        stdin: what it reads.
        check: whether a code other than 0 raises HarnessError, with the last of what it printed.
    """
    words = [os.fspath(word) for word in command]
    try:
        done = subprocess.run(
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
        raise HarnessError(f"{' '.join(words[:6])}: not done after {timeout:.0f} s") from error
    except OSError as error:
        raise HarnessError(f"{words[0]}: {error}") from error
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-3000:]
        raise HarnessError(f"{' '.join(words[:8])}: exit code {done.returncode}\n{said}")
    return done.stdout


def wait_for(what: str, ready: object, *, seconds: float, every: float = 0.25) -> None:
    """Ask until `ready()` is true.

    Raises:
        HarnessError: it was not within so many seconds; with the last exception if there was one.
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
    raise HarnessError(f"{what}: not within {seconds:.0f} s" + (f": {last}" if last else ""))
