"""Where a run's time goes, and how long workers ran for it: a thread beside it looks once a second."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.engine.runner import Runner

EVERY = 1.0
"""Seconds between two looks at the number of workers."""


class Phases:
    """The time of one attempt.

    Args:
        runner: the session's.
        workers: the number of worker processes of a local run.
        waited: seconds between the run's submission and this attempt.
    """

    def __init__(self, runner: Runner, workers: int, waited: float = 0.0) -> None:
        self._runner = runner
        self._workers = workers
        self._waited = max(0.0, waited)
        self._begin = self._looked = time.monotonic()
        self._first: float | None = None
        self._connected: float | None = None
        self._seconds = 0.0
        self._lock = threading.Lock()

    def look(self) -> None:
        """Take in how many workers there are now."""
        now = time.monotonic()
        with self._lock:
            count = self._count()
            self._seconds += count * (now - self._looked)
            self._looked = now
            if self._runner.tally.connecting and self._connected is None:
                self._connected = now
            if count and self._first is None:
                self._first = now

    def _count(self) -> int:
        cluster = self._runner.cluster_if_any
        if cluster is None:
            return 0
        return self._workers if cluster.keeper is None else cluster.keeper.running

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase so far.

        Waiting is the time until the attempt began: in the queue, and for its pod. Then come the time until
        the scheduler was there, and until the first worker was; the rest is computing, with what the pipeline
        does besides.
        """
        now = time.monotonic()
        connecting = self._runner.tally.connecting
        for_workers = 0.0
        if self._connected is not None:
            for_workers = max(0.0, (self._first or now) - self._connected)
        computing = max(0.0, now - self._begin - connecting - for_workers)
        phases = {
            "waiting": self._waited,
            "scheduler": connecting,
            "workers": for_workers,
            "computing": computing,
        }
        return {name: round(value, 3) for name, value in phases.items()}

    def worker_seconds(self) -> list[dict[str, Any]]:
        """Return the seconds that workers ran, with their size and whether they were on spot nodes."""
        if not self._seconds:
            return []
        size, spot = size_of_workers(os.environ)
        return [{"size": size, "spot": spot, "seconds": round(self._seconds, 3)}]


def size_of_workers(environment: Mapping[str, str]) -> tuple[str, bool | None]:
    """Return the size of the workers, and whether they are on spot nodes; None if they may be on either.

    Args:
        environment: the variables of the driver.
    """
    size = environment.get(contract.ENV_WORKER_SIZE, "")
    if not size:
        return "local", False
    never_on = environment.get(contract.ENV_WORKERS_NEVER_ON, "")
    return size, {"false": True, "true": False}.get(never_on)
