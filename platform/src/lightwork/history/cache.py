"""The history on this machine: a SQLite database for each lake and user, of what can be fetched again.

Nothing depends on it: a database that is damaged, of another version, or cannot be written is made anew, or
in memory. The segments of a lake never change, so a command fetches only those that it has not yet.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lightwork.history import segments, source
from lightwork.store.index_copies import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lightwork.history.source import Run
    from lightwork.lake import Lake

VERSION = 2
"""The version of the tables; a database of another one has another name."""
_UNUSED = 90 * 24 * 3600.0
"""Seconds after which the database of a lake that nobody looks at is deleted."""
_WAIT = 30.0
"""Seconds for which a command waits for another one that is writing."""
_LAST = 1e300
"""In place of the time at which a run's own record was read: later than any segment's."""
OPEN = 0
"""In place of a segment: the runs that were read from their own records, as they are not in a segment yet."""

_TABLES = """
CREATE TABLE segments (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE open (name TEXT PRIMARY KEY, marks TEXT NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, name TEXT NOT NULL, noted REAL NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0, pipeline TEXT, tenant TEXT, status TEXT NOT NULL,
    started REAL NOT NULL, day TEXT NOT NULL, seconds REAL, retry_of TEXT, parameters TEXT NOT NULL);
CREATE TABLE documents (run INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE work (run INTEGER NOT NULL, size TEXT, spot INTEGER, seconds REAL NOT NULL);
CREATE INDEX runs_name ON runs (name);
CREATE INDEX runs_segment ON runs (segment);
CREATE INDEX runs_started ON runs (started, name);
CREATE INDEX runs_pipeline ON runs (pipeline, started);
CREATE INDEX runs_failed ON runs (pipeline, started) WHERE status IN ('failed', 'lost');
CREATE INDEX runs_retry ON runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX work_run ON work (run);
"""
# Of several rows of one run, the one that was read last counts; that of its own record does in any case.
_IS_OLDER = (
    "EXISTS (SELECT 1 FROM runs AS other WHERE other.name = runs.name"
    " AND (other.noted, other.id) > (runs.noted, runs.id))"
)
_DOUBLE = "name IN (SELECT name FROM runs GROUP BY name HAVING count(*) > 1)"


def path_of(lake: Lake) -> Path | None:
    """Return where a lake's database is; None if this user has no folder for it."""
    folder = own_folder("history")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    key = blake2b(f"{endpoint} {lake.root}".encode(), digest_size=16).hexdigest()
    return None if folder is None else folder / f"{key}-{VERSION}.sqlite"


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[sqlite3.Connection]:
    """Open a database, and create its tables if it has none; in memory without a path.

    Raises:
        sqlite3.Error: it is damaged, or cannot be written.
    """
    if path is not None:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            os.utime(path)
            _evict(path)
    database = sqlite3.connect(path or ":memory:", timeout=_WAIT, isolation_level=None)
    try:
        database.execute("PRAGMA cache_size = -65536")
        if _version(database) != VERSION:
            with writing(database):
                if _version(database) != VERSION:  # else another command has just created them
                    for statement in _TABLES.split(";"):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {VERSION}")
        yield database
    finally:
        database.close()


def _evict(used: Path) -> None:
    """Delete the databases that were not used for long."""
    for path in used.parent.iterdir():
        if path != used and path.stat().st_mtime < time.time() - _UNUSED:
            path.unlink()


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def writing(database: sqlite3.Connection) -> Iterator[None]:
    """Write all that the `with` block does, or nothing, while no other command writes."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def cached(database: sqlite3.Connection) -> set[str]:
    """Return the paths of the segments that the database holds."""
    return {path for (path,) in database.execute("SELECT path FROM segments")}


def add_segment(database: sqlite3.Connection, path: str, lines: Iterable[bytes]) -> None:
    """Take in the runs of a segment."""
    number = database.execute("INSERT INTO segments (path) VALUES (?)", (path,)).lastrowid
    _add(database, int(number or 0), ((json.loads(line), line) for line in lines))


def remove_segments(database: sqlite3.Connection, paths: Iterable[str]) -> None:
    """Forget the runs of segments that have been replaced."""
    for path in paths:
        for (number,) in database.execute("SELECT id FROM segments WHERE path = ?", (path,)).fetchall():
            _remove(database, "segment = ?", number)
            database.execute("DELETE FROM segments WHERE id = ?", (number,))


def packed(database: sqlite3.Connection) -> set[str]:
    """Return the names of the runs in segments."""
    return {name for (name,) in database.execute("SELECT name FROM runs WHERE segment != ?", (OPEN,))}


def open_names(database: sqlite3.Connection) -> set[str]:
    """Return the names of the runs that were read from their own records."""
    return {name for (name,) in database.execute("SELECT name FROM open")}


def put_open(database: sqlite3.Connection, name: str, marked: str, run: Run | None) -> None:
    """Take in a run from its own record, in place of what it was before.

    Args:
        database: the database.
        name: the run's name.
        marked: the marks that it has.
        run: the run; None if it has no record.
    """
    remove_open(database, name)
    database.execute("INSERT INTO open (name, marks) VALUES (?, ?)", (name, marked))
    if run is not None:
        line = segments.line_of(run, noted=_LAST)
        _add(database, OPEN, [(json.loads(line), line)])
    _hide(database, name)


def remove_open(database: sqlite3.Connection, name: str) -> None:
    """Forget a run that was read from its own record."""
    _remove(database, f"segment = {OPEN} AND name = ?", name)
    database.execute("DELETE FROM open WHERE name = ?", (name,))
    _hide(database, name)


def hide_doubles(database: sqlite3.Connection) -> None:
    """Let only one row of each run count."""
    database.execute("UPDATE runs SET hidden = 0 WHERE hidden")
    database.execute(f"UPDATE runs SET hidden = 1 WHERE {_DOUBLE} AND {_IS_OLDER}")  # noqa: S608


def _hide(database: sqlite3.Connection, name: str) -> None:
    database.execute(f"UPDATE runs SET hidden = {_IS_OLDER} WHERE name = ?", (name,))  # noqa: S608


def _remove(database: sqlite3.Connection, where: str, value: object) -> None:
    ids = f"SELECT id FROM runs WHERE {where}"  # noqa: S608 - the condition is a constant of this module
    database.execute(f"DELETE FROM documents WHERE run IN ({ids})", (value,))  # noqa: S608
    database.execute(f"DELETE FROM work WHERE run IN ({ids})", (value,))  # noqa: S608
    database.execute(f"DELETE FROM runs WHERE {where}", (value,))  # noqa: S608


def _add(database: sqlite3.Connection, segment: int, runs: Iterable[tuple[Run, bytes]]) -> None:
    first = database.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()[0] + 1
    rows, texts, work = [], [], []
    for number, (run, line) in enumerate(runs, first):
        rows.append((number, segment, *_columns(run)))
        texts.append((number, line))
        work += [
            (number, item.get("size"), item.get("spot"), item["seconds"])
            for item in run.get("worker_seconds") or ()
        ]
    database.executemany(
        "INSERT INTO runs (id, segment, name, noted, pipeline, tenant, status, started, day, seconds,"
        " retry_of, parameters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    database.executemany("INSERT INTO documents (run, text) VALUES (?, ?)", texts)
    database.executemany("INSERT INTO work (run, size, spot, seconds) VALUES (?, ?, ?, ?)", work)


def _columns(run: Mapping[str, Any]) -> tuple[Any, ...]:
    started = source.moment(run, "started", "finished")
    return (
        run["name"],
        run[segments.NOTED],
        run.get("pipeline"),
        run.get("tenant"),
        run["status"],
        started.timestamp(),
        f"{started:%Y-%m-%d}",
        run.get("seconds"),
        run.get("retry_of"),
        json.dumps(run.get("parameters") or {}, ensure_ascii=False, separators=(",", ":")),
    )
