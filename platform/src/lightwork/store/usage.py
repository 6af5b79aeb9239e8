"""The space that a lake takes, by task and by kind of file, and the selection of old results to delete."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.errors import InputError, near
from lightwork.lake.base import Entry
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger
from lightwork.store import kinds

if TYPE_CHECKING:
    from lightwork.lake import Lake

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


@dataclass(slots=True)
class Space:
    """The space that all files of one kind take.

    Attributes:
        kind: one of `kinds.ALL`.
        files: their number.
        bytes: their size; for folders, that of the folders themselves.
        disk: bytes that they take on the disk; their size if the lake is in S3.
    """

    kind: str
    files: int = 0
    bytes: int = 0
    disk: int = 0

    def add(self, files: int, size: int, disk: int) -> None:
        """Count files with their size, and what they take on the disk."""
        self.files += files
        self.bytes += size
        self.disk += disk


def measure(lake: Lake) -> tuple[list[Usage], list[Space]]:
    """Return the usage of each task with results, largest first, and the space of each kind of file.

    The kinds together are all that the lake holds: in a folder, as much as `du` counts there.
    """
    spaces = {kind: Space(kind) for kind in kinds.ALL}
    tasks: dict[str, list[Entry]] = {}
    versions: dict[tuple[str, str], Space] = {}
    committed: set[tuple[str, str]] = set()
    for item in lake.inventory():
        kind = kinds.kind_of(item)
        space = spaces[kind]
        if kind == kinds.RESULTS:
            entry = Entry(item.path, item.size, item.modified)
            tasks.setdefault(item.path.split("/")[1], []).append(entry)
        elif kind == kinds.ARTIFACTS and (version := kinds.version_of(item.path)) is not None:
            if version[2]:
                committed.add(version[:2])
            else:
                space = versions.setdefault(version[:2], Space(kind))
        space.add(1, item.size, item.disk)
    for version_of, space in versions.items():
        kind = kinds.ARTIFACTS if version_of in committed else kinds.UNCOMMITTED
        spaces[kind].add(space.files, space.bytes, space.disk)
    return _usages(lake, tasks), [space for space in spaces.values() if space.files]


def usage(lake: Lake) -> list[Usage]:
    """Return the usage of each task with results, largest first."""
    return _usages(lake, _by_task(lake))


def _usages(lake: Lake, tasks: dict[str, list[Entry]]) -> list[Usage]:
    usages = []
    for task, entries in sorted(tasks.items()):
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
    limit = None if older_than is None else lake.now() - older_than
    versions: dict[str, list[Entry]] = {}
    for name, entries in tasks.items():
        if task in (None, name):
            for entry in entries:
                versions.setdefault("/".join(entry.path.split("/")[:3]), []).append(entry)
    return [entry for entries in versions.values() for entry in _old(entries, limit)]


def _old(entries: list[Entry], limit: float | None) -> list[Entry]:
    """Return the old segments of a version of the code; all its files, if it has no other segments."""
    segments = [entry for entry in entries if entry.path.endswith(".seg")]
    old = [entry for entry in segments or entries if limit is None or entry.modified < limit]
    if len(old) < len(segments or entries):
        return old if segments else []
    # Whatever describes the version's results goes after the last of them.
    return [*segments, *(entry for entry in entries if not entry.path.endswith(".seg"))]


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
        if len(parts) >= 4:
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
