"""Worker processes on this machine that Dask has given up: they are started again, with bounded tries.

Dask's nanny starts a process again that was killed. It gives up if the process cannot be started, or has
closed itself, and starts one that ends at once again without end. Nobody else replaces the nanny.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from distributed import Nanny
from distributed.core import Status

from lightwork.cluster import ends
from lightwork.errors import one_line
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TRIES = 6
"""Starts of one worker that may fail in a row before a run without any worker fails."""
EVERY = 1.0
"""Seconds between two looks at the nannies."""
NO_WORKER_SECONDS = 180.0
"""Seconds without any worker after which a run fails."""
_FIRST_PAUSE = 0.5
"""Seconds before the second try; twice as many before each further one."""
_LONGEST_PAUSE = 16.0
_LOOKS = 5
"""Looks in a row at which a nanny has no process before it is replaced."""


class Revival:
    """What the nannies of one cluster have in common.

    Attributes:
        ends: why worker processes have ended, by the worker's address.
        failure: why the cluster gets no workers any more; empty as long as it does.
        on_failure: is called once, in a thread of its own, when `failure` is set.
    """

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.failure = ""
        self.on_failure: Callable[[], object] = lambda: None
        self.closing = asyncio.Event()
        self._failed: Counter[object] = Counter()
        self._reason = "they do not respond"
        self._idle: Counter[object] = Counter()
        self._alive_at = time.monotonic()

    async def pause(self, name: object) -> None:
        """Wait before a worker is started, the longer the more often that has failed."""
        if failed := self._failed[name]:
            with contextlib.suppress(TimeoutError):
                seconds = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**failed)
                await asyncio.wait_for(self.closing.wait(), seconds)

    def ended(self, address: str, reason: str) -> None:
        """Note why a worker process has ended."""
        self.ends[address] = self._reason = reason

    def started(self, name: object, problem: str | None = None) -> None:
        """Note that a worker was started, or why it was not."""
        if problem is None:
            del self._failed[name]
            return
        self._failed[name] += 1
        self._reason = problem or self._reason
        if not self.closing.is_set():
            get_logger("lightwork").debug("a worker process could not be started: %s", self._reason)

    def look(self, cluster: Any) -> None:
        """Note whether a cluster has workers, or will never have any."""
        now = time.monotonic()
        if cluster.scheduler.workers or not cluster.worker_spec:
            self._alive_at, self.failure = now, ""
        elif max(self._failed.values(), default=0) >= TRIES or now - self._alive_at > NO_WORKER_SECONDS:
            self._fail()

    def given_up(self, cluster: Any) -> list[LocalNanny]:
        """Take the nannies that Dask has given up from a cluster, and return them."""
        nannies = [(name, nanny) for name, nanny in cluster.workers.items() if self._is_given_up(name, nanny)]
        for name, _ in nannies:
            del cluster.workers[name]
        return [nanny for _, nanny in nannies]

    def _is_given_up(self, name: object, nanny: LocalNanny) -> bool:
        if nanny.status in (Status.closed, Status.failed):
            return True
        idle = not nanny.is_starting and nanny.status == Status.running and not nanny.is_alive()
        self._idle[name] = self._idle[name] + 1 if idle else 0
        return self._idle[name] > _LOOKS

    def _fail(self) -> None:
        if not self.failure:
            self.failure = (
                f"no worker process can be started on this machine any more: {self._reason}; "
                "finished results are kept"
            )
            threading.Thread(target=self.on_failure, name="lightwork-no-workers", daemon=True).start()


class LocalNanny(Nanny):  # type: ignore[misc, unused-ignore]
    """A nanny that notes how its processes end, and pauses between starts that fail.

    Args:
        revival: where it notes that.
        threads: the threads of numerical libraries in its process; None as the environment says, else one.

    Attributes:
        is_starting: whether it starts a process, or is about to.
    """

    def __init__(self, *args: Any, revival: Revival, threads: int | None = None, **kwargs: Any) -> None:
        self.is_starting = False
        self._revival = revival
        try:
            super().__init__(*args, **kwargs)
        except Exception as error:  # it makes a folder
            revival.started(kwargs.get("name"), _told(error))
            raise
        if threads is not None:
            variables = dict.fromkeys(_THREADS, str(threads))
            for environment in (vars(self)["pre_spawn_env"], vars(self)["env"]):
                environment.update(variables)
        ends.watch(self, revival.ended)

    async def instantiate(self) -> Status:
        """Start a worker process."""
        if self.is_starting:  # Dask waits for that too
            return await super().instantiate()  # type: ignore[no-any-return, unused-ignore]
        self.is_starting = True
        try:
            await self._revival.pause(self.name)
            status: Status = await super().instantiate()
        except Exception as error:
            self._revival.started(self.name, _told(error))
            raise
        else:
            self._revival.started(self.name, None if status == Status.running else "")
            return status
        finally:
            self.is_starting = False


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
