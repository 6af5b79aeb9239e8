"""How far a run in a cluster is: a log line each ten seconds, and the file that Argo reads.

`lightwork submit --wait` reads the lines at the end of the driver's log, and Argo's page shows the file.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.store.attempts import FURTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.runs.session import Session

EVERY = 10.0
"""Seconds between two lines."""
_QUIET = 60.0
"""Seconds after which a line says once more what has not changed."""
_WINDOW = 60.0
"""The last seconds that the rate is computed from."""


@contextlib.contextmanager
def telling(session: Session, every: float = EVERY) -> Iterator[None]:
    """Tell how far a run is while the `with` block runs, if it runs in a cluster.

    Args:
        session: the run's session.
        every: seconds between two lines.
    """
    if contract.ENV_RUN not in os.environ:
        yield
        return
    ended = threading.Event()
    teller = Teller(session)
    context = contextvars.copy_context()  # for the fields of the run in the lines

    def tell() -> None:
        while not ended.wait(every):
            with contextlib.suppress(Exception):  # the run does not need it
                teller.tell(time.monotonic())

    thread = threading.Thread(target=context.run, args=(tell,), name="lightwork-telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


class Teller:
    """Tells how far a run is.

    Args:
        session: the run's session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._past: deque[tuple[float, int]] = deque()
        self._told: dict[str, Any] = {}
        self._told_at = 0.0

    def tell(self, now: float) -> None:
        """Write a log line if something has changed, or for the first time in a minute; update the file.

        Args:
            now: the time in seconds.
        """
        facts = self._facts(now)
        if facts != self._told or now - self._told_at >= _QUIET:
            self._told, self._told_at = facts, now
            self._session.log.info(contract.PROGRESS, **facts)
        if file := os.environ.get(contract.ENV_ARGO_PROGRESS):
            _write(Path(file), facts["done"], facts["total"])

    def _facts(self, now: float) -> dict[str, Any]:
        counts, complete = self._session.runner.counts()
        done = counts["cached"] + counts["computed"] + counts["failed"]
        self._past.append((now, done))
        while len(self._past) > 2 and now - self._past[0][0] > _WINDOW:
            self._past.popleft()
        begin, before = self._past[0]
        rate = (done - before) / (now - begin) if now > begin else 0.0
        left = round((counts["total"] - done) / rate) if complete and rate > 0 else None
        cluster = self._session.runner.cluster_if_any
        return {
            "done": done,
            "total": counts["total"],
            "complete": complete,
            "cached": counts["cached"],
            "failed": counts["failed"],
            "per_second": round(rate, 1),
            "seconds_left": left,
            "workers": 0 if cluster is None or cluster.keeper is None else cluster.keeper.running,
            **{name: counts[name] for name in FURTHER if counts.get(name)},
        }


def _write(file: Path, done: int, total: int) -> None:
    """Write Argo's file at once: of a half written line, Argo's process in the pod dies."""
    if not 0 <= done <= total or not total:
        return  # Argo takes nothing else
    part = file.with_name(f"{file.name}.part")
    part.write_text(f"{done}/{total}\n", encoding="ascii")
    part.replace(file)
