"""Standard output and standard error that cannot be written: a reader that is gone, a full disk, `>&-`."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import TextIO

_MODES = {"stdin": ("r", os.O_RDONLY), "stdout": ("w", os.O_RDONLY), "stderr": ("w", os.O_WRONLY)}
"""How to open the null device in place of a closed stream. Writing to stdout fails then, as it should."""
_PRINTERS = (str(Path(click.__file__).parent), f"{os.sep}rich{os.sep}", str(Path(__file__).parent))
"""Where output is written."""


def open_all() -> None:
    """Open the streams that the shell has closed, so that no file of a lake takes the number of one."""
    for name, (mode, flags) in _MODES.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def lost(error: BaseException) -> str | None:
    """Return why output was lost, if that is what an error says, and discard what follows.

    Returns:
        None if the error has another cause. The reason; empty if a reader is gone, who knows that.
    """
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    broken = [stream for stream in (sys.stdout, sys.stderr) if _is_broken(stream)]
    if not broken and not _comes_from_printing(error):
        return None
    for stream in broken or [sys.stdout]:
        _discard(stream)
    return "" if isinstance(error, BrokenPipeError) else error.strerror or str(error)


def flush() -> None:
    """Flush both streams, and discard what cannot be written: the interpreter would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and _is_broken(stream):
            _discard(stream)


def _is_broken(stream: TextIO) -> bool:
    """Return whether what has been written does not reach its reader."""
    try:
        stream.flush()
        descriptor = stream.fileno()
    except OSError as error:
        return not isinstance(error, UnsupportedOperation)
    except ValueError:  # closed by the program itself
        return False
    with contextlib.suppress(OSError, AttributeError):
        poll = select.poll()
        poll.register(descriptor, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    return False


def _comes_from_printing(error: BaseException) -> bool:
    """Return whether the function that raised an error writes output."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = "" if trace is None else trace.tb_frame.f_code.co_filename
    return any(part in file for part in _PRINTERS)


def _discard(stream: TextIO) -> None:
    """Point a stream at the null device."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
