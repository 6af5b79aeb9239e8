"""How worker processes end: seen by the processes that start them, Dask's nannies, and told in words.

Dask runs this module in each worker's pod, by its name. The nanny there reports each end to the scheduler,
where the driver reads it. On this machine the nannies are in the driver's own process.
"""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "lightwork-ends"
"""The scheduler's topic of the ends of worker processes."""
_UNKNOWN_SIGNAL = 255
_GROUPS = Path("/sys/fs/cgroup")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def dask_setup(nanny: Any) -> None:
    """Log how each worker process of a pod ends, and report it to the scheduler."""

    def tell(address: str, reason: str) -> None:
        get_logger("lightwork").warning(f"lost a worker process: {reason}")
        nanny.log_event(TOPIC, {"worker": address, "reason": reason})

    watch(nanny, tell)


def watch(nanny: Any, tell: Callable[[str, str], object]) -> None:
    """Watch how the worker processes of a nanny end.

    Args:
        nanny: the nanny, which has not started a process yet.
        tell: is called with the worker's address, empty if it had none yet, and the reason.
    """
    notify = nanny._on_worker_exit_sync  # noqa: SLF001
    seen = [_ended_by_monitor(nanny), _kills_for_memory()]

    def ended(code: int) -> None:
        last, seen[:] = list(seen), [_ended_by_monitor(nanny), _kills_for_memory()]
        with contextlib.suppress(Exception):  # the nanny has to be told in any case
            if not _is_orderly(nanny.status.name, code):
                reason = reason_of(code, monitor=seen[0] != last[0], kernel=seen[1] > last[1])
                tell(str(nanny.worker_address or ""), reason)
        notify(code)

    nanny._on_worker_exit_sync = ended  # noqa: SLF001


def _is_orderly(status: str, code: int) -> bool:
    """Return whether a process was told to end: with its nanny, or as it was retired."""
    return status in ("closing", "closed") or (status == "closing_gracefully" and not code)


def reported(client: Any, address: str) -> str:
    """Return why a worker's process has ended, as its nanny told the scheduler; empty if it did not.

    Any Dask cluster reports what Dask's memory monitor has ended, lightwork's pods each end.
    """
    for _, event in reversed(client.get_events(TOPIC)):
        if event["worker"] == address:
            return one_line(event["reason"])
    for _, event in reversed(client.get_events("worker-restart-memory")):
        if event["worker"] == address:
            return reason_of(-signal.SIGTERM, monitor=True)
    return ""


def reason_of(code: int, *, monitor: bool = False, kernel: bool = False) -> str:
    """Return in words why a process has ended.

    Args:
        code: its exit code; below 0, the signal that ended it.
        monitor: whether Dask's memory monitor has ended it.
        kernel: whether the kernel has ended a process of its control group for lack of memory.

    >>> reason_of(-11)
    'ended by SIGSEGV'
    """
    if monitor:
        return "ended by Dask, as it had used almost all of its memory limit"
    if kernel and code == -signal.SIGKILL:
        return "ended by the kernel, as memory had run out"
    if code == _UNKNOWN_SIGNAL:
        return "ended by a signal, or with exit code 255"
    if code < 0:
        return f"ended by {_name(-code)}"
    return f"ended with exit code {code}" if code else "closed by itself"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _ended_by_monitor(nanny: Any) -> int:
    """Return the process that Dask's memory monitor has ended last."""
    return int(getattr(getattr(nanny, "memory_manager", None), "_last_terminated_pid", -1))


def _kills_for_memory() -> int:
    """Return how many processes of this process's control group the kernel has ended for lack of memory."""
    texts = []
    for file in _counters():
        with contextlib.suppress(OSError):
            texts.append(file.read_text(encoding="utf-8"))
    return max((int(match[1]) for text in texts for match in _KILLS.finditer(text)), default=0)


def _counters() -> list[Path]:
    """Return the files with that number; in a container the group is at the top of what it sees."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        groups = [line.split(":", 2) for line in lines]
        own = {kind: path.lstrip("/") for _, kind, path in groups}
        return [
            *(_GROUPS / path / "memory.events" for path in {own.get("", ""), ""}),
            *(_GROUPS / "memory" / path / "memory.oom_control" for path in {own.get("memory", ""), ""}),
        ]
    return []
