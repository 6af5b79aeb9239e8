"""When pipelines fire next: by the tenant's file in this folder, or as the cluster says."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import TYPE_CHECKING

from lightwork.errors import LightworkError, one_line
from lightwork.ui.overview import Next

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.schedules import Schedules

_EVERY = 30.0
"""Seconds after which schedules are asked for again."""


def by_file(tenant: str) -> dict[str, Next]:
    """Return the next firings by the tenant's file; none if this folder has no such file.

    Raises:
        LightworkError: the file is wrong.
    """
    from lightwork import tenants
    from lightwork.errors import InputError
    from lightwork.tenants import firings

    try:
        path = tenants.find(tenant)
    except InputError:
        return {}
    loaded, now = tenants.load(path), dt.datetime.now(dt.UTC)
    found: dict[str, Next] = {}
    for name, entry in loaded.pipelines.items():
        if entry.schedule is None or entry.timezone is None:
            continue
        if not loaded.fires(name):
            found[name] = Next(None, "suspended", "by the tenant's file")
            continue
        moment = next(firings.after(entry.schedule, entry.timezone, now), None)
        found[name] = Next(None if moment is None else moment.timestamp(), "by the tenant's file")
    return found


def by_cluster(schedules: Schedules) -> dict[str, Next]:
    """Return the next firings as the cluster has them.

    Raises:
        LightworkError: it cannot be asked.
    """
    return {
        item.pipeline: Next(item.next.timestamp() if item.next else None, item.state, item.why)
        for item in schedules.schedules()
    }


class Firings:
    """The next firings, asked for by a thread of their own: no page waits for a cluster.

    Args:
        ask: returns them.

    Attributes:
        known: what was answered last, by pipeline; None before the first answer.
        problem: why they are not known; empty if they are.
    """

    def __init__(self, ask: Callable[[], dict[str, Next]]) -> None:
        self._ask = ask
        self._asked = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.known: dict[str, Next] | None = None
        self.problem = ""

    def refresh(self, wait: float = 0.0) -> None:
        """Ask again, unless the last answer is new or awaited.

        Args:
            wait: seconds to wait for the answer, at most.
        """
        with self._lock:
            is_due = time.monotonic() - self._asked > _EVERY or self.known is None
            if is_due and (self._thread is None or not self._thread.is_alive()):
                self._asked = time.monotonic()
                self._thread = threading.Thread(target=self._answer, name="lightwork-schedules", daemon=True)
                self._thread.start()
            thread = self._thread
        if wait and thread is not None:
            thread.join(wait)

    def _answer(self) -> None:
        try:
            self.known, self.problem = self._ask(), ""
        except LightworkError as error:
            self.known, self.problem = self.known or {}, one_line(error)
        except Exception as error:  # noqa: BLE001 - the page shows the rest all the same
            self.known, self.problem = self.known or {}, one_line(f"{type(error).__name__}: {error}")
