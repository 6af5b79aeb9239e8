"""How long a call waits for a lake that is away: one policy for folders and S3, in every process.

A call that fails because the lake is away is repeated, after pauses that double and vary at random, until the
lake has been away for as long as its user waits. What the lake refuses for good is raised at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, TypeVar

from lightwork.errors import LakeAway
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

RUN_SECONDS = 120.0
"""How long runs wait."""
LOOK_SECONDS = 10.0
"""How long commands wait that only look."""

_SAY_AFTER = 2.0
"""Seconds without a response after which a line says what is waited for."""
_BYTES_A_SECOND = 4 << 20
"""Data to write may take this much longer before the lake counts as silent."""
_LONGEST_SILENCE = 30.0
"""Seconds without a response after which a connection to a server is given up."""
_SHORTEST_SILENCE = 2.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_ONE_WAIT = 5.0
"""Seconds after the end of a wait in which further calls do not try: they belong to the same end of a run."""
_LOOK_EVERY = 0.25
"""Seconds between two looks at the running calls."""
_FIELD = "waits_for"
"""The field of a log line about a wait; it holds the lake's address."""

_hurried: ContextVar[bool] = ContextVar("lightwork_lake_hurried", default=False)
abandoned: ContextVar[threading.Event | None] = ContextVar("lightwork_lake_abandoned", default=None)
"""Set once nobody needs this context's calls any more, whose waits then end."""


class _Call:
    """A call to a lake that has not ended.

    Attributes:
        lake: the lake's address.
        seconds: how long the call may wait.
        since: when it started; after a failure, since when the lake is away.
        late: when a line says what is waited for.
        reason: why its last attempt failed; empty if none has failed.
        context: the fields of its log lines.
    """

    __slots__ = ("context", "lake", "late", "reason", "seconds", "since")

    def __init__(self, lake: str, seconds: float, size: int) -> None:
        self.lake = lake
        self.seconds = seconds
        self.since = time.monotonic()
        self.late = self.since + _SAY_AFTER + size / _BYTES_A_SECOND
        self.reason = ""
        self.context = copy_context()


class _State:
    """What the calls of this process have in common."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: dict[int, _Call] = {}  # by thread
        self.said: dict[str, float] = {}  # by lake that a line says is waited for: since when
        # By lake: when a wait ended without it, how long that call would have waited, and why it ended.
        self.ended: dict[str, tuple[float, float, str]] = {}
        self.watched = False  # whether a thread looks at the calls


_state = _State()


def _after_fork() -> None:
    """Start anew in a forked process, which has no other threads."""
    global _state
    _state = _State()


os.register_at_fork(after_in_child=_after_fork)


def silence(patience: float) -> float:
    """Return the seconds without a response after which a connection is given up, for a call's patience."""
    if _hurried.get():
        return _SHORTEST_SILENCE
    # A call that is not repeated may yet have a slow response.
    return min(_LONGEST_SILENCE, max(_SHORTEST_SILENCE, patience or LOOK_SECONDS))


def in_force(patience: float) -> float:
    """Return how long a call waits now: as long as its lake says, or not at all inside `hurried`."""
    return 0.0 if _hurried.get() else patience


@contextlib.contextmanager
def hurried(yes: bool = True) -> Iterator[None]:
    """Wait for no lake inside the block: the user has ended the run.

    Args:
        yes: False changes nothing.
    """
    token = _hurried.set(yes or _hurried.get())
    try:
        yield
    finally:
        _hurried.reset(token)


def patiently(lake: str, patience: float, attempt: Callable[[], T], *, size: int = 0) -> T:
    """Call a function again as long as it raises LakeAway, until the lake has been away for too long.

    Args:
        lake: the lake's address.
        patience: how long to wait for it, in seconds.
        attempt: the function; it may be called any number of times.
        size: bytes that it writes, which take their time.

    Raises:
        LakeAway: the lake stayed away; the text says for how long.
    """
    seconds = in_force(patience)
    state, thread = _state, threading.get_ident()
    if state.ended:
        _raise_if_ended(state, lake, seconds)
    outer = state.calls.get(thread)  # of which this call is a part
    call = state.calls[thread] = _Call(lake, seconds, size)
    if not state.watched:
        _watch(state)
    try:
        result = _repeated(call, attempt)
    except LakeAway as error:
        if call.seconds:
            state.ended[lake] = time.monotonic(), seconds, str(error)
        raise
    except Exception:
        _note_response(state, call)  # a refusal is a response too
        raise
    except BaseException:
        if call.reason or time.monotonic() > call.late:
            state.ended[lake] = (
                time.monotonic(),
                float("inf"),
                f"the wait for the lake {lake} was interrupted",
            )
        raise
    finally:
        if outer is None:
            state.calls.pop(thread, None)
        else:
            state.calls[thread] = outer
    if state.said:
        _note_response(state, call)
    return result


def _repeated(call: _Call, attempt: Callable[[], T]) -> T:
    pause = _FIRST_PAUSE
    while True:
        try:
            return attempt()
        except LakeAway as error:
            now = time.monotonic()
            if not call.reason:
                # An attempt may have taken long before the lake fell silent.
                call.since = max(call.since, now - silence(call.seconds))
                call.late = min(call.late, max(now, call.since + _SAY_AFTER))
            call.reason = str(error)
            waited = now - call.since
            if waited >= call.seconds:
                hint = f"; gave up after {waited:.0f} s" if call.seconds else ""
                raise LakeAway(f"{error}{hint}") from error
            _pause(call, min(call.seconds - waited, pause * random.uniform(0.5, 1.0)))  # noqa: S311
            pause = min(_LONGEST_PAUSE, 2 * pause)


def _pause(call: _Call, seconds: float) -> None:
    """Wait before the next attempt, or until nobody needs the call any more."""
    event = abandoned.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        call.seconds = 0.0
        raise LakeAway(call.reason)


def note_progress() -> None:
    """Note that the lake is sending data to this thread's call, which is therefore not late."""
    if (call := _state.calls.get(threading.get_ident())) is not None:
        call.late = time.monotonic() + _SAY_AFTER


def _raise_if_ended(state: _State, lake: str, seconds: float) -> None:
    when, waited, reason = state.ended.get(lake, (float("-inf"), 0.0, ""))
    if time.monotonic() - when > _ONE_WAIT:
        state.ended.pop(lake, None)
    elif seconds <= waited:  # a call with more patience still waits
        raise LakeAway(reason)


def _note_response(state: _State, call: _Call) -> None:
    """Say that a lake is back once the last call that waits for it has a response."""
    lake, now = call.lake, time.monotonic()
    if lake not in state.said or _is_waited_for(state, lake, call):
        return
    if (since := state.said.pop(lake, None)) is not None:
        get_logger("lightwork").info(
            f"the lake {lake} responds again after {now - since:.0f} s", **{_FIELD: lake}
        )


def _is_waited_for(state: _State, lake: str, ended: _Call | None = None) -> bool:
    """Return whether a call of this process, other than the one that has ended, still waits for a lake."""
    now = time.monotonic()
    return any(
        call.lake == lake and call is not ended and (call.reason or now > call.late)
        for call in list(state.calls.values())
    )


def _watch(state: _State) -> None:
    """Start the thread that says what late calls wait for; it ends when there are none for a while."""
    with state.lock:
        if state.watched:
            return
        thread = threading.Thread(target=_say_late, args=(state,), name="lightwork-lake-watch", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            thread.start()
            state.watched = True


def _say_late(state: _State) -> None:
    idle = 0.0
    while True:
        time.sleep(_LOOK_EVERY)
        calls = list(state.calls.values())
        idle = 0.0 if calls else idle + _LOOK_EVERY
        if idle > _ONE_WAIT:
            with state.lock:
                if not state.calls:
                    state.watched = False
                    return
        now = time.monotonic()
        for call in calls:
            if now > call.late and call.seconds and call.lake not in state.said:
                state.said[call.lake] = call.since
                with contextlib.suppress(Exception):  # a log line must not end the thread
                    call.context.copy().run(_say, call, now)


def _say(call: _Call, now: float) -> None:
    reason = call.reason or f"no response for {now - call.since:.0f} s"
    get_logger("lightwork").warning(
        f"waiting up to {call.seconds:g} s for the lake {call.lake}: {reason}", **{_FIELD: call.lake}
    )


def is_news(line: str) -> bool:
    """Return whether a worker's log line is to be shown here: of all that wait for a lake, one says so.

    Args:
        line: the event as JSON.
    """
    if f'"{_FIELD}"' not in line:
        return True
    event = json.loads(line)
    lake = event.get(_FIELD)
    if not isinstance(lake, str):
        return True
    if event.get("level") == "info":
        # A call of this process that still waits says itself when the lake is back.
        return not _is_waited_for(_state, lake) and _state.said.pop(lake, None) is not None
    since = time.monotonic()
    return _state.said.setdefault(lake, since) is since
