"""The catalog of one code version's results: which exist, and where, in memory that does not grow with them.

It is made of index files, which are searched in place, and of the indexes of segments that no index file
covers yet: recent ones, in a dictionary, and many at once, in sorted tables that go to a temporary file.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.segments import Block, Index, IntactError, SegmentError
from lightwork.store.segments_reading import in_parallel, read_index, remove_damaged, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.lake import Entry, Lake
    from lightwork.store.index_files import Table

INDEX_SUFFIX = ".idx"
RECENT = 1 << 17
"""Keys of segments without an index file that are held in a dictionary."""
FAN = 8
"""Tables of about the same size that are merged."""
BLOCK = 0xFFFFFFFF
"""The bits of a block's number in a position >> 16."""
_POSITION = (1 << 48) - 1
_KEPT_BYTES = 32 << 20
_FIRST_OF_TABLES = 1 << 31
_LISTS = 8


class Catalog:
    """What a process knows of the results of one code version.

    A position is the number of a block << 16 | the index in that block, with the result's generation above
    these 48 bits for recent results.

    Args:
        lake: the tenant's lake.
        folder: the folder of the code version.
        mends: delete damaged segments and index files, so that they are reported once.

    Attributes:
        listed: the segments by name, as they were listed last.
        indexes: the index files by name, likewise.
        tables: the index files that are used, and tables of other segments.
        generation: the highest generation seen.
        whole: the content of small segments by path.
        damaged: the paths of damaged segments.
    """

    def __init__(self, lake: Lake, folder: str, *, mends: bool) -> None:
        self.lake = lake
        self.folder = folder
        self._mends = mends
        self.listed: dict[str, Entry] = {}
        self.indexes: dict[str, Entry] = {}
        self.tables: list[Table] = []
        self.generation = 0
        self.whole: dict[str, bytes] = {}
        self.damaged: set[str] = set()
        self._bad_indexes: set[str] = set()
        self._whole_bytes = 0
        self._recent: dict[bytes, int] = {}
        self._recent_highest = 0
        self._recent_bytes = 0
        self._added: set[str] = set()
        self._blocks: list[tuple[str, Block]] = []
        self._first = 0
        self._next_base = _FIRST_OF_TABLES

    @property
    def count(self) -> int:
        """The number of results; one that is in several segments may count more than once."""
        return len(self._recent) + sum(table.live_rows() for table in self.tables)

    @property
    def untended(self) -> tuple[int, int]:
        """The number of segments without an index file, and of the results in them."""
        loose = [table for table in self.tables if not table.name]
        files = len(self._added) + sum(len(table.segments) for table in loose)
        return files, len(self._recent) + sum(len(table) for table in loose)

    def exact_count(self) -> int:
        """Count each result once; this takes a pass over all of them."""
        if not self.tables:
            return len(self._recent)
        from lightwork.store.index_files import Merging

        recent = self.recent_table()
        if recent is not None:
            recent.set_alive(set(self.listed))
        return sum(len(part) for part in Merging([*self.tables, *([recent] if recent else [])]).parts())

    @property
    def nbytes(self) -> int:
        """The size of the results in bytes, about."""
        return self._recent_bytes + sum(table.nbytes for table in self.tables)

    # Reading the list

    def refresh(self, most: int | None = None) -> None:
        """List the folder; open new index files, and read the indexes of segments that none covers.

        Args:
            most: the number of results after which further segments are left out; by default none are.
        """
        for _ in range(_LISTS):
            if self._take_in(self.lake.entries(self.folder), most):
                return

    def forget(self) -> None:
        """Drop what was read of segments that no index file covers."""
        self.tables = [table for table in self.tables if table.name]
        self.whole.clear()
        self._whole_bytes = 0
        self._clear_recent()

    def _clear_recent(self) -> None:
        self._first += len(self._blocks)
        self._recent, self._blocks = {}, []
        self._added = set()
        self._recent_bytes = self._recent_highest = 0

    def _take_in(self, entries: Sequence[Entry], most: int | None) -> bool:
        """Take in a list of files; return False if some of them have vanished since."""
        by_name = {entry.path.rpartition("/")[2]: entry for entry in entries}
        self.listed = {name: e for name, e in by_name.items() if name.endswith(segments.SUFFIX)}
        self.indexes = {name: e for name, e in by_name.items() if name.endswith(INDEX_SUFFIX)}
        is_complete = self._open_tables()
        covered = self._added.union(*(table.segments for table in self.tables))
        new = [e for name, e in self.listed.items() if name not in covered and e.path not in self.damaged]
        for entry, read in in_parallel(lambda entry: read_index(self.lake, entry), new):
            if isinstance(read, SegmentError):
                self.ignore(entry.path, read)
            elif read is None:
                is_complete = False
            else:
                index, data = read
                self._add(entry.path, index)
                if most is not None and self.untended[1] >= most:
                    break
                if data and self._whole_bytes < _KEPT_BYTES:
                    self.whole[entry.path] = data
                    self._whole_bytes += len(data)
        names = set(self.listed)
        for table in self.tables:
            table.set_alive(names)
        generations = [segments.name_of(name).generation for name in names]
        generations += [int(t.generations[-1]) for t in self.tables if len(t.generations)]
        self.generation = max([self.generation, self._recent_highest, *generations])
        return is_complete

    def _open_tables(self) -> bool:
        """Open new index files, and drop those that are gone or replaced; return False if one vanished."""
        self.tables = [table for table in self.tables if not table.name or table.name in self.indexes]
        opened = {table.name for table in self.tables}
        replaced = {name for table in self.tables for name in table.replaces}
        is_complete = True
        for name, entry in self.indexes.items():
            if name not in opened and name not in replaced and name not in self._bad_indexes:
                try:
                    table = self._open(entry)
                except FileNotFoundError:
                    is_complete = False
                    continue
                if table is not None:
                    self._use(table)
        replaced = {name for table in self.tables for name in table.replaces}
        self.tables = [table for table in self.tables if not table.name or table.name not in replaced]
        if any(table.name and table.name not in opened for table in self.tables):
            covered = {name for table in self.tables if table.name for name in table.segments}
            self.tables = [t for t in self.tables if t.name or not covered.issuperset(t.segments)]
            if self._added and covered.issuperset(self._added):
                self._clear_recent()
        return is_complete

    def _open(self, entry: Entry) -> Table | None:
        """Open an index file; None, with a warning, if it is damaged."""
        from lightwork.store import index_copies, index_files
        from lightwork.store.index_rows import Damaged

        name = entry.path.rpartition("/")[2]

        def read(start: int, length: int) -> bytes:
            return self.lake.read_range(entry.path, start, length)

        def load() -> memoryview:
            return index_copies.mapped(self.lake, entry)

        while True:
            try:
                if not index_copies.has(self.lake, entry):
                    return index_files.opened_remotely(read, entry.size, load, name)
                return index_files.opened(load(), name)
            except Damaged as error:
                if not index_copies.discard(self.lake, entry.path):
                    self._ignore_index(name, error)
                    return None

    def _use(self, table: Table) -> None:
        table.base = self._next_base
        self._next_base += len(table.blocks)
        self.tables.append(table)

    def _add(self, path: str, index: Index) -> None:
        name = path.rpartition("/")[2]
        if index.count > RECENT:
            from lightwork.store.index_files import Builder

            builder = Builder()
            builder.add(name, index)
            self._add_table(builder.build())
            return
        if len(self._recent) + index.count > RECENT:
            self._settle()
        self._added.add(name)
        recent, keys = self._recent, segments.split_keys(index.keys)
        places: list[int] = []
        for number, block in enumerate(index.blocks, self._first + len(self._blocks)):
            places += range(number << 16, (number << 16) + block.count)
            self._recent_bytes += block.length
        self._blocks += [(path, block) for block in index.blocks]
        start = 0
        for count, generation in index.generations(path):
            high = generation << 48
            if generation >= self._recent_highest:
                self._recent_highest = generation
                recent.update(
                    zip(
                        keys[start : start + count],
                        [high + place for place in places[start : start + count]]
                        if high
                        else places[start : start + count],
                        strict=True,
                    )
                )
            else:
                for i in range(start, start + count):
                    if recent.get(keys[i], -1) < high + places[i]:
                        recent[keys[i]] = high + places[i]
            start += count

    def recent_table(self) -> Table | None:
        """Return a table of the recent results; None if there are none."""
        import numpy as np

        from lightwork.store import index_rows
        from lightwork.store.index_files import BLOCKS, Table
        from lightwork.store.index_rows import Sorted

        if not self._added:
            return None
        names = sorted(self._added)
        number_of = {name: number for number, name in enumerate(names)}
        records = [
            (number_of[path.rpartition("/")[2]], block.count, block.offset, block.length, block.digest)
            for path, block in self._blocks
        ]
        values = list(self._recent.values())
        places = np.array([value & _POSITION for value in values], np.uint64)
        generations, ranks = np.unique(
            np.array([value >> 48 for value in values], np.uint64), return_inverse=True
        )
        rows = index_rows.pack(
            b"".join(self._recent),
            (places >> np.uint64(16)) - np.uint64(self._first),
            places & np.uint64(0xFFFF),
            ranks.astype(np.uint64),
        )
        return Table(Sorted(index_rows.sort(rows)), np.array(records, BLOCKS), generations, names)

    def _settle(self) -> None:
        """Move the recent results to a table."""
        table = self.recent_table()
        if table is not None:
            self._clear_recent()
            self._add_table(table)

    def _add_table(self, table: Table) -> None:
        """Add a table of segments without an index file; merge some of about the same size, to a file."""
        from lightwork.store import index_copies, index_files

        self._use(table)
        loose = [t for t in self.tables if not t.name]
        level = level_of(len(table))
        alike = [t for t in loose if level_of(len(t)) <= level]
        if len(alike) >= FAN and (merging := index_files.Merging(alike)).fits:
            self.tables = [t for t in self.tables if t not in alike]
            merged = index_files.opened(index_copies.spilled(merging.encoded()), "")
            self._add_table(merged)

    # Looking up

    def locate(self, keys: Sequence[bytes | None]) -> list[int | None]:
        """Return the positions of results; None for those that are absent, and for keys that are none."""
        if not self.tables:
            get: Any = self._recent.get
            return [get(key) for key in keys]
        return [place for place, _ in self.search(keys)]

    def search(self, keys: Sequence[bytes | None]) -> list[tuple[int | None, int]]:
        """Return the positions of results, as `locate` does, and their generations."""
        while True:
            try:
                if len(keys) == 1 and keys[0] and not any(table.rows.is_remote for table in self.tables):
                    return [self._find(keys[0])]
                return self._search(keys)
            except _DamagedTable as error:
                self.tables.remove(error.table)
                self.give_up(error.table, error)
                self.refresh()

    def give_up(self, table: Table, error: Exception) -> None:
        """Give up a damaged index file, unless only its copy on this machine is damaged."""
        from lightwork.store import index_copies

        if table.name and not index_copies.discard(self.lake, f"{self.folder}/{table.name}"):
            self._ignore_index(table.name, error)

    def _find(self, key: bytes) -> tuple[int | None, int]:
        """Search one key, as `_search` does."""
        from lightwork.store import index_rows
        from lightwork.store.index_rows import Damaged

        value = self._recent.get(key)
        place, best = (None, -1) if value is None else (value, value >> 48)
        if len(key) != segments.KEY_BYTES:
            return None, -1
        firsts, seconds = index_rows.halves(key)
        gone = -1
        for table in self.tables:
            if not len(table):
                continue
            try:
                locator = table.rows.find(firsts[0], seconds[0])
            except Damaged as error:
                raise _DamagedTable(table, str(error)) from error
            if locator is None:
                continue
            block, position, rank = index_rows.unpack_one(locator)
            generation = int(table.generations[rank])
            if not table.alive[block]:
                gone = max(gone, generation)
            elif generation > best or (generation == best and place != value):
                place, best = (block + table.base) << 16 | position, generation
        return (place, best) if best >= gone else (None, -1)

    def _search(self, keys: Sequence[bytes | None]) -> list[tuple[int | None, int]]:
        import numpy as np

        from lightwork.store import index_rows
        from lightwork.store.index_rows import Damaged

        asked = [i for i, key in enumerate(keys) if key and len(key) == segments.KEY_BYTES]
        firsts, seconds = index_rows.halves(b"".join([keys[i] for i in asked]))  # type: ignore[misc]
        order = np.argsort(firsts, kind="stable")
        firsts, seconds = firsts[order], seconds[order]
        best = np.full(len(asked), -1, np.int64)
        overtaken = np.full(len(asked), -1, np.int64)
        places = np.zeros(len(asked), np.int64)
        each = in_parallel if any(table.rows.is_remote for table in self.tables) else _one_by_one
        for table, searched in each(lambda table: _searched(table, firsts, seconds), self.tables):
            if isinstance(searched, Damaged):
                raise _DamagedTable(table, str(searched)) from searched
            found, locators = searched
            at = np.flatnonzero(found)
            blocks, positions, ranks = index_rows.unpack(locators[at])
            generations = table.generations[ranks].astype(np.int64)
            alive = table.alive[blocks]
            overtaken[at[~alive]] = np.maximum(overtaken[at[~alive]], generations[~alive])
            better = alive & (generations >= best[at])
            at, generations = at[better], generations[better]
            best[at] = generations
            numbers = blocks[better].astype(np.int64) + table.base
            places[at] = (numbers << 16) | positions[better].astype(np.int64)
        result: list[tuple[int | None, int]] = [(None, -1)] * len(keys)
        recent = self._recent.get
        for i, place, generation, gone in zip(
            [asked[i] for i in order.tolist()],
            places.tolist(),
            best.tolist(),
            overtaken.tolist(),
            strict=True,
        ):
            value = recent(keys[i]) if self._recent else None
            if value is not None and value >> 48 >= generation:
                place, generation = value, value >> 48
            # A later result that is no longer there must not give way to an earlier one.
            if generation >= 0 and generation >= gone:
                result[i] = (place, generation)
        return result

    def block(self, number: int) -> tuple[str, Block]:
        """Return the path of a block's segment, and the block."""
        if number < _FIRST_OF_TABLES:
            return self._blocks[number - self._first]
        tables = sorted(self.tables, key=lambda table: table.base)
        table = tables[bisect_right([t.base for t in tables], number) - 1]
        name, block = table.block(number - table.base)
        return f"{self.folder}/{name}", block

    # What is damaged

    def ignore(self, path: str, error: SegmentError) -> None:
        """Take a segment for absent, with a warning; delete it if it is damaged."""
        self.damaged.add(path)
        self.whole.pop(path, None)
        warn(self.lake, path, error)
        if self._mends and not isinstance(error, IntactError):
            remove_damaged(self.lake, path)

    def _ignore_index(self, name: str, error: Exception) -> None:
        path = f"{self.folder}/{name}"
        self._bad_indexes.add(name)
        get_logger("lightwork").warning(
            f"ignored a damaged index of results, which is made anew: {self.lake.uri(path)}: {error}"
        )
        if self._mends:
            with contextlib.suppress(LightworkError):  # a lake that may only be read
                self.lake.delete([path])


def _one_by_one(function: Any, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return ((item, function(item)) for item in items)


def _searched(table: Table, firsts: Any, seconds: Any) -> Any:
    """Search a table; return what it finds, or its damage."""
    from lightwork.store.index_rows import Damaged

    try:
        return table.rows.search(firsts, seconds)
    except Damaged as error:
        return error


class _DamagedTable(Exception):  # noqa: N818
    def __init__(self, table: Table, reason: str) -> None:
        super().__init__(reason)
        self.table = table


def level_of(rows: int) -> int:
    """Return the level of a table of so many rows: those of a level are merged with each other."""
    level, limit = 0, RECENT * 2
    while rows >= limit:
        level, limit = level + 1, limit * FAN
    return level
