"""What a session has done so far: elements by task, code keys, failures, batches, time to its cluster."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lightwork.store.attempts import COUNTS, FURTHER
from lightwork.store.batches import Batches
from lightwork.store.failures import Failures

if TYPE_CHECKING:
    from lightwork.engine.progress import Stats


class Tally:
    """Counts of a session.

    Attributes:
        elements: totals over all ended maps and all calls: total, cached, computed, failed; `retried` and
            `timed_out` if there are any.
        tasks: the same by task.
        code_keys: the code key of each task, as it was last.
        failures: the elements that failed.
        batches: what workers have computed, and when.
        connecting: seconds until the session was connected to a scheduler.
    """

    def __init__(self) -> None:
        self.elements = dict.fromkeys(COUNTS, 0)
        self.tasks: dict[str, dict[str, int]] = {}
        self.code_keys: dict[str, str] = {}
        self.failures = Failures()
        self.batches = Batches()
        self.connecting = 0.0
        self._maps: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, task: str) -> int:
        """Note that a map of a task begins; return which one it is, from 1."""
        with self._lock:
            self._maps[task] = self._maps.get(task, 0) + 1
            return self._maps[task]

    def count(self, task: str, stats: Stats) -> None:
        """Add a map that has ended."""
        for name in COUNTS:
            self.add(task, name, getattr(stats, name))
        for name in FURTHER:
            if number := getattr(stats, name):
                self.add(task, name, number)

    def add(self, task: str, name: str, number: int = 1) -> None:
        """Add to one of a task's numbers of elements.

        Args:
            task: the task's name.
            name: `total`, `cached`, `computed`, `failed`, `retried` or `timed_out`.
            number: how many.
        """
        with self._lock:
            for counts in (self.elements, self.tasks.setdefault(task, dict.fromkeys(COUNTS, 0))):
                counts[name] = counts.get(name, 0) + number
