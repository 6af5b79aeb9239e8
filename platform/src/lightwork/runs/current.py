"""The current session: a context variable, so that no thread or coroutine sees another one's session."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lightwork import logs
from lightwork.errors import InputError
from lightwork.runs import openings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.runs.openings import Opened, Opening


@dataclass(frozen=True, slots=True)
class _Entry:
    """A session that was entered in this context.

    Attributes:
        opening: where it was opened; None if only its work runs here.
        before: the run's fields of log lines that it replaced.
        pinned: the session if it counts even if it is closed, because its own work runs here.
    """

    opening: Opening | None
    before: Mapping[str, object]
    pinned: Opened | None = None

    @property
    def session(self) -> Opened | None:
        """The session if it can be the current one; None if it is closed or gone."""
        return self.pinned or (None if self.opening is None else self.opening.session)


_entries: ContextVar[tuple[_Entry, ...]] = ContextVar("lightwork_sessions", default=())


def enter(session: Opened) -> Opening:
    """Make a session the current one in this context; return where it was opened."""
    _prune()
    before = logs.set_run(session.runner.context)
    opening = openings.add(session)
    _entries.set((*_entries.get(), _Entry(opening, before)))
    return opening


def is_innermost(session: Opened) -> bool:
    """Return whether a session is the one that this context entered last."""
    entries = _entries.get()
    return bool(entries) and entries[-1].session is session


def leave(session: Opened) -> None:
    """Forget a session that has been closed; contexts that entered it elsewhere refuse to use it."""
    openings.remove(session)
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
        for entry in reversed(entries):
            if (session := entry.session) is not None:
                if entry is not entries[-1]:
                    _prune()
                return session
        raise InputError(
            "the session of this thread or coroutine is closed; "
            "open another one in it: with lightwork.connect() as session: ..."
        )
    if len(openings.sessions()) > 1:
        openings.settle()  # nothing here may refer to them meanwhile
    opened = openings.sessions()
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
    if all(entry.session is not None for entry in entries):
        return
    kept: list[_Entry] = []
    before: Mapping[str, object] | None = None
    for entry in entries:
        if entry.session is None:
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
        if self.entered is None and here and here[-1].session is self._session:
            self.entered = here
        if here is self.entered:
            return None
        steps = self.entered or (_Entry(None, {}, pinned=self._session),)
        if not any(entry.pinned for entry in steps):
            steps = tuple(
                replace(entry, pinned=self._session) if entry.session is self._session else entry
                for entry in steps
            )
        _entries.set(steps)
        innermost = steps[-1].session or self._session
        return here, logs.set_run(innermost.runner.context)

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
