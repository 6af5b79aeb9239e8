"""Signs of life of the processes that use a lake, which tell what they still need from what killed ones left.

A process shows that it works on a run by files in `runs/<name>/`: `owner-*`, which is locked as long as the
process lives, also while it stands still; and one that is written anew every minute: the record of a run's
attempt, or `alive` in a session that is not a run of a pipeline. Where there are no locks, such as in S3, the
times by the lake's own clock count: a process that has written nothing for long has ended.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING

from lightwork.errors import LightworkError
from lightwork.lake.patience import hurried
from lightwork.store import earlier_records
from lightwork.store.attempts import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lightwork.lake import Lake
    from lightwork.lake.base import Item
    from lightwork.lake.locks import Lock

ALIVE = earlier_records.ALIVE
OWNER = "owner-"


class Presence:
    """A sign of life of this process for one run; several parts of a session may ask for it.

    Args:
        lake: the lake.
        run_id: the run.
        beat: writes the sign of life every minute; by default a file of its own.
    """

    def __init__(self, lake: Lake, run_id: str, beat: Callable[[], None] | None = None) -> None:
        self._lake = lake
        self._beat = beat
        self._folder = f"runs/{run_id}"
        self._beating = contextlib.ExitStack()
        self._started = 0.0
        self._lock: Lock | None = None

    def start(self) -> None:
        """Show it from now on."""
        with contextlib.suppress(LightworkError):  # the run's own writes report what is wrong with the lake
            self._lock = self._lake.lock(f"{self._folder}/{OWNER}{secrets.token_hex(8)}")
        self._started = time.monotonic()
        self._beating.enter_context(beating(self._beat or self._write))

    def _write(self) -> None:
        lake = self._lake.with_patience(0.0)  # the next beat follows
        now = dt.datetime.now(dt.UTC).isoformat()
        lake.write(f"{self._folder}/{ALIVE}", now.encode(), durable=False)

    def end(self) -> None:
        """Delete the sign."""
        self._beating.close()
        if self._lock is not None:
            self._lock.release()
        if self._beat is None and (self._lock is not None or time.monotonic() - self._started > EVERY):
            with contextlib.suppress(Exception), hurried():
                self._lake.delete([f"{self._folder}/{ALIVE}"])  # and the folder, if that was all


@contextlib.contextmanager
def beating(beat: Callable[[], None], every: float = EVERY) -> Iterator[None]:
    """Call a function now and then, in a thread, while the `with` block runs; ignore its errors.

    Args:
        beat: writes a sign of life; the run's own writes report what is wrong with the lake.
        every: seconds between two calls.
    """
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every):
            with contextlib.suppress(Exception):
                beat()

    threading.Thread(target=work, name="lightwork-heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()  # do not wait for a write that hangs


_present: dict[tuple[Lake, str], tuple[Presence, int]] = {}
_guard = threading.Lock()


def _after_fork() -> None:
    """Leave the signs of a forked process to its parent."""
    global _guard
    _guard = threading.Lock()
    _present.clear()


os.register_at_fork(after_in_child=_after_fork)


def enter(lake: Lake, run_id: str, beat: Callable[[], None] | None = None) -> None:
    """Show that this process works on a run; `leave` ends it.

    Args:
        lake: the lake.
        run_id: the run.
        beat: see `Presence`; the first one counts.
    """
    if not run_id:
        return
    with _guard:
        presence, users = _present.get((lake, run_id), (None, 0))
        if presence is None:
            presence = Presence(lake, run_id, beat)
            presence.start()
        _present[lake, run_id] = presence, users + 1


def leave(lake: Lake, run_id: str) -> None:
    """End what one `enter` has begun."""
    with _guard:
        presence, users = _present.get((lake, run_id), (None, 0))
        if presence is None:
            return
        if users > 1:
            _present[lake, run_id] = presence, users - 1
            return
        del _present[lake, run_id]
    presence.end()


@contextlib.contextmanager
def present(lake: Lake, run_id: str, beat: Callable[[], None] | None = None) -> Iterator[None]:
    """Show that this process works on a run while the `with` block runs."""
    enter(lake, run_id, beat)
    try:
        yield
    finally:
        leave(lake, run_id)


def is_live(lake: Lake, items: list[Item], now: float, silent: float) -> bool:
    """Return whether a process may still work on a run.

    Args:
        lake: the lake.
        items: what the run's folder holds.
        now: the time by the lake's clock.
        silent: seconds without a sign of life after which a process has ended, where no lock shows it.
    """
    owners = [item.path for item in items if item.path.rpartition("/")[2].startswith(OWNER)]
    states = {lake.lock_state(path) for path in owners}
    if "held" in states:
        return True
    if states == {"free"}:
        return False
    return now - max((item.modified for item in items), default=0.0) <= silent
