"""The servers that the harness starts: each with a log and a file that says which process it is."""

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
    """Start a server, in a session of its own, so that an interrupt of ours is not its.

    Args:
        name: of its log and of its entry.
        command: the program and its arguments.
        env: variables beside those of this process.
        user: the id of the user and of the group that it runs as; this process's own if None.
        cwd: where it runs.
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
    entry = {"pid": started.pid, "born": _born(started.pid), "command": [os.fspath(word) for word in command]}
    (_files() / f"{name}.json").write_text(json.dumps(entry))


def alive(name: str) -> bool:
    """Whether a server that was started runs still."""
    return _found(name) is not None


def check(name: str) -> None:
    """Raise HarnessError with the last of its log if a server has ended."""
    if not alive(name):
        raise HarnessError(f"{name} has ended\n{tail(name)}")


def tail(name: str, lines: int = 15) -> str:
    """The last lines of a server's log."""
    with contextlib.suppress(OSError):
        return "\n".join((logs() / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    return ""


def stop(name: str, *, seconds: float = 15, by: signal.Signals = signal.SIGTERM) -> None:
    """End a server that was started, by force if it does not go in time. None there is fine."""
    pid = _found(name)
    if pid is not None:
        end(pid, seconds=seconds, by=by)
    (_files() / f"{name}.json").unlink(missing_ok=True)


def pause(name: str) -> None:
    """Make a server hang (SIGSTOP) until `resume`."""
    if (pid := _found(name)) is not None:
        os.kill(pid, signal.SIGSTOP)


def resume(name: str) -> None:
    """Let a server go on that was paused."""
    if (pid := _found(name)) is not None:
        os.kill(pid, signal.SIGCONT)


def end(pid: int, *, seconds: float = 15, by: signal.Signals = signal.SIGTERM) -> None:
    """End one process and wait for it."""
    born = _born(pid)
    for which, patience in ((by, seconds), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if born is None or _born(pid) != born:
                return
            time.sleep(0.05)
    say(f"process {pid} does not end")


def names() -> list[str]:
    """The servers that were started and not stopped, in the order of their names."""
    return sorted(file.stem for file in _files().glob("*.json")) if _files().exists() else []


def _found(name: str) -> int | None:
    """The process of a server, if it is still the one that was started."""
    try:
        entry = json.loads((_files() / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(entry["pid"], os.WNOHANG)
    born = _born(entry["pid"])
    return int(entry["pid"]) if born is not None and born == entry["born"] else None


def _born(pid: int) -> int | None:
    """When a process started, in the kernel's ticks: with the id, it names one process for good."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after[0] == "Z" else int(after[19])
