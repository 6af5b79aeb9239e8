"""Locks on files of a folder, which end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

State = Literal["held", "free", "unknown"]
"""Whether a living process holds a lock; it is unknown where the file system has no locks."""

_LONGEST_WAIT = 5.0
"""Seconds for which a process waits for others to leave a block that is for one at a time."""
_LOOK_EVERY = 0.005


@functools.cache
def machine() -> str:
    """Return 8 characters that name this machine until it starts again, else `unknown`."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read(8)
    except OSError:
        return "unknown"


class Lock:
    """A lock that this process holds on a file of its own; `release` deletes the file."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Delete the file, and end the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108
            os.close(descriptor)


def hold(descriptor: int) -> None:
    """Lock an open file until it is closed, as far as its file system can."""
    with suppress(OSError, ImportError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Let one process at a time into the block, for each folder, as far as its file system has locks.

    Raises:
        OSError: another process has been in the block for long (EBUSY).
    """
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        return None
    end = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise OSError(errno.EBUSY, "another process keeps it locked") from None
            time.sleep(_LOOK_EVERY)
        except OSError:  # there are no locks on this file system, or not on folders
            return None


def state(path: str) -> State:
    """Return whether a process holds the lock of a file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        import fcntl

        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except (OSError, ImportError):
        return "unknown"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"
    finally:
        os.close(descriptor)
    return "free"
