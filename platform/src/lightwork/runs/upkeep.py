"""The collection of what nobody needs in a lake, in a thread beside a run."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from lightwork import logs
from lightwork.errors import InputError, one_line
from lightwork.lake.patience import LOOK_SECONDS, abandoned

if TYPE_CHECKING:
    from lightwork.lake import Lake

_LONG = 5.0
"""Seconds after which a session is worth a collection, unless it runs a pipeline."""
_PATIENCE = 0.2
"""Seconds for which the end of a run waits for a collection that is under way."""


class Upkeep:
    """Collects once a day, and never makes a run fail or wait for long.

    Args:
        lake: the lake.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake.with_patience(min(LOOK_SECONDS, lake.patience))  # it can be left undone
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._timer: threading.Timer | None = None

    def start_if_long(self) -> None:
        """Begin if this has not ended in a few seconds."""
        if self._timer is None:
            self._timer = threading.Timer(_LONG, self.start)
            self._timer.daemon = True
            self._timer.start()

    def start(self) -> None:
        """Begin."""
        with self._guard:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, name="lightwork-upkeep", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """End it within a moment; what is left to do is for another run."""
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._stop.set()

    def _work(self) -> None:
        abandoned.set(self._stop)  # the end of the run ends a wait for the lake
        log = logs.get_logger("lightwork.upkeep")
        try:
            from lightwork.settings import resolve_history
            from lightwork.store.collector import Policy
            from lightwork.store.upkeep import keep_up

            kept = resolve_history()
            policy = Policy(kept.seconds, kept.runs, kept.artifacts)
            collected = keep_up(self._lake, policy, self._stop, lambda: self._pack_history(kept.seconds))
        except InputError as error:
            log.warning(f"the lake is not cleaned up: {one_line(error)}")
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the run does not need it
            log.debug(f"the lake was not cleaned up: {one_line(error)}")
            return
        if collected is not None and collected.files:
            log.info(f"deleted from the lake what nobody needs: {collected}")

    def _pack_history(self, keep: float | None) -> None:
        """Pack the history of the lake's runs; renew what is Parquet if the library for that is here."""
        from lightwork.history import twin
        from lightwork.history.collect import collect
        from lightwork.store import latest

        packed = collect(self._lake, keep, look=True, stop=self._stop.is_set)
        if "pyarrow" in sys.modules and not self._stop.is_set():  # it takes a second to import
            twin.write(self._lake, packed.segments)
            latest.renew_every(self._lake, self._stop.is_set)
