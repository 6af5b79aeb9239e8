"""Adjusts the number of a run's workers to its work, in a thread beside the pipeline.

Maps report their own batches, most of which have not been sent to the scheduler yet. The scheduler reports
the rest: single calls, Dask's own collections, and data that workers still hold.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.cluster import ends
from lightwork.cluster.losses import Loss, Losses
from lightwork.errors import RunFailed, one_line
from lightwork.kube.contract import WORK_SECONDS, WORKER_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.cluster.connection import Connection
    from lightwork.cluster.fleet import Fleet

EVERY = 1.0
"""Seconds between two adjustments."""
_RESPONSE_SECONDS = 10.0
"""Timeout of a request to the scheduler."""
_LOSSES_EVERY = 3.0
"""Seconds between two looks for lost workers, at most; sooner if the scheduler has lost one."""


class Keeper:
    """The thread that adjusts the number of workers, and the needs that maps report to it.

    Args:
        fleet: the run's workers.
        client: returns the current connection to the scheduler.

    Attributes:
        running: the number of workers that the scheduler has; 0 until it is known.
        losses: why workers were lost, and by which tasks.
        renewed: how often the scheduler was replaced because the tenant's authority was.
    """

    def __init__(self, fleet: Fleet, client: Callable[[], Connection]) -> None:
        self._fleet = fleet
        self._client = client
        self.running = 0
        self._batches: dict[str, int] = {}
        self._refused: RunFailed | None = None
        self.losses = Losses()
        self.renewed = 0
        self._authority = authority()
        self._looked_at = 0.0
        self._reported: float | None = None
        self._hosts: set[str] = set()
        self._late: list[Loss] = []
        self._addresses: dict[str, str] = {}
        self._removed: dict[str, deque[frozenset[str]]] = {}
        self._removed_at: dict[str, float] = {}
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
                self._fleet.check()
                self._renew()
                self._adjust()
            except RunFailed as error:
                self._refused = error
                self._client().close_quietly()  # so that nothing waits for a result any longer
                return
            except Exception:  # noqa: BLE001, S110 - the scheduler is lost: the map or call reconnects
                pass
            self._ended.wait(EVERY)

    def _renew(self) -> None:
        """Replace the scheduler if the tenant's authority was replaced: it would trust no new worker."""
        trusted = authority()
        if trusted in (b"", self._authority):
            return
        self._authority = trusted
        self.renewed += 1
        self._fleet.renew(trusted)
        self._client().close_quietly()

    def _adjust(self) -> None:
        batches = sum(list(self._batches.values()))
        processing = self._ask("processing")
        self.running = len(processing)
        target = int(self._ask("adaptive_target", target_duration=f"{WORK_SECONDS} s"))
        if not processing:
            # Without workers Dask counts threads: it does not know how many a worker has.
            target = math.ceil(target / self._fleet.threads)
        self._addresses |= {_host(address): address for address in processing}
        self._note_losses({_host(address): tasks for address, tasks in processing.items()})
        idle = [_host(address) for address, tasks in processing.items() if not tasks]
        self._fleet.need(batches, idle, workers=target, running=len(processing))

    def _note_losses(self, tasks: dict[str, Any]) -> None:
        """Look for lost workers every few seconds, and at once where the scheduler has lost one."""
        now = time.monotonic()
        if self._hosts - set(tasks) or self._late or now - self._looked_at >= _LOSSES_EVERY:
            self._looked_at = now
            late, self._late = self._late, []
            for loss in late:
                self.losses.note(loss, self._had(loss.host))
            for loss in (*self._fleet.losses(), *self._events()):
                self.losses.tell(loss)
                had = self._had(loss.host)
                if had is None:
                    self._late.append(loss)  # the scheduler may notice it a moment later
                else:
                    self.losses.note(loss, had)
        self._hosts = set(tasks)
        if any(tasks.values()):
            self.losses.working()

    def _had(self, host: str) -> frozenset[str] | None:
        """Return the tasks that the worker at an IP address had as the scheduler lost it; once for each loss.

        None if the scheduler has lost none there that has not been returned.
        """
        address = self._addresses.get(host, f"tls://{host}:{WORKER_PORT}")
        removed = self._removed.setdefault(address, deque())
        seen = self._removed_at.get(address, 0.0)
        for when, event in self._ask("events", topic=address):
            if when > seen and event.get("action") == "remove-worker" and not event.get("expected"):
                removed.append(frozenset(map(str, event["processing-tasks"])))
                self._removed_at[address] = max(when, self._removed_at.get(address, 0.0))
        return removed.popleft() if removed else None

    def _events(self) -> list[Loss]:
        """Return the worker processes that have ended, as their pods tell; the first time none."""
        events = self._ask("events", topic=ends.TOPIC)
        # The times are the scheduler's, whose clock may be another one.
        before, self._reported = self._reported, max((event[0] for event in events), default=0.0)
        if before is None:
            return []
        events = [event for event in events if event[0] > before]
        return [Loss(_host(event["worker"]), one_line(event["reason"]), own=True) for _, event in events]

    def _ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the scheduler."""
        client = self._client()
        return client.sync(getattr(client.scheduler, method), callback_timeout=_RESPONSE_SECONDS, **arguments)


def _host(address: str) -> str:
    """Return the IP address in a Dask address."""
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def authority() -> bytes:
    """Return the certificates that new connections trust, by Dask's settings; empty if they name none."""
    import dask

    try:
        return Path(dask.config.get("distributed.comm.tls.ca-file") or "").read_bytes()
    except OSError:
        return b""
