"""A few threads for what reads the lake, which nobody waits for when the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

THREADS = 4
WAITING = 32
"""Calls that wait for a thread, at most."""


class BusyError(Exception):
    """So many calls wait that no more are taken."""


class Pool:
    """Threads that make calls for an event loop. They are daemons, unlike those of `concurrent.futures`."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Any] = queue.Queue(WAITING)
        for number in range(THREADS):
            threading.Thread(target=self._work, name=f"lightwork-ui-{number}", daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """Return the result of a call in one of the threads.

        Raises:
            BusyError: too many calls wait.
            Exception: what the call raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._calls.put_nowait((loop, future, call))
        except queue.Full:
            raise BusyError from None
        return await future

    def _work(self) -> None:
        while True:
            loop, future, call = self._calls.get()
            if future.cancelled():
                continue
            try:
                done, value = future.set_result, call()
            except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
                done, value = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, future, done, value)


def _settle(future: asyncio.Future[Any], done: Callable[[Any], None], value: Any) -> None:
    if not future.done():
        done(value)
