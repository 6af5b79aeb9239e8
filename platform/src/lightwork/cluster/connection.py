"""A client of Dask that is closed where it is no longer needed, and nowhere else."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from typing import Any

from distributed import Client

__all__ = ["ATTEMPTS", "Connection", "connect"]

ATTEMPTS = (*(1.0,) * 15, 2.0, 5.0, 10.0)
"""Seconds that the attempts to connect may take, each further one as long as the last."""


def connect(address: Any, patience: float) -> Connection:
    """Connect to a scheduler, which may be there only in a while.

    In attempts of seconds each, the first ones short. What is sent to a Service of Kubernetes a moment before
    its rules are everywhere is lost, and so is all that this one connection sends again, for more than two
    minutes. And within an attempt Dask asks ever more seldom: one that began long before the scheduler was
    there would see it seconds late.

    Args:
        address: the scheduler's address, or a cluster object.
        patience: seconds to try for.

    Raises:
        OSError: nobody answered in that time; it includes TimeoutError.
        TypeError, ValueError, ImportError, RuntimeError: trying again would be of no use.
    """
    deadline = time.monotonic() + patience
    for attempt in itertools.chain(ATTEMPTS, itertools.repeat(ATTEMPTS[-1])):
        seconds = min(attempt, deadline - time.monotonic())
        try:
            return Connection(address, timeout=seconds, set_as_default=True, name="lightwork")
        except OSError:
            if time.monotonic() >= deadline:
                raise
    raise AssertionError  # there is no last attempt


class Connection(Client):  # type: ignore[misc, unused-ignore]
    """A client that leaves nothing behind, also when it reached no scheduler or lost it.

    Dask's own keeps the thread of its event loop then. And it is closed when it is collected as garbage:
    where that happens while the same thread starts another client, the thread waits for itself for ever.
    """

    def start(self, **kwargs: Any) -> None:
        """Connect, as the constructor does.

        Raises:
            OSError, TimeoutError, ValueError, RuntimeError: nobody answers; the client is closed.
        """
        try:
            super().start(**kwargs)
        except BaseException:
            self.close_quietly()
            raise

    def close_quietly(self) -> None:
        """Close it, whether or not there is still a scheduler, in at most two seconds or so."""
        logger = logging.getLogger("distributed.client")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            with contextlib.suppress(Exception):
                self.close(timeout=2)
            with contextlib.suppress(Exception):
                self._loop_runner.stop()  # close() forgets it where the client was closed by itself
        finally:
            logger.setLevel(level)

    def __del__(self) -> None:
        """Do nothing: whoever has it closes it."""
