"""The current session: a context variable, so that no thread or coroutine sees another one's session."""

from __future__ import annotations

import contextlib
import threading
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from lightwork import logs
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.engine.runner import Runner


class Opened(Protocol):
    """The part of a session that this module reads."""

    @property
    def tenant(self) -> str:
        """The tenant whose data it is."""

    @property
    def runner(self) -> Runner:
        """The part that runs maps and calls."""

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A session that was entered in this context.

    Attributes:
        session: the session.
        before: the run's fields of log lines that it replaced.
        pinned: whether it counts even if it is closed, because its own work runs here.
    """

    session: Opened
    before: Mapping[str, object]
    pinned: bool = False

    @property
    def usable(self) -> bool:
        """Whether it can be the current session."""
        return self.pinned or not self.session.closed


_entries: ContextVar[tuple[_Entry, ...]] = ContextVar("lightwork_sessions", default=())
_open: list[Opened] = []
"""The sessions that are open in this process, in any context."""
_lock = threading.Lock()


def enter(session: Opened) -> None:
    """Make a session the current one in this context."""
    _prune()
    before = logs.set_run(session.runner.context)
    _entries.set((*_entries.get(), _Entry(session, before)))
    with _lock:
        if session not in _open:
            _open.append(session)


def is_innermost(session: Opened) -> bool:
    """Return whether a session is the one that this context entered last."""
    entries = _entries.get()
    return bool(entries) and entries[-1].session is session


def leave(session: Opened) -> None:
    """Forget a session that has been closed; contexts that entered it elsewhere refuse to use it."""
    with _lock:
        if session in _open:
            _open.remove(session)
    _prune()


def current() -> Opened | None:
    """Return the innermost open session of this context; without one, the only one open in the process.

    Returns:
        The session; None if no session is open in the process.

    Raises:
        InputError: this context's session is closed, or it has none and several are open in the process.
    """
    entries = _entries.get()
    if entries:
        if entries[-1].usable:
            return entries[-1].session
        if any(entry.usable for entry in entries):
            _prune()
            return _entries.get()[-1].session
        raise InputError(
            "the session of this thread or coroutine is closed; "
            "open another one in it: with lightwork.connect() as session: ..."
        )
    with _lock:
        opened = tuple(_open)
    if len(opened) > 1:
        tenants = ", ".join(sorted({session.tenant for session in opened}))
        raise InputError(
            f"{len(opened)} sessions are open (tenants: {tenants}), none of them in this thread or cell; "
            "open one in it: with lightwork.connect() as session: ..., "
            "or start the thread's function with contextvars.copy_context().run"
        )
    return opened[0] if opened else None


def _prune() -> None:
    """Remove closed sessions from this context, in whatever order they were closed."""
    entries = _entries.get()
    if all(entry.usable for entry in entries):
        return
    kept: list[_Entry] = []
    before: Mapping[str, object] | None = None
    for entry in entries:
        if not entry.usable:
            before = entry.before if before is None else before
        else:
            kept.append(entry if before is None else replace(entry, before=before))
            before = None
    if before is not None:
        logs.set_run(before)
    _entries.set(tuple(kept))


Token = tuple[tuple[_Entry, ...], "Mapping[str, object]"]


class Inside:
    """Makes a session current for each step of its work, whichever context asks for the step.

    Sessions that a step itself enters, as a generator with a `with` statement does, stay entered for the
    following steps.

    Attributes:
        entered: the sessions that the last step left entered; None before the first step.
    """

    __slots__ = ("_session", "entered")
    here = _entries.get
    """Returns the sessions that are entered in this context."""

    def __init__(self, session: Opened) -> None:
        self._session = session
        self.entered: tuple[_Entry, ...] | None = None

    def enter(self) -> Token | None:
        """Start a step.

        Returns:
            What `leave` restores; None if the session is the current one anyway.
        """
        here = _entries.get()
        if self.entered is None and here and here[-1].session is self._session and here[-1].usable:
            self.entered = here
        if here is self.entered:
            return None
        steps = self.entered or (_Entry(self._session, {}, pinned=True),)
        if not any(entry.pinned for entry in steps):
            steps = tuple(
                replace(entry, pinned=True) if entry.session is self._session else entry for entry in steps
            )
        _entries.set(steps)
        return here, logs.set_run(steps[-1].session.runner.context)

    def leave(self, token: Token | None) -> None:
        """End a step that `enter` started."""
        self.entered = _entries.get()
        if token is not None:
            _entries.set(token[0])
            logs.set_run(token[1])


@contextlib.contextmanager
def inside(session: Opened) -> Iterator[None]:
    """Make a session current while the context is open."""
    steps = Inside(session)
    token = steps.enter()
    try:
        yield
    finally:
        steps.leave(token)
