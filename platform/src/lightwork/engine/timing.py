"""Time limits in this process: of Python code in the main thread by a signal, of coroutines by their loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, TaskTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

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


class Coroutines:
    """A time limit for coroutines that run together.

    The loop cancels one that waits for too long. One that holds up the loop meanwhile is interrupted by a
    signal, in the main thread; the time of the others goes on when it is over.

    Args:
        seconds: the limit.
        alive: is called every now and then while the loop is not held up.
    """

    def __init__(self, seconds: float, alive: Callable[[], object]) -> None:
        self._seconds = seconds
        self._alive = alive
        self._signals = False
        self._scopes: dict[asyncio.Task[Any], asyncio.Timeout | None] = {}
        self._seen = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the running loop during the block."""
        loop = asyncio.get_running_loop()
        # Not where a notebook's loop has the main thread.
        self._signals = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
        looking: list[asyncio.TimerHandle] = []

        def look() -> None:
            self._alive()
            self._renew()
            looking[:] = [loop.call_later(min(1.0, self._seconds / 4), look)]

        def expire(*_: Any) -> None:
            task = asyncio.current_task(loop)
            # Else the process had to wait, and not for code of the task.
            if task is not None and self._scopes.get(task, task) is not None:
                raise _Expired

        with _alarms(expire) if self._signals else contextlib.nullcontext():
            look()
            try:
                yield
            finally:
                looking[0].cancel()

    def _renew(self) -> None:
        self._seen = asyncio.get_running_loop().time()
        if self._signals:
            signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN)

    @contextlib.asynccontextmanager
    async def within(self) -> AsyncIterator[None]:
        """Raise `TaskTimeoutError` if the block takes too long."""
        scope, task = asyncio.timeout(self._seconds), _current_task()
        self._scopes[task] = scope
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise TaskTimeoutError(self._seconds).with_traceback(_where(error)) from None
        except _Expired as expired:
            self._scopes[task] = None
            self._go_on()
            raise TaskTimeoutError(self._seconds).with_traceback(expired.__traceback__) from None
        finally:
            self._scopes[task] = None

    def _go_on(self) -> None:
        """Give the other coroutines back the time for which one has held up the loop."""
        held_up = asyncio.get_running_loop().time() - self._seen
        for scope in self._scopes.values():
            if scope is not None and (when := scope.when()) is not None and not scope.expired():
                scope.reschedule(when + held_up)
        self._renew()


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called by a coroutine
    return task


def _where(error: BaseException) -> Any:
    """Return the traceback of the coroutine that a time limit has cancelled."""
    return (error.__cause__ or error).__traceback__


@contextlib.contextmanager
def _alarms(handler: Callable[..., None]) -> Iterator[None]:
    """Handle alarms during the block; the program's own handler and timer are in place again after it."""
    begin = time.monotonic()
    before = signal.signal(signal.SIGALRM, handler)
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        # The handler is None if it was not set from Python.
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - begin)))
