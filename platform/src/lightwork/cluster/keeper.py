"""Keeps the number of a run's workers what the work needs, in a thread beside the pipeline.

What maps have to do they say themselves, as most of it is not with the scheduler yet. Of what else there is,
single calls and Dask's own collections, the scheduler knows, and it knows what workers still hold.
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
"""Seconds between two looks."""
_ANSWER_SECONDS = 10.0


class Keeper:
    """The thread, and what it is told.

    Args:
        fleet: the run's workers.
        client: the connection to the scheduler as it is now.
    """

    def __init__(self, fleet: Fleet, client: Callable[[], Connection]) -> None:
        self._fleet = fleet
        self._client = client
        self._batches: dict[str, int] = {}
        self._refused: RunFailed | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lightwork-workers", daemon=True)
        self._thread.start()

    def need(self, who: str, batches: int) -> None:
        """Take note of what a map has to do.

        Args:
            who: the map's name.
            batches: batches that run or wait, and those that what is left would make; 0 at its end.
        """
        if batches:
            self._batches[who] = batches
        else:
            self._batches.pop(who, None)

    def check(self) -> None:
        """See that the run has workers, or may still get some.

        Raises:
            RunFailed: Kubernetes has refused to make any worker for a while, as where the quota is full.
        """
        if self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """End the thread, and give all workers back."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_ANSWER_SECONDS)
        self._fleet.release()

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except RunFailed as error:
                self._refused = error
                self._client().close_quietly()  # whoever waits for a result waits no longer
                return
            except Exception:  # noqa: BLE001, S110 - no scheduler: whoever waits for a result reaches it again
                pass
            self._ended.wait(EVERY)

    def _look(self) -> None:
        batches = sum(list(self._batches.values()))
        processing = self._ask("processing")
        target = int(self._ask("adaptive_target", target_duration=f"{WORK_SECONDS} s"))
        if not processing:
            # Dask counts threads as long as it does not know how many a worker has.
            target = math.ceil(target / self._fleet.threads)
        idle = [address for address, tasks in processing.items() if not tasks]
        hosts = [address.partition("://")[2].rpartition(":")[0].strip("[]") for address in idle]
        self._fleet.need(batches, hosts, workers=target, there=len(processing))

    def _ask(self, what: str, **arguments: Any) -> Any:
        client = self._client()
        return client.sync(getattr(client.scheduler, what), callback_timeout=_ANSWER_SECONDS, **arguments)
