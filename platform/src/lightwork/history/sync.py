"""The history of a lake, brought up to date by one listing, and what can be asked of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from lightwork.history import cache, segments, source
from lightwork.history.query import History
from lightwork.lake.threads import in_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightwork.history.segments import Listing
    from lightwork.lake import Lake

T = TypeVar("T")

_ATTEMPTS = 5
"""How often the lake is listed anew, as a collector has replaced a segment that was about to be read."""
_TOGETHER = 500
"""Runs whose own records are read before they are written to the database."""
_THREADS = 16


def ask(lake: Lake, question: Callable[[History], T]) -> T:
    """Bring the history of a lake up to date on this machine, and return the answer to a question.

    Args:
        lake: the lake, to which nothing is written.
        question: is called with the history, again if its database turns out to be damaged.

    Raises:
        LightworkError: the lake cannot be read.
    """
    path = cache.path_of(lake)
    if path is not None:
        for last in (False, True):
            try:
                return _asked(lake, path, question)
            except sqlite3.OperationalError:
                break  # the disk is full, or the folder cannot be written to
            except sqlite3.Error:
                if not last:
                    _discard(path)
    return _asked(lake, None, question)


def _asked(lake: Lake, path: Path | None, question: Callable[[History], T]) -> T:
    with cache.opened(path) as database:
        priced = _update(database, lake)
        return question(History(database, lake, priced=priced))


def _discard(path: Path) -> None:
    """Delete a damaged database, with what SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-journal"):
        with contextlib.suppress(OSError):
            path.with_name(name).unlink()


def _update(database: sqlite3.Connection, lake: Lake) -> bool:
    """Take in what has changed; return whether the lake has prices."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return _take_in(database, lake)
    return _take_in(database, lake)


def _take_in(database: sqlite3.Connection, lake: Lake) -> bool:
    listed = segments.listing(lake)
    cached = cache.cached(database)
    new = sorted(listed.segments.keys() - cached)
    contents = in_threads(lambda path: segments.fetch(lake, path), new, _THREADS)
    if new or cached - listed.segments.keys():
        with cache.writing(database):
            present = cache.cached(database)  # another command may have been faster
            cache.remove_segments(database, present - listed.segments.keys())
            for path, data in zip(new, contents, strict=True):
                if path not in present and (lines := segments.lines_of(lake, path, data)) is not None:
                    cache.add_segment(database, path, lines)
            cache.hide_doubles(database)
    _take_in_open(database, lake, listed)
    return listed.priced


def _take_in_open(database: sqlite3.Connection, lake: Lake, listed: Listing) -> None:
    """Take in the runs that are not in a segment, from their own records."""
    wanted = {name: " ".join(sorted(paths)) for name, paths in listed.marks.items()}
    if not listed.complete:
        packed = cache.packed(database)
        wanted |= dict.fromkeys({*source.names(lake)} - packed - wanted.keys(), "")
    known = _known(database)
    stale = sorted(name for name, marked in wanted.items() if known.get(name) != marked)
    for start in range(0, len(stale), _TOGETHER):
        some = stale[start : start + _TOGETHER]
        runs = in_threads(lambda name: source.run(lake, name), some, _THREADS)
        with cache.writing(database):
            for name, run in zip(some, runs, strict=True):
                cache.put_open(database, name, wanted[name], run)
    if gone := cache.open_names(database) - wanted.keys():
        with cache.writing(database):
            for name in gone:
                cache.remove_open(database, name)


def _known(database: sqlite3.Connection) -> dict[str, str]:
    """Return the marks of the runs whose records change no more, as they were when these were read."""
    found = database.execute(
        "SELECT open.name, marks, text FROM open JOIN runs USING (name) JOIN documents ON run = runs.id"
        " WHERE segment = ?",
        (cache.OPEN,),
    )
    return {name: marked for name, marked, text in found if source.ended(json.loads(text))}
