"""Interrupts that Python ignores are sent again.

One that arrives in a finalizer or in a callback of the garbage collector ends nothing: Python prints
"Exception ignored in", and the program goes on as if nobody had pressed Ctrl-C.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSES = (0.005, 0.05)
"""Seconds until an interrupt is sent again, at least and at most; it may arrive in such a place once more."""


class _Again:
    """A hook for exceptions that cannot be raised, which sends an interrupt again."""

    def __init__(self, before: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self.before = before

    def __call__(self, ignored: sys.UnraisableHookArgs) -> None:
        main = threading.main_thread()
        number = _interrupting()
        # The main thread counts as ended while the program ends: its last steps are not interrupted.
        running = threading.current_thread() is main and main.is_alive()
        if not issubclass(ignored.exc_type, KeyboardInterrupt) or not running or number is None:
            self.before(ignored)
            return
        returned = threading.Event()
        threading.Thread(target=_send, args=(number, main.ident, returned), daemon=True).start()
        returned.set()


def interrupt_again() -> None:
    """Send each interrupt again that Python ignored in the main thread, from now on."""
    if not isinstance(sys.unraisablehook, _Again):
        sys.unraisablehook = _Again(sys.unraisablehook)


def _interrupting() -> int | None:
    """Return a signal whose handler may raise KeyboardInterrupt; None if there is none."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            return number
    return None


def _send(number: int, thread: int, returned: threading.Event) -> None:
    returned.wait(_PAUSES[1])  # what is raised in the hook itself is lost
    time.sleep(random.uniform(*_PAUSES))  # noqa: S311
    with contextlib.suppress(ProcessLookupError):
        signal.pthread_kill(thread, number)  # unlike a flag, it ends a wait
