"""What the kept results take in the lake, and removing the old ones."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from lightwork.lake import Entry, Lake

_ROOT = "results"


@dataclass(frozen=True, slots=True)
class Usage:
    """What one task's results take.

    Attributes:
        task: its name.
        results: how many are kept, for all versions of its code.
        versions: how many versions of its code have results.
        files: the files they are in.
        bytes: their size.
        newest: when the newest file was written, in seconds since 1970.
    """

    task: str
    results: int
    versions: int
    files: int
    bytes: int
    newest: float


def usage(lake: Lake) -> list[Usage]:
    """What each task's results take, the largest first."""
    found = []
    for task, entries in sorted(_by_task(lake).items()):
        segments = [entry for entry in entries if entry.path.endswith(".seg")]
        if not segments:
            continue
        with ThreadPoolExecutor(8) as pool:
            results = sum(pool.map(lambda entry: _count(lake, entry), segments))
        versions = {entry.path.split("/")[2] for entry in segments}
        newest = max(entry.modified for entry in segments)
        total = sum(entry.size for entry in entries)
        found.append(Usage(task, results, len(versions), len(segments), total, newest))
    return sorted(found, key=lambda item: item.bytes, reverse=True)


def prunable(lake: Lake, *, older_than: float | None = None, task: str | None = None) -> list[Entry]:
    """The files of results that are older than so many seconds, of one task or of all.

    Raises:
        InputError: a task that has no results here.
    """
    known = _by_task(lake)
    if task is not None and task not in known:
        short = {name.rpartition(".")[2]: name for name in known}
        if task not in short:
            where = lake.root.removeprefix("file://")
            raise InputError(f"task {task!r} has no results in {where}{near(task, [*short, *known])}")
        task = short[task]
    limit = None if older_than is None else time.time() - older_than
    entries = [entry for name, found in known.items() if task in (None, name) for entry in found]
    old = [e for e in entries if e.path.endswith(".seg") and (limit is None or e.modified < limit)]
    # A version that keeps no result needs no description of its code either.
    gone = {entry.path for entry in old}
    kept = {e.path.rpartition("/")[0] for e in entries if e.path.endswith(".seg") and e.path not in gone}
    emptied = {path.rpartition("/")[0] for path in gone} - kept
    return old + [e for e in entries if e.path not in gone and e.path.rpartition("/")[0] in emptied]


def seconds(age: str) -> float:
    """Return an age such as `30d`, `12h`, `45m` or `2w` in seconds.

    Raises:
        InputError: it is not an age.
    """
    from lightwork.tenants import quantities

    try:
        return quantities.seconds(age.lower().replace(" ", ""))
    except ValueError:
        raise InputError(f"age {age!r}: expected a number and s, m, h, d or w, for example 30d") from None


def _by_task(lake: Lake) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in lake.entries(_ROOT):
        parts = entry.path.split("/")
        if len(parts) == 4:
            found.setdefault(parts[1], []).append(entry)
    return found


def _count(lake: Lake, entry: Entry) -> int:
    """How many results a segment holds, by its head; a damaged one holds none."""
    from lightwork.store import segments

    try:
        head = lake.read_range(entry.path, 0, segments.HEAD.size)
        if len(head) < segments.HEAD.size or head[: len(segments.MAGIC)] != segments.MAGIC:
            return 0
        return int(segments.HEAD.unpack(head)[1])
    except FileNotFoundError:
        return 0
