"""The space that kept results take in a lake, and the selection of old ones to delete."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.errors import InputError, near
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from lightwork.lake import Entry, Lake

_ROOT = "results"
_AT_ONCE = 64 << 10
"""Bytes at the start of a segment that are read at once; most indexes are shorter."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The space that one task's results take.

    Attributes:
        task: the task's name.
        results: number of results, over all versions of the task's code.
        versions: number of versions of the code with results.
        files: number of segments that hold the results.
        bytes: total size of the task's files.
        newest: when the newest segment was written (Unix seconds).
    """

    task: str
    results: int
    versions: int
    files: int
    bytes: int
    newest: float


def usage(lake: Lake) -> list[Usage]:
    """Return the usage of each task with results, largest first."""
    usages = []
    for task, entries in sorted(_by_task(lake).items()):
        segments = [entry for entry in entries if entry.path.endswith(".seg")]
        if not segments:
            continue
        results = sum(in_threads(lambda entry: _count(lake, entry), segments, 8))
        versions = {entry.path.split("/")[2] for entry in segments}
        newest = max(entry.modified for entry in segments)
        total = sum(entry.size for entry in entries)
        usages.append(Usage(task, results, len(versions), len(segments), total, newest))
    return sorted(usages, key=lambda item: item.bytes, reverse=True)


def prunable(lake: Lake, *, older_than: float | None = None, task: str | None = None) -> list[Entry]:
    """List the files of results older than `older_than` seconds, of one task or of all.

    Raises:
        InputError: the task has no results here.
    """
    tasks = _by_task(lake)
    if task is not None and task not in tasks:
        short = {name.rpartition(".")[2]: name for name in tasks}
        if task not in short:
            where = lake.root.removeprefix("file://")
            raise InputError(f"task {task!r} has no results in {where}{near(task, [*short, *tasks])}")
        task = short[task]
    limit = None if older_than is None else time.time() - older_than
    entries = [entry for name, files in tasks.items() if task in (None, name) for entry in files]
    old = [e for e in entries if e.path.endswith(".seg") and (limit is None or e.modified < limit)]
    # The description of a version's code goes with its last result.
    paths = {entry.path for entry in old}
    kept = {e.path.rpartition("/")[0] for e in entries if e.path.endswith(".seg") and e.path not in paths}
    emptied = {path.rpartition("/")[0] for path in paths} - kept
    return old + [e for e in entries if e.path not in paths and e.path.rpartition("/")[0] in emptied]


def seconds(age: str) -> float:
    """Convert an age such as `30d`, `12h`, `45m` or `2w` to seconds.

    Raises:
        InputError: not an age.
    """
    from lightwork.tenants import quantities

    try:
        return quantities.seconds(re.sub(r"(?<=\d)\s+(?=[a-z])", "", age.lower()))
    except ValueError:
        raise InputError(f"age {age!r}: expected a number and s, m, h, d or w, for example 30d") from None


def _by_task(lake: Lake) -> dict[str, list[Entry]]:
    tasks: dict[str, list[Entry]] = {}
    for entry in lake.entries(_ROOT):
        parts = entry.path.split("/")
        if len(parts) == 4:
            tasks.setdefault(parts[1], []).append(entry)
    return tasks


def _count(lake: Lake, entry: Entry) -> int:
    """Read the number of results of a segment from its index; 0, with a warning, if it is damaged."""
    from lightwork.store import segments

    try:
        start = lake.read_range(entry.path, 0, _AT_ONCE)
        end = segments.decode_head(start).index_end
        if len(start) < end <= entry.size:
            start += lake.read_range(entry.path, len(start), end - len(start))
        return segments.decode_index(start, entry.size).count
    except FileNotFoundError:
        return 0
    except segments.SegmentError as error:
        get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(entry.path)}: {error}")
        return 0
