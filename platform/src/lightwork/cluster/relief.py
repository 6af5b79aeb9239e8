"""Workers that compute what was cancelled: found, and ended for what somebody waits for.

The scheduler takes a worker for free once its work is cancelled, although the function goes on there: after a
loop that was left early, a call that was cancelled, or a future that was dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lightwork.cluster.connection import Connection

_FIRST_LOOK = 1.0
"""Seconds without a result after which the workers are looked at."""
_LAST_LOOK = 60.0
"""Seconds between two looks, at most."""
_RESPONSE = 1.0
"""Seconds within which a worker responds; one that does not is left alone."""


class Patience:
    """Says when to look at the workers again while no result arrives: ever more seldom."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, as a result has arrived."""
        self._pause = _FIRST_LOOK
        self._end = time.monotonic() + self._pause

    @property
    def left(self) -> float:
        """The seconds until the next look."""
        return max(0.0, self._end - time.monotonic())

    def ends(self) -> bool:
        """Return whether it is time for a look; if so, begin the next, longer wait."""
        if self.left:
            return False
        self._pause = min(2 * self._pause, _LAST_LOOK)
        self._end = time.monotonic() + self._pause
        return True


def relieve(client: Connection, before_kill: Callable[[], object], grace: float, *, is_own: bool) -> bool:
    """End the worker processes that compute only what was cancelled; others replace them.

    Args:
        client: the connection to the cluster.
        before_kill: is called on these workers first, to commit what they have computed.
        grace: seconds for which they may still end by themselves.
        is_own: whether the cluster is the session's own. On another, workers that hold data are left alone.

    Returns:
        Whether there were any.
    """
    is_cancelled = _is_cancelled if is_own else _is_cancelled_without_data
    busy = _on_each(client, is_cancelled, client.nthreads())
    if busy:
        _on_each(client, before_kill, busy)
        time.sleep(grace)
        _on_each(client, _end_if_cancelled, busy)
    return bool(busy)


def _on_each(client: Connection, function: Callable[..., object], addresses: Iterable[str]) -> list[str]:
    """Run a function on workers at once; return the addresses of those where it returned something true."""

    async def on_one(address: str) -> bool:
        with contextlib.suppress(Exception):
            replies = await asyncio.wait_for(client._run(function, workers=[address]), _RESPONSE)  # noqa: SLF001
            return bool(replies[address])
        return False

    async def on_all() -> list[str]:
        names = list(addresses)
        replies = await asyncio.gather(*map(on_one, names))
        return [name for name, reply in zip(names, replies, strict=True) if reply]

    chosen: list[str] = client.sync(on_all)
    return chosen


def _is_cancelled(dask_worker: Any) -> bool:
    """Return whether a worker computes what was cancelled, and nothing else, and would be replaced."""
    return (
        dask_worker.state.nthreads == 1
        and dask_worker.nanny is not None
        and any(item.state == "cancelled" for item in dask_worker.state.tasks.values())
    )


def _is_cancelled_without_data(dask_worker: Any) -> bool:
    return not dask_worker.data and _is_cancelled(dask_worker)


def _end_if_cancelled(dask_worker: Any) -> None:
    if _is_cancelled(dask_worker):
        os.kill(os.getpid(), signal.SIGKILL)
