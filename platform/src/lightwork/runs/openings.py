"""The sessions that are open in this process, and which of them nobody can use any more.

A session that is opened without `with` stays open until it is closed, which nobody does if a notebook's cell
runs again, or a function that opens one is called again. A later one, opened without `with` in the same
thread and used, then takes its place: with the same arguments, the earlier one is closed at once; with other
arguments, as soon as nobody refers to it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lightwork.engine.runner import Runner


class Opened(Protocol):
    """The part of a session that this module and `current` read."""

    @property
    def tenant(self) -> str:
        """The tenant whose data it is."""

    @property
    def runner(self) -> Runner:
        """The part that runs maps and calls."""

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""

    @property
    def arguments(self) -> object:
        """What it was opened with."""

    def close(self, replaced: bool = False) -> None:
        """Stop its workers; `replaced` tells that a later session took its place."""


class Opening:
    """A session that is open in this process.

    Attributes:
        in_with: whether a `with` statement closes it.
    """

    def __init__(self, session: Opened) -> None:
        self.in_with = False
        self._weak = weakref.ref(session)
        self._strong: Opened | None = session
        self._thread = weakref.ref(threading.current_thread())
        task = _asyncio_task()
        self._task = None if task is None else weakref.ref(task)

    @property
    def session(self) -> Opened | None:
        """The session; None once it is closed or gone."""
        session = self._weak()
        return None if session is None or session.closed else session

    def let_go(self) -> None:
        """Refer to the session no longer: if nobody else does, it closes itself."""
        self._strong = None

    @property
    def has_ended(self) -> bool:
        """Whether the thread that opened the session has ended."""
        thread = self._thread()
        return thread is None or not thread.is_alive()

    def is_here(self) -> bool:
        """Return whether it was opened in this thread, and not by another coroutine that still runs."""
        if self._thread() is not threading.current_thread():
            return False
        task = None if self._task is None else self._task()
        return task is None or task.done() or task is _asyncio_task()


_openings: list[Opening] = []
_lock = threading.RLock()  # closing a session may let go of another one


def add(session: Opened) -> Opening:
    """Note that a session is open; return its opening, the same one each time."""
    with _lock:
        for opening in _openings:
            if opening.session is session:
                return opening
        _openings.append(Opening(session))
        return _openings[-1]


def remove(session: Opened) -> None:
    """Note that a session is closed."""
    with _lock:
        _openings[:] = [item for item in _openings if item.session not in (None, session)]


def sessions() -> list[Opened]:
    """Return the open sessions, in the order in which they were opened."""
    with _lock:
        return [session for item in _openings if (session := item.session) is not None]


def settle() -> None:
    """Let the newest session that was opened here without `with` take the place of earlier ones.

    Those whose maps have started and not ended keep theirs: such a map may itself open others.
    """
    with _lock:
        left = [(item, session) for item in _openings if not item.in_with and (session := item.session)]
    here = [(item, session) for item, session in left if item.is_here()]
    for item, session in here[:-1]:
        if session.runner.maps:
            continue
        if session.arguments == here[-1][1].arguments:
            session.close(replaced=True)
        item.let_go()
    for item, _ in left:
        if item.has_ended:
            item.let_go()


def _asyncio_task() -> Any:
    """Return the coroutine's task that runs in this thread, if any."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None
