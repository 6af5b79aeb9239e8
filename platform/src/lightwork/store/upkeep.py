"""The collection of what nobody needs, once a day for each lake, by whichever run comes first."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from typing import TYPE_CHECKING, NamedTuple

from lightwork.store import documents
from lightwork.store.collector import Collected, Policy, collect
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.lake import Lake

MARKER = "lightwork-collected"
"""The file in the lake that says when the last collection was."""
EVERY = 24 * 3600.0
"""Seconds between two collections."""
_AGAIN = 3600.0
"""Seconds after which a collection that has not come to its end is begun again."""
_SETTLES = 0.2
"""Seconds after which one of several runs that begin a collection at once knows that it is its turn."""
_SELDOM = 40 * 24 * 3600.0
"""Seconds between two collections that are nothing unusual, such as those of a monthly pipeline."""
_READING = 24 * 3600.0
"""Seconds for which a version is kept after a newer one has replaced it, for those who read it."""


class Marker(NamedTuple):
    """When the last collection began by the lake's clock, who began it, and whether it came to its end."""

    at: float
    by: str
    done: bool


def keep_up(
    lake: Lake, policy: Policy, stop: threading.Event, before: Callable[[], object] = lambda: None
) -> Collected | None:
    """Collect if it is time to; return what was deleted, None if it is not time or another process does.

    The history is left as it is by the first collection of a lake, and if the last one is oddly long ago: a
    clock that is wrong by years deletes nothing before it has had a day to be set right.

    Args:
        lake: the lake.
        policy: what is kept.
        stop: ends the work, which another run then takes up within an hour or so.
        before: is called before anything is deleted, so that it can keep what it needs.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    last, now = _read(lake), lake.now()
    if last is not None:
        age = now - last.at
        if 0 <= age < (EVERY if last.done else _AGAIN):
            return None
    mine = Marker(now, secrets.token_hex(8), done=False)
    _write(lake, mine)
    stop.wait(_SETTLES)
    if _read(lake) != mine:
        return None
    if last is None or not 0 <= now - last.at <= max(policy.history or 0.0, _SELDOM):
        policy = dataclasses.replace(policy, history=None, newest=None, versions=None)
    policy = dataclasses.replace(policy, replaced=max(policy.replaced, _READING))
    before()
    collected = collect(lake, policy, watch=lambda _: not stop.is_set())
    if not stop.is_set():
        _write(lake, mine._replace(done=True))
    return collected


def _read(lake: Lake) -> Marker | None:
    """Return the marker; None if there is none, or it is damaged."""
    try:
        document = documents.parse(lake.read(MARKER))
        done = document.get("done") is True
        return Marker(documents.number(document, "at"), documents.text(document, "by"), done)
    except (FileNotFoundError, OddError):
        return None


def _write(lake: Lake, marker: Marker) -> None:
    lake.write(MARKER, documents.seal(marker._asdict()), durable=False)
