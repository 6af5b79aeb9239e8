"""A time limit for Python code in this process's main thread, by a signal."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, TaskTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN = 0.5
"""Seconds between two interruptions of code that catches them."""


class _Expired(BaseException):
    """Interrupts code at its time limit; no `Exception`, so that few handlers catch it."""


def _expire(_number: int, _frame: Any) -> None:
    raise _Expired


def check_timed(seconds: float | None, task: str) -> None:
    """Check that this thread can limit the time of a task.

    Raises:
        InputError: it cannot.
    """
    if seconds is None:
        return
    if threading.current_thread() is not threading.main_thread():
        raise InputError(
            f"{task}: timeout={seconds:g} needs the main thread in a serial session, and in a task that maps"
            " another; use on='local', or submit and map it from the main thread"
        )
    if not hasattr(signal, "setitimer"):
        raise InputError(f"{task}: timeout={seconds:g}: this system has no timers; use Linux or macOS")


def timed(call: Callable[[Any], Any], seconds: float, task: str) -> Callable[[Any], Any]:
    """Return a function that raises `TaskTimeoutError` if a call takes too long.

    Args:
        call: the function of one element.
        seconds: the limit.
        task: the task's name, for messages.

    Raises:
        InputError: this is not the main thread.
    """
    check_timed(seconds, task)

    def run(element: Any) -> Any:
        begin = time.monotonic()
        handler = signal.signal(signal.SIGALRM, _expire)
        left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        try:
            try:
                return call(element)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except _Expired as expired:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise TaskTimeoutError(seconds).with_traceback(expired.__traceback__) from None
        finally:
            # The handler is None if it was not set from Python.
            signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
            if left:  # the program's own timer goes on
                signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - begin)))

    return run
