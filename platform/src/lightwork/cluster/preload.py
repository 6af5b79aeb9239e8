"""What a worker process on this machine does before its first task; Dask runs it by this module's name."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(_worker: Any) -> None:
    """Ignore SIGINT, which a terminal sends to all processes: the driver decides what ends.

    SIGINT is blocked up to here. A handler that does nothing takes its place, because programs that a task
    starts would inherit the block, but not the handler.
    """
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
