"""What was raised: whether it ends the run, and how it reads.

Only what a signal or the debugger raised ends a run; all other exceptions are an element's own.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the run whatever their handlers raise; others do if it is not an `Exception`."""
_CHAIN = 64
"""Exceptions of a chain that are looked at, at most."""

_TEXT = 2000
"""Characters of an error's text, at most; Dask replaces errors with texts of more than 10,000."""

_raised: list[BaseException] = []
"""What handlers of signals have raised since the outermost `watching` began."""


class _Noting:
    """A signal handler that notes what the handler in place before it raises."""

    def __init__(self, before: Callable[[int, Any], Any]) -> None:
        self.before = before

    def __call__(self, number: int, frame: Any) -> Any:
        try:
            return self.before(number, frame)
        except BaseException as error:
            if number in _ALWAYS or not isinstance(error, Exception):
                _raised.append(error)
            raise


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Note what the handlers of signals raise meanwhile, so that `interruption` knows it.

    Other threads than the main one need not watch: Python runs no handlers in them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    installed: dict[int, _Noting] = {}
    for number in map(int, signal.valid_signals()):
        before = signal.getsignal(number)
        if callable(before) and not isinstance(before, _Noting):
            installed[number] = _Noting(before)
            signal.signal(number, installed[number])
    if signal.SIGINT in installed:
        _raised.clear()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a generator may be closed in another thread
            for number, noting in installed.items():
                in_place: object = signal.getsignal(number)
                if in_place is noting:
                    signal.signal(number, noting.before)


def interruption(error: BaseException) -> BaseException | None:
    """Return the exception to raise if an error ends the run; None if it is the failure of an element.

    An error ends the run if a signal or the debugger raised it, or one that it was raised from or because of.
    """
    quit_debugger = getattr(sys.modules.get("bdb"), "BdbQuit", None)
    if quit_debugger is None and not _raised:
        return None
    seen: list[BaseException] = []
    todo = [error]
    while todo and len(seen) < _CHAIN:
        one = todo.pop()
        if any(one is other for other in seen):
            continue
        if type(one) is quit_debugger or any(one is noted for noted in _raised):
            return one
        seen.append(one)
        todo += linked(one)
    return None


def is_quit(error: BaseException | None) -> bool:
    """Return whether an error is what quitting the debugger raises."""
    return type(error) is getattr(sys.modules.get("bdb"), "BdbQuit", None)


def linked(error: BaseException) -> list[BaseException]:
    """Return an exception's cause, its context, and the members of a group."""
    # Not by attributes: a class may define `__getattribute__`, and raise in it.
    links = [_cause(error), _context(error)]
    found = [link for link in links if link is not None]
    return found + list(members(error))


def _cause(error: BaseException) -> BaseException | None:
    link: BaseException | None = BaseException.__dict__["__cause__"].__get__(error)
    return link


def _context(error: BaseException) -> BaseException | None:
    link: BaseException | None = BaseException.__dict__["__context__"].__get__(error)
    return link


def detach(error: BaseException, earlier: BaseException) -> None:
    """Remove the first attempt's exception, which is still being handled, from the context of a later one."""
    last = error
    for _ in range(_CHAIN):
        context = _context(last)
        if context is None or context is error:
            return
        if context is earlier:
            BaseException.__dict__["__context__"].__set__(last, None)
            return
        last = context


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group; none if it is not a group."""
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    inside: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
    return inside


def raise_if_interrupted(error: BaseException) -> None:
    """Raise what ends the run; do nothing if the error is the failure of an element."""
    stop = interruption(error)
    if stop is not None:
        raise stop


def describe(error: BaseException) -> str:
    """Return an exception's type and text in one line, shortened; the type alone if there is no text."""
    name = type(error).__name__
    try:
        text = one_line(error)
    except BaseException as problem:  # noqa: BLE001 - a broken __str__ must not hide which error it was
        raise_if_interrupted(problem)
        return name
    return bounded(f"{name}: {text}" if text else name, _TEXT)


def bounded(text: str, length: int) -> str:
    """Return a text without its middle if it is long."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"
