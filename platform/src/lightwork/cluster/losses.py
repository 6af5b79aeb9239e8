"""Workers of a run in Kubernetes that were lost: why, and which tasks have ended them.

Dask counts how often a task's worker was lost, but not why: a node that is drained counts like a task that
fills its worker's disk. Here only what the task itself may have done counts, and few times suffice.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import RunFailed
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

TRIES = 3
"""Workers that a task may end by itself before it is blamed."""
UNHANDLED = 20.0
"""Seconds after which a blamed task is not one of a map or a call, which fail it long before."""
_VAIN = 5
"""Workers that may end in a row before they have connected, where no other works, before the run fails."""
_VAIN_SECONDS = 120.0
"""Seconds over which they must have ended: the kubelet takes a minute to hand the driver a renewed Secret."""


class Loss(NamedTuple):
    """A worker that was lost.

    Attributes:
        host: the IP address of its pod.
        reason: why, in words.
        own: whether what it ran may be at fault; not a node that is gone, or a pod that somebody deleted.
    """

    host: str
    reason: str
    own: bool


class Losses:
    """The losses of one run.

    Attributes:
        reasons: why the last worker at an address was lost, by the IP address of its pod.
        blamed: the tasks that have ended too many workers: how many, and why the last one was lost.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.blamed: dict[str, tuple[int, str]] = {}
        self._counts: Counter[str] = Counter()
        self._blamed_at: dict[str, float] = {}
        self._vain = 0
        self._vain_since = 0.0

    def tell(self, loss: Loss) -> None:
        """Log a loss, and keep its reason."""
        self.reasons[loss.host] = loss.reason
        get_logger("lightwork").warning(f"lost a worker: {loss.reason}", host=loss.host)

    def working(self) -> None:
        """Note that some worker has work."""
        self._vain = 0

    def note(self, loss: Loss, tasks: Iterable[str] | None) -> None:
        """Count a loss against the tasks that the worker had.

        Args:
            loss: the loss.
            tasks: the keys of its tasks; None if the worker had not connected to the scheduler.

        Raises:
            RunFailed: workers end again and again, as they start or by a task that nobody else blames.
        """
        if not loss.own:
            return
        self._vain = self._vain + 1 if tasks is None else 0
        if self._vain == 1:
            self._vain_since = time.monotonic()
        if self._vain >= _VAIN and time.monotonic() - self._vain_since >= _VAIN_SECONDS:
            raise RunFailed(f"the run's workers end as soon as they start: {loss.reason}")
        for key in tasks or ():
            self._counts[key] += 1
            if self._counts[key] >= TRIES:
                self.blamed[key] = self._counts[key], loss.reason
                self._blamed_at.setdefault(key, time.monotonic())
            if self._counts[key] >= 2 * TRIES and time.monotonic() - self._blamed_at[key] >= UNHANDLED:
                raise RunFailed(f"task {key} ended its worker {self._counts[key]} times: {loss.reason}")
