"""The log of a run outside a cluster, kept in the lake: `runs/<name>/log.jsonl`, one JSON event a line.

In a cluster the logs of pods are shipped and archived, and no driver keeps its own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import threading
import traceback
from typing import TYPE_CHECKING

from lightwork import logs
from lightwork.errors import ElementError, LakeAway
from lightwork.functions.raised import describe, is_quit
from lightwork.lake.local import LocalLake
from lightwork.lake.patience import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.lake import Lake

MOST = 50_000_000
"""Bytes of a log that are kept in a folder."""
MOST_ELSEWHERE = 5_000_000
"""Bytes of a log that are kept in any other lake: each refresh sends all of it."""
_TRACEBACK = 50_000
"""Characters of a traceback that are kept."""


def _of_element(error: BaseException) -> str:
    """Return the traceback of a failed element's own code; empty for another error, or if it has none.

    Around it are frames of the engine alone, as in the log of a driver in a cluster.
    """
    return error.traceback if isinstance(error, ElementError) else ""


def path(run: str) -> str:
    """Return the path of a run's log."""
    return f"runs/{run}/log.jsonl"


class KeptLog:
    """The log of one run, which is appended to in a folder, and written anew now and then in any other lake.

    Args:
        lake: the lake.
        run: the run's name.
    """

    def __init__(self, lake: Lake, run: str) -> None:
        self._lake = lake
        self._path = path(run)
        self._run = run
        self._lock = threading.RLock()
        self._size = 0
        self._lines: list[bytes] = []
        self._written = 0
        self._file: int | None = None
        self._over = False

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what is logged while the `with` block runs."""
        with logs.keeping(self._run, self._keep):
            quick = False
            try:
                yield
            except BaseException as error:
                quick = isinstance(error, KeyboardInterrupt | LakeAway) or is_quit(error)
                raise
            finally:
                # The run's own writes report what is wrong with the lake.
                with hurried(quick), contextlib.suppress(Exception):
                    self.refresh()
                if self._file is not None:
                    os.close(self._file)
                    self._file, self._over = None, True

    def note(self, error: BaseException) -> None:
        """Keep the error that ended the run, which the program shows in its own way."""
        event = {"timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"), "level": "error"}
        trace = (_of_element(error) or "".join(traceback.format_exception(error)))[-_TRACEBACK:]
        of_run = {"tenant": self._lake.tenant, "run": self._run, "logger": "lightwork.run"}
        self._keep(json.dumps({**event, "event": describe(error), **of_run, "exception": trace}))

    def refresh(self) -> None:
        """Write what is not in the lake yet."""
        with self._lock:
            lines, self._written = list(self._lines), len(self._lines)
        if lines:
            self._lake.write(self._path, lines, durable=False)

    def _keep(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        with self._lock:
            if self._over:
                return
            most = MOST if isinstance(self._lake, LocalLake) else MOST_ELSEWHERE
            self._size += len(data)
            if self._size > most:
                self._over = True
                data = (
                    json.dumps({"event": f"the kept log ends here: it has {most:,} bytes"}).encode() + b"\n"
                )
            try:
                self._append(data)
            except OSError as error:
                self._over = True
                logs.get_logger("lightwork").warning(f"the run's log is not kept any longer: {error}")

    def _append(self, data: bytes) -> None:
        if not isinstance(self._lake, LocalLake):
            self._lines.append(data)
            return
        if self._file is None:
            file = self._lake.folder / self._path
            file.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.open(file, flags, 0o666)
        os.write(self._file, data)
