"""Tending of results: small segments are merged, and results get index files, which are merged in turn.

Whoever tends may be killed at any time, and several may tend the same results at once: a new file is complete
before the files that it replaces are deleted, and a result may be in several files.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.lake.local import LocalLake
from lightwork.lake.patience import LOOK_SECONDS
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.catalog import FAN, Catalog, level_of
from lightwork.store.segments import SegmentError
from lightwork.store.segments_reading import check_whole, in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lightwork.lake import Entry, Lake
    from lightwork.store.index_files import Table
    from lightwork.store.segments import Index

MANY = 32
"""Segments of about the same size that are worth merging."""
_OFTEN = 8 * MANY
"""New segments at which tending starts in the midst of a run."""
_ROW = 24
INDEXED = 1 << 16
"""Results without an index file that are worth one."""
_INDEXED_AT_ONCE = 1 << 20
"""Results of segments without an index file that are indexed at once, about."""
_TIERS = (64 << 10, 512 << 10, 4 << 20, 16 << 20)
"""Bytes below which segments are of about the same size; larger ones are not merged."""
_MERGED_BYTES = 32 << 20
"""Bytes of segments that are merged at once, and of a merged segment, about."""
_SEARCHED = 1 << 16
_MERGED_KEYS = 1 << 20
_LISTING = 0.1
"""Seconds that another process may take to list a folder on a disk."""


def merge_all(lake: Lake, folder: str) -> int:
    """Merge all small segments of a code version; return how many."""
    tending = _Tending(lake, folder, lambda: False)
    return tending.merge([e for e in tending.listed() if e.size < _TIERS[-1]])


def tend(lake: Lake, folder: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Merge small segments of a code version where there are many, and index results where there are many.

    Args:
        lake: the tenant's lake.
        folder: the folder of the code version.
        stopped: whether to end early; what is not done then is left to another time.
    """
    tending = _Tending(lake, folder, stopped)
    while not stopped() and (small := _worth_merging(tending.listed())):
        if not tending.merge(small):
            break
    if not stopped():
        tending.index()


def _worth_merging(entries: Sequence[Entry]) -> list[Entry]:
    """Return the segments of the largest size of which there are many, and all smaller ones."""
    for tier in reversed(range(len(_TIERS))):
        floor = _TIERS[tier - 1] if tier else 0
        if sum(floor <= entry.size < _TIERS[tier] for entry in entries) >= MANY:
            return [entry for entry in entries if entry.size < _TIERS[tier]]
    return []


class _StoppedError(Exception):
    pass


class _Tending:
    def __init__(self, lake: Lake, folder: str, stopped: Callable[[], bool]) -> None:
        self._lake = lake
        self._folder = folder
        self._stopped = stopped
        self._catalog = Catalog(lake, folder, mends=False)

    def listed(self) -> list[Entry]:
        """List the segments."""
        return [e for e in self._lake.entries(self._folder) if e.path.endswith(segments.SUFFIX)]

    # Segments

    def merge(self, entries: Sequence[Entry]) -> int:
        """Merge segments, some at a time; return how many."""
        if len(entries) < 2:
            return 0
        self._catalog.refresh()
        merged = 0
        for group in _groups(sorted(entries)):
            if self._stopped():
                break
            merged += self._merge_group(group)
        return merged

    def _merge_group(self, group: Sequence[Entry]) -> int:
        parts = [
            (entry.path, *part)
            for entry, part in in_parallel(self._read_intact, group)
            if isinstance(part, tuple)
        ]
        if len(parts) < 2:
            return 0
        taken = self._taken([(path, index) for path, _, index in parts])
        highest = max(segments.name_of(path).generation for path, _, _ in parts)
        after = max(segments.name_of(path).moment for path, _, _ in parts)
        merger, count = segments.Merger(), 0

        def write() -> None:
            keys, blocks, runs = merger.take()
            if keys:
                top = max(highest, *(generation for _, generation in runs))
                name = segments.new_name(top, after)
                self._lake.write(f"{self._folder}/{name}", segments.encode(keys, blocks, runs))

        for (path, data, index), needed in zip(parts, taken, strict=True):
            merger.add(data, index, index.generations(path), needed)
            count += index.count
            if merger.size >= _MERGED_BYTES or count >= _MERGED_KEYS:
                write()
                count = 0
        write()
        if isinstance(self._lake, LocalLake):
            time.sleep(_LISTING)  # a list that has passed over the merged segment shall still have its parts
        self._lake.delete([path for path, _, _ in parts])
        return len(parts)

    def _read_intact(self, entry: Entry) -> tuple[bytes, Index] | None:
        try:
            data = self._lake.read(entry.path)
            return data, check_whole(data)
        except (FileNotFoundError, SegmentError):
            return None  # merged by another process, or damaged: not ours to delete

    def _taken(self, parts: Sequence[tuple[str, Index]]) -> list[list[bool] | None]:
        """Return for each segment which of its results no other overtakes; None if all of them."""
        import numpy as np

        from lightwork.store import index_rows
        from lightwork.store.index_files import Builder

        builder = Builder()
        for path, index in parts:
            builder.add(path, index)
        table = builder.build()
        seen = self._catalog.generation
        if len(table) == builder.count and not seen:
            return [None] * len(parts)
        blocks, positions, ranks = index_rows.unpack(table.rows.rows[:, 2])
        if seen:
            # Some at a time: positions take more memory than rows.
            best = np.empty(len(table), np.int64)
            halves = table.rows.rows[:, :2].astype(">u8").tobytes()
            for start in range(0, len(table), _SEARCHED):
                keys = segments.split_keys(halves[start * 16 : (start + _SEARCHED) * 16])
                best[start : start + len(keys)] = [highest for _, highest in self._catalog.search(keys)]
            needed = best <= table.generations[ranks].astype(np.int64)
            blocks, positions = blocks[needed], positions[needed]
        ends = np.cumsum(table.blocks["count"].astype(np.int64))
        flags = np.zeros(int(ends[-1]) if len(ends) else 0, bool)
        flags[ends[blocks] - table.blocks["count"][blocks] + positions.astype(np.int64)] = True
        taken, start = [], 0
        for _, index in parts:
            taken.append(flags[start : start + index.count].tolist())
            start += index.count
        return taken

    # Index files

    def index(self) -> None:
        """Write index files for segments that have none, if worth it; merge index files of one level.

        A lake of before may have many such segments: what is indexed so far stays if this is stopped.
        """
        while not self._index_some() and not self._stopped():
            pass

    def _index_some(self) -> bool:
        """Index some segments; return whether there is nothing more to do."""
        from lightwork.store.index_files import Merging
        from lightwork.store.index_rows import Damaged

        catalog = self._catalog = Catalog(self._lake, self._folder, mends=True)
        catalog.refresh(_INDEXED_AT_ONCE)
        loose = [table for table in catalog.tables if not table.name]
        recent = catalog.recent_table()
        if recent is not None:
            recent.set_alive(set(catalog.listed))
            loose.append(recent)
        files = [table for table in catalog.tables if table.name]
        self._lake.delete(
            [
                f"{self._folder}/{name}"
                for name in {name for table in files for name in table.replaces} & set(catalog.indexes)
            ]
        )
        for table in [table for table in files if not table.alive.any()]:
            self._lake.delete([f"{self._folder}/{table.name}"])
            files.remove(table)
        if sum(table.live_rows() for table in loose) >= INDEXED:
            return not self._write(Merging(loose), [])
        if levels := _mergeable(files):
            try:
                self._write(Merging(levels, [table.name for table in levels]), levels)
            except Damaged:
                given_up = [table.name for table in levels if self._is_given_up(table)]
                # What cannot be deleted, or was damaged in the copy here alone, is left to another time.
                left = [name for name in given_up if self._lake.exists(f"{self._folder}/{name}")]
                return bool(left) or not given_up
        return True

    def _is_given_up(self, table: Table) -> bool:
        """Read all of an index file; if it is damaged, delete it with a warning and return True."""
        from lightwork.store.index_rows import Damaged

        try:
            for start in range(0, len(table), 1 << 20):
                table.rows.slice(start, min(len(table), start + (1 << 20)))
        except Damaged as error:
            self._catalog.give_up(table, error)
            return True
        return False

    def _write(self, merging: Any, inputs: Sequence[Table]) -> bool:
        """Write an index file and delete those that it replaces; return whether that was possible."""
        from lightwork.store.index_files import new_name

        if not merging.fits:
            return False
        rows = merging.count
        try:
            path = f"{self._folder}/{new_name(rows)}"
            self._lake.stream(path, lambda: self._unless_stopped(merging.encoded()), rows * _ROW)
        except _StoppedError:
            return False
        self._lake.delete([f"{self._folder}/{table.name}" for table in inputs])
        return True

    def _unless_stopped(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._stopped():
                raise _StoppedError
            yield piece


def _mergeable(files: Sequence[Table]) -> list[Table]:
    """Return the index files to merge: those of the highest level with many, and of those below it.

    Files most of whose segments are gone count as smaller than they are.
    """
    sizes = {id(table): level_of(table.live_rows()) for table in files}
    chosen: list[Table] = []
    for level in sorted(set(sizes.values())):
        # What the levels below make together counts as one more.
        if sum(size == level for size in sizes.values()) + bool(chosen) >= FAN:
            chosen = [table for table in files if sizes[id(table)] <= level]
    return chosen


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield consecutive segments that are merged at once."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > _MERGED_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


@dataclass(slots=True)
class _Work:
    """What there is to tend: segments and results without an index file, found and new ones."""

    found_files: int = 0
    found_results: int = 0
    files: int = 0
    results: int = 0

    @property
    def is_worth(self) -> bool:
        """Whether it is worth tending; what was found alone, if it slows down every look."""
        if not self.files:
            return self.found_files >= 4 * MANY or self.found_results >= 4 * INDEXED
        return self.found_files + self.files >= MANY or self.found_results + self.results >= INDEXED


class Tender:
    """Tends the results of a session in the background.

    Args:
        patience: seconds for which `close` waits at most.
    """

    def __init__(self, patience: float = 15.0) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._work: dict[tuple[Lake, str], _Work] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def found(self, lake: Lake, folder: str, files: int, results: int) -> None:
        """Note how many segments without an index file a folder has, and how many results these hold."""
        with self._lock:
            work = self._work.setdefault((lake, folder), _Work())
            work.found_files, work.found_results = files, results
            if results >= 4 * INDEXED and not self._is_running():
                self._start()  # an index that is missing takes a while

    def note(self, lake: Lake, folder: str, files: int, results: int) -> None:
        """Note new segments; start tending if there are many.

        Args:
            lake: the tenant's lake.
            folder: the folder of their code version.
            files: the number of new ones, about.
            results: the number of results in them, about.
        """
        with self._lock:
            work = self._work.setdefault((lake, folder), _Work())
            work.files += files
            work.results += results
            if work.files >= _OFTEN and not self._is_running():
                self._start()

    def close(self) -> None:
        """Tend what is worth it, and wait for it, though not for long."""
        with self._lock:
            if not self._is_running() and not self._stop.is_set():
                self._start()
            thread = self._thread
        if thread is not None:
            thread.join(self._patience)
            self._stop.set()
            thread.join(self._patience)

    def cancel(self) -> None:
        """Do not tend any more."""
        self._stop.set()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        if any(work.is_worth for work in self._work.values()):
            thread = threading.Thread(target=self._run, name="lightwork-tending", daemon=True)
            with contextlib.suppress(RuntimeError):  # this process ends, and starts no threads any more
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                worth = {key: work for key, work in self._work.items() if work.is_worth}
                for key in worth:
                    self._work.pop(key)
            if not worth:
                return
            for (lake, folder), work in worth.items():
                try:
                    # It can be left undone.
                    patience = min(LOOK_SECONDS, lake.patience)
                    tend(lake.with_patience(patience), folder, self._stop.is_set)
                except FileNotFoundError:
                    pass  # another process tends the same results
                except RuntimeError as error:
                    if "shutdown" not in str(error):  # this process ends, and starts no threads any more
                        raise
                except Exception as error:  # noqa: BLE001 - untended results are only slower to look up
                    if work.files:  # not a lake that may only be read
                        get_logger("lightwork").warning(f"small files of results were not merged: {error}")
