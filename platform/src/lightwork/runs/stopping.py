"""Ctrl-C in a program: one line instead of a traceback, and a second Ctrl-C ends it at once."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from lightwork.functions.raised import is_quit
from lightwork.functions.unraisable import interrupt_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from lightwork.engine.runner import Runner

STOPPED = "stopped; finished results are kept, and the same command resumes from there"
_AT_ONCE = "stopped at once; results kept so far stay, and the same command resumes from there"


class Session(Protocol):
    """The part of a session that this module needs."""

    @property
    def runner(self) -> Runner:
        """The part that runs maps and calls."""

    def close(self) -> None:
        """Stop its workers."""


_open: list[weakref.ref[Session]] = []
"""The sessions that are open in this process, and its default session."""
_noted: list[BaseException] = []
"""The interrupt, or the end of a debugger, that has ended the last session."""


def watch(session: Session) -> None:
    """Close a session at exit; if an interrupt of it ends the program, show one line.

    A program that shows errors its own way goes on doing so.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show
    interrupt_again()
    opened = _still_open()
    if session not in opened:
        if not opened:
            atexit.unregister(_close_all)
            atexit.register(_close_all)  # after Dask's own, so that it runs before them
        _open.append(weakref.ref(session))


def forget(session: Session) -> None:
    """Note that a session is closed."""
    _open[:] = [item for item in _open if item() not in (None, session)]


def _still_open() -> list[Session]:
    return [session for item in _open if (session := item()) is not None]


def _close_all() -> None:
    for session in reversed(_still_open()):
        session.close()


def note(error: BaseException | None) -> None:
    """Note an interrupt, or the end of a debugger, that ends a session."""
    if error is not None:
        _noted[:] = [error]


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show the exception that ends the program; an interrupt of a session as one line."""
    stops = issubclass(kind, KeyboardInterrupt) or is_quit(error)
    if (any(error is noted for noted in _noted) or (stops and _still_open())) and not _interactive():
        for session in _still_open():
            if (cluster := session.runner.cluster_if_any) is not None:
                cluster.interrupted()
        say_at_exit()
    else:
        sys.__excepthook__(kind, error, trace)


def say_at_exit() -> None:
    """Say that the program was stopped, and let a further Ctrl-C end the rest of it without a traceback."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stderr.write(f"lightwork: {STOPPED}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def at_once(kill: Callable[[], None] | None) -> Iterator[None]:
    """Let another Ctrl-C end the process at once, while a session that was interrupted is closed.

    In a notebook or an interactive interpreter it raises KeyboardInterrupt as usual.

    Args:
        kill: ends the session's workers on this machine; None if there are none.
    """

    def end(*_: object) -> None:
        if kill is not None:
            with contextlib.suppress(Exception):
                kill()
        os.write(2, f"lightwork: {_AT_ONCE}\n".encode())
        os._exit(130)

    if threading.current_thread() is not threading.main_thread() or _interactive():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # it is the program's own
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interactive() -> bool:
    return (
        hasattr(sys, "ps1") or bool(sys.flags.interactive) or "get_ipython" in vars(sys.modules["builtins"])
    )
