"""Adjusts the number of a run's workers to its work, in a thread beside the pipeline.

Maps report their own batches, most of which have not been sent to the scheduler yet. The scheduler reports
the rest: single calls, Dask's own collections, and data that workers still hold.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from lightwork.errors import RunFailed
from lightwork.kube.contract import WORK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.cluster.connection import Connection
    from lightwork.cluster.fleet import Fleet

EVERY = 1.0
"""Seconds between two adjustments."""
_RESPONSE_SECONDS = 10.0
"""Timeout of a request to the scheduler."""


class Keeper:
    """The thread that adjusts the number of workers, and the needs that maps report to it.

    Args:
        fleet: the run's workers.
        client: returns the current connection to the scheduler.

    Attributes:
        running: the number of workers that the scheduler has; 0 until it is known.
    """

    def __init__(self, fleet: Fleet, client: Callable[[], Connection]) -> None:
        self._fleet = fleet
        self._client = client
        self.running = 0
        self._batches: dict[str, int] = {}
        self._refused: RunFailed | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lightwork-workers", daemon=True)
        self._thread.start()

    def need(self, map_name: str, batches: int) -> None:
        """Note how many batches a map has to compute.

        Args:
            map_name: the name of the map.
            batches: its batches that run or wait, and those still to be made; 0 when it has ended.
        """
        if batches:
            self._batches[map_name] = batches
        else:
            self._batches.pop(map_name, None)

    def check(self) -> None:
        """Raise if the run cannot get any workers.

        Raises:
            RunFailed: Kubernetes keeps refusing to create any worker, for example because of the quota.
        """
        if self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """End the thread, and release all workers."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_RESPONSE_SECONDS)
        self._fleet.release()

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                self._adjust()
            except RunFailed as error:
                self._refused = error
                self._client().close_quietly()  # so that nothing waits for a result any longer
                return
            except Exception:  # noqa: BLE001, S110 - the scheduler is lost: the map or call reconnects
                pass
            self._ended.wait(EVERY)

    def _adjust(self) -> None:
        batches = sum(list(self._batches.values()))
        processing = self._ask("processing")
        self.running = len(processing)
        target = int(self._ask("adaptive_target", target_duration=f"{WORK_SECONDS} s"))
        if not processing:
            # Without workers Dask counts threads: it does not know how many a worker has.
            target = math.ceil(target / self._fleet.threads)
        idle = [address for address, tasks in processing.items() if not tasks]
        hosts = [address.partition("://")[2].rpartition(":")[0].strip("[]") for address in idle]
        self._fleet.need(batches, hosts, workers=target, running=len(processing))

    def _ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the scheduler."""
        client = self._client()
        return client.sync(getattr(client.scheduler, method), callback_timeout=_RESPONSE_SECONDS, **arguments)
