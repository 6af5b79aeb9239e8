"""A Dask client that connects with retries, and closes only when it is told to."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any

from distributed import Client
from distributed.client import _set_global_client
from distributed.comm.core import FatalCommClosedError
from distributed.spans import SpanMetadata

from lightwork.logs import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ATTEMPTS", "Connection", "connect", "is_untrusted"]

ATTEMPTS = (*(1.0,) * 15, 2.0, 5.0, 10.0)
"""Timeouts in seconds of the attempts to connect; the last one applies to all further attempts."""

_LEAST = 0.1
"""The timeout in seconds of an attempt that has no time left."""
_PAUSE = 1.0
"""Seconds between attempts that fail at once."""
_SPAN = SpanMetadata(collections=[{"type": "Future"}])
"""What Dask's dashboard says of a call."""


def connect(address: Any, timeout: float, untrusted: Callable[[], object] = list) -> Connection:
    """Connect to a scheduler that may still be starting.

    Retries with short timeouts: packets sent before kube-proxy has programmed the Service are dropped, and so
    is everything that the same connection resends, for more than two minutes. Dask also backs off within an
    attempt, so a long one notices a new scheduler seconds late.

    Args:
        address: the scheduler's address, or a cluster object.
        timeout: seconds to try for.
        untrusted: is called after each attempt at which one does not trust the other's certificate.

    Raises:
        OSError: no scheduler responded in time; includes TimeoutError.
        TypeError, ValueError, ImportError, RuntimeError: the address or the settings are wrong; not retried.
    """
    deadline = time.monotonic() + timeout
    for attempt in itertools.chain(ATTEMPTS, itertools.repeat(ATTEMPTS[-1])):
        # Dask cannot read a negative time.
        seconds = max(_LEAST, min(attempt, deadline - time.monotonic()))
        try:
            return Connection(address, timeout=seconds, set_as_default=False, name="lightwork")
        except OSError as error:
            if is_untrusted(error):
                untrusted()
                time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
            if time.monotonic() >= deadline:
                raise
    raise AssertionError  # unreachable: the attempts are endless


def is_untrusted(error: BaseException | None) -> bool:
    """Return whether an error says that one end does not trust the other's certificate."""
    return isinstance(error, FatalCommClosedError)


class Connection(Client):  # type: ignore[misc, unused-ignore]
    """A client that leaves nothing behind, even if it never reached a scheduler or lost it.

    Dask's own client then leaks the thread of its event loop. It also closes itself when it is garbage
    collected; the thread deadlocks if that happens while it is starting another client.
    """

    def start(self, **kwargs: Any) -> None:
        """Connect; the constructor calls this.

        Raises:
            OSError, TimeoutError, ValueError, RuntimeError: the connection failed; the client is closed.
        """
        try:
            super().start(**kwargs)
        except BaseException:
            self.close_quietly()
            raise
        # As `set_as_default` does, but without setting the scheduler of the whole process: each thread's
        # session has its own.
        _set_global_client(self)

    def submit_queued(self, function: Callable[..., Any], *arguments: Any, key: str, priority: float) -> Any:
        """Submit a call that waits at the scheduler until a worker is free, without futures as arguments.

        Dask gives the first few calls of a kind to workers at once, also to busy ones, and does not move
        short ones to others later: they would wait behind a call of hours. It always queues "data producers".
        """
        try:
            from dask._expr import LLGExpr
            from dask._task_spec import Task

            task = Task(key, function, *arguments, _data_producer=True)
            graph = LLGExpr({key: task}, _determ_token=key)
            futures = self._graph_to_futures(
                graph, [key], internal_priority={key: 0}, user_priority=priority, span_metadata=_SPAN
            )
        except (ImportError, TypeError):  # another version of Dask: these are not public
            return self.submit(function, *arguments, key=key, pure=False, priority=priority)
        return futures[key]

    def close_quietly(self) -> None:
        """Close the client within about two seconds, even if the scheduler is gone; log nothing."""
        with _silenced:
            with contextlib.suppress(Exception):
                self.close(timeout=2)
            with contextlib.suppress(Exception):
                self._loop_runner.stop()  # close() does not stop it if the client closed itself

    def __del__(self) -> None:
        """Do nothing: the owner closes the client."""


def _silence() -> Callable[[], None]:
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    return lambda: logger.setLevel(level)


_silenced = Shared(_silence)
"""Dask's client logs nothing while any thread closes one."""
