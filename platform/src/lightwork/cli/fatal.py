"""Errors that end a process of a run's pod: one event each in its log, not the lines of a traceback."""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, TextIO

from lightwork import logs
from lightwork.errors import one_line

if TYPE_CHECKING:
    from types import TracebackType


def is_event() -> bool:
    """Return whether errors are events of a log: in a run's pods."""
    return bool(logs.place())


def tell(text: str, details: str = "") -> None:
    """Write the error that ends this process.

    Args:
        text: the error in one line.
        details: its traceback; empty if the text says it all.
    """
    logs.write_event(text, "critical", **_exception(details))


def catch_all() -> None:
    """In a run's pod, turn what Python itself prints about errors and warnings into one event each.

    Hooks that the program has set itself are kept.
    """
    if not is_event():
        return
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _ignored
    warnings.showwarning = _warned


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    tell(one_line(f"{kind.__name__}: {error}"), _text(kind, error, trace))


def _in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit:
        return
    name = failed.thread.name if failed.thread else "a thread"
    event = one_line(f"{name} ended with {failed.exc_type.__name__}: {failed.exc_value}")
    logs.write_event(
        event, "error", **_exception(_text(failed.exc_type, failed.exc_value, failed.exc_traceback))
    )


def _ignored(ignored: sys.UnraisableHookArgs) -> None:
    event = one_line(
        f"{ignored.err_msg or 'Exception ignored in'}: {ignored.object!r}: {ignored.exc_type.__name__}"
    )
    details = _text(ignored.exc_type, ignored.exc_value, ignored.exc_traceback)
    logs.write_event(event, "warning", **_exception(details))


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
    line: str | None = None,  # noqa: ARG001
) -> None:
    logs.write_event(one_line(f"{category.__name__}: {message}"), "warning", where=f"{filename}:{lineno}")


def _text(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    return "".join(traceback.format_exception(kind, error, trace))


def _exception(details: str) -> dict[str, str]:
    return {"exception": details.rstrip()} if details.strip() else {}
