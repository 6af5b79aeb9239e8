"""The servers that the harness starts: each with a log and a file that identifies its process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.progress import HarnessError, say
from tests.cluster.settings import logs, run_folder


def _files() -> Path:
    return run_folder() / "processes"


def start(
    name: str,
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    cwd: Path | None = None,
) -> None:
    """Start a server in a session of its own, so that an interrupt of this process does not reach it.

    Args:
        name: the name of the server, its log and its entry.
        command: the program and its arguments.
        env: variables in addition to those of this process.
        user: the id of the user and group to run as; those of this process if None.
        cwd: the working directory; the run folder by default.
    """
    logs().mkdir(parents=True, exist_ok=True)
    _files().mkdir(parents=True, exist_ok=True)
    stop(name)
    with (logs() / f"{name}.log").open("ab") as log:
        started = subprocess.Popen(
            [os.fspath(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd or run_folder(),
            env={**os.environ, **(env or {})},
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
    entry = {
        "pid": started.pid,
        "born": _start_time(started.pid),
        "command": [os.fspath(word) for word in command],
    }
    (_files() / f"{name}.json").write_text(json.dumps(entry))


def alive(name: str) -> bool:
    """Return whether a server that was started is still running."""
    return _pid(name) is not None


def check(name: str) -> None:
    """Raise HarnessError with the end of its log if a server has exited."""
    if not alive(name):
        raise HarnessError(f"{name} has exited\n{tail(name)}")


def tail(name: str, lines: int = 15) -> str:
    """Return the last lines of a server's log."""
    with contextlib.suppress(OSError):
        return "\n".join((logs() / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    return ""


def stop(name: str, *, seconds: float = 15, by: signal.Signals = signal.SIGTERM) -> None:
    """Stop a server, by force if it does not exit in time; do nothing if it is not running."""
    pid = _pid(name)
    if pid is not None:
        end(pid, seconds=seconds, by=by)
    (_files() / f"{name}.json").unlink(missing_ok=True)


def pause(name: str) -> None:
    """Make a server hang (SIGSTOP) until `resume`."""
    if (pid := _pid(name)) is not None:
        os.kill(pid, signal.SIGSTOP)


def resume(name: str) -> None:
    """Continue a paused server."""
    if (pid := _pid(name)) is not None:
        os.kill(pid, signal.SIGCONT)


def end(pid: int, *, seconds: float = 15, by: signal.Signals = signal.SIGTERM) -> None:
    """Stop a process and wait for its exit."""
    born = _start_time(pid)
    for number, timeout in ((by, seconds), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if born is None or _start_time(pid) != born:
                return
            time.sleep(0.05)
    say(f"process {pid} does not exit")


def names() -> list[str]:
    """List the servers that were started and not stopped, sorted by name."""
    return sorted(file.stem for file in _files().glob("*.json")) if _files().exists() else []


def _pid(name: str) -> int | None:
    """Return the process id of a server, if that is still the process that was started."""
    try:
        entry = json.loads((_files() / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(entry["pid"], os.WNOHANG)
    born = _start_time(entry["pid"])
    return int(entry["pid"]) if born is not None and born == entry["born"] else None


def _start_time(pid: int) -> int | None:
    """Return when a process started, in the kernel's ticks: with the id, this identifies a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
