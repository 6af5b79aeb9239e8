"""Results of single calls, committed in groups: a moment after they were computed, many in one segment."""

from __future__ import annotations

import contextlib
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightwork.functions.frozen import Frozen
from lightwork.lake.patience import abandoned, in_force
from lightwork.store import segments
from lightwork.store.results import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

EVERY = 0.25
"""Seconds for which a result waits at most, before its group is committed."""
_MOST = 4096
"""Results at which a group is committed at once."""
_MOST_BYTES = 8 << 20
_SMALL_BYTES = 64

T = TypeVar("T")


@dataclass(slots=True)
class Group(Generic[T]):
    """Results that are committed together.

    Attributes:
        about: what the commit needs to know.
        keys: the keys, each once, in order.
        values: the result of each, and its generation.
    """

    about: T
    values: dict[bytes, tuple[Any, int]] = field(default_factory=dict)
    nbytes: int = 0

    def parts(self) -> tuple[bytes, list[tuple[int, bytes]], list[tuple[int, int]]]:
        """Return the keys, blocks and generations to commit."""
        blocks = segments.to_blocks([value for value, _ in self.values.values()])
        return b"".join(self.values), blocks, [(1, generation) for _, generation in self.values.values()]


class Groups(Generic[T]):
    """Collects results, and commits them from a thread of its own.

    A commit that fails is tried again with the next one; its error is raised by the next `add` or `commit`.

    Args:
        write: commits a group.
    """

    def __init__(self, write: Callable[[Group[T]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._groups: dict[Hashable, Group[T]] = {}
        self._leaving: dict[Hashable, Group[T]] = {}
        self._error: BaseException | None = None
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()

    def add(self, name: Hashable, about: T, key: bytes, value: Any, generation: int) -> None:
        """Take a result, to be committed soon.

        Args:
            name: names the code version.
            about: what the commit needs to know; that of the first result of a group counts.
            key: its key.
            value: the result, plain or `Frozen`.
            generation: its generation.
        """
        size = len(value.data) if type(value) is Frozen else _SMALL_BYTES
        if isinstance(value, (bytes, str)):
            size += len(value)
        with self._lock:
            self._raise()
            group = self._groups.setdefault(name, Group(about))
            group.values[key] = (value, generation)
            group.nbytes += size
            is_full = len(group.values) >= _MOST or group.nbytes >= _MOST_BYTES
            if self._thread is None or not self._thread.is_alive():
                # In the caller's context, which has the fields of log lines, and Dask's worker.
                work = (self._run,)
                self._thread = threading.Thread(
                    target=copy_context().run, args=work, name="lightwork-commits", daemon=True
                )
                self._thread.start()
        if is_full:
            self.commit()

    def find(self, name: Hashable, key: bytes) -> Any:
        """Return a result that is still to be committed; `MISSING` if there is none of this key."""
        with self._lock:
            for groups in (self._groups, self._leaving):
                if name in groups and key in groups[name].values:
                    return groups[name].values[key][0]
        return MISSING

    def commit(self) -> None:
        """Commit what has been added until now; return when it is.

        Raises:
            LightworkError: the lake cannot be written; the results are held, and tried again later.
        """
        if in_force(1.0) == 0.0:
            self._hurry.set()  # the thread ends its wait for the lake
        with self._writing:
            self._hurry.clear()
            self._commit_all()
        with self._lock:
            self._raise()

    def _run(self) -> None:
        """Commit every so often, until there is nothing to commit."""
        abandoned.set(self._hurry)
        while True:
            time.sleep(EVERY)
            with self._writing:
                self._commit_all()
            with self._lock:
                if not self._groups or self._error is not None:
                    self._thread = None
                    return

    def _commit_all(self) -> None:
        with self._lock:
            self._leaving, self._groups = self._groups, {}
        for name, group in list(self._leaving.items()):
            try:
                self._write(group)
            except BaseException as error:  # noqa: BLE001 - raised by the next `add` or `commit`
                with self._lock:
                    self._error = error
                    later = self._groups.setdefault(name, Group(group.about))
                    later.values = group.values | later.values
                    later.nbytes += group.nbytes
            with self._lock:
                self._leaving.pop(name)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


def at_exit(commit: Callable[[], None]) -> None:
    """Commit when this process ends by itself, also if it is one of a pool's."""
    import atexit
    from multiprocessing import util

    def quietly() -> None:
        with contextlib.suppress(Exception):
            commit()

    atexit.register(quietly)
    util.Finalize(None, quietly, exitpriority=10)
