"""Index files: immutable, sorted, and with the places of all results of some segments of a code version.

Layout, little-endian: the rows (see `index_rows`; three u64 each); for each page of 64 rows the first half of
its first key, then for each page its checksum (u64 each); the blocks (number of the segment and number of
values as u32, offset and length in the segment as u64, digest of 16 bytes); the generations (u64 each,
ascending); a JSON object with the names of the segments and of the index files that this one replaces; at
the end magic (8 bytes), the numbers of rows, blocks and generations and the length of the JSON (u64 each),
and the digest (16 bytes) of all that follows the rows, up to these numbers.

An index file is called `i<rows>-<random>.idx`, with 12 digits for its number of rows, about.
"""

from __future__ import annotations

import json
import struct
import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from lightwork.store import index_rows
from lightwork.store.index_rows import PAGE, Damaged, Remote, Sorted
from lightwork.store.segments import KEY_BYTES, MOST_GENERATION, Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lightwork.store.index_rows import Array
    from lightwork.store.segments import Index

SUFFIX = ".idx"
_MAGIC = b"LWIDX\x01\r\n"
_TAIL = struct.Struct("<8sQQQQ16s")
_ROW = 24
BLOCKS = np.dtype(
    [("segment", "<u4"), ("count", "<u4"), ("offset", "<u8"), ("length", "<u8"), ("digest", "V16")]
)
MERGED_ROWS = 1 << 20
"""The number of rows that are merged at once, about."""


class Table:
    """An index of the results of some segments, in memory or in a mapped file.

    Attributes:
        name: the index file's name; empty for a table in memory.
        rows: the sorted rows.
        blocks: the blocks of the segments.
        generations: the generations by rank, ascending.
        segments: the names of the segments.
        replaces: the names of index files that it replaces.
        alive: for each block whether its segment exists.
        base: the number of its first block among those of all tables of a view.
        nbytes: the size of the blocks in bytes.
    """

    def __init__(
        self,
        rows: Sorted,
        blocks: NDArray[Any],
        generations: Array,
        segments: Sequence[str],
        replaces: Sequence[str] = (),
        name: str = "",
    ) -> None:
        self.name = name
        self.rows = rows
        self.blocks = blocks
        self.generations = generations
        self.segments = tuple(segments)
        self.replaces = tuple(replaces)
        self.alive = np.ones(len(blocks), bool)
        self.base = 0
        self.nbytes = int(blocks["length"].sum())
        self._live = len(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def set_alive(self, segments: set[str]) -> None:
        """Note which segments exist."""
        exists = np.array([name in segments for name in self.segments], bool)
        self.alive = exists[self.blocks["segment"]]
        is_whole = self.alive.all()
        self._live = len(self) if is_whole else int(self.blocks["count"][self.alive].sum())

    def live_rows(self) -> int:
        """Return the number of rows whose segment exists; those overtaken by other rows count too."""
        return self._live

    def block(self, number: int) -> tuple[str, Block]:
        """Return a block by its number in this table, and the name of its segment."""
        record = self.blocks[number]
        block = Block(
            int(record["offset"]), int(record["length"]), int(record["count"]), record["digest"].tobytes()
        )
        return self.segments[int(record["segment"])], block


class Builder:
    """Collects the indexes of segments, for a table in memory."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._counts: list[int] = []
        self._blocks: list[tuple[int, int, int, int, bytes]] = []
        self._runs: list[tuple[int, int]] = []
        self._segments: list[str] = []

    def add(self, name: str, index: Index) -> None:
        """Add a segment."""
        number = len(self._segments)
        self._segments.append(name)
        self._keys.append(index.keys)
        self._runs += index.generations(name)
        for block in index.blocks:
            self._counts.append(block.count)
            self._blocks.append((number, block.count, block.offset, block.length, block.digest))

    @property
    def count(self) -> int:
        """The number of keys added so far."""
        return sum(len(keys) for keys in self._keys) // KEY_BYTES

    def build(self) -> Table:
        """Return the table of what was added."""
        counts = np.array(self._counts, np.int64)
        total = int(counts.sum())
        numbers = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
        positions = np.arange(total, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        values = np.array([generation for _, generation in self._runs], np.uint64)
        generations, ranks = np.unique(values, return_inverse=True)
        each = np.repeat(ranks, np.array([count for count, _ in self._runs], np.int64))
        rows = index_rows.pack(
            b"".join(self._keys), numbers, positions.astype(np.uint64), each.astype(np.uint64)
        )
        blocks = np.array(self._blocks, BLOCKS)
        return Table(Sorted(index_rows.sort(rows)), blocks, generations, self._segments)


def new_name(rows: int) -> str:
    """Return a unique name for an index file of so many rows."""
    return f"i{rows:012d}-{uuid.uuid4().hex[:16]}{SUFFIX}"


class Merging:
    """Tables that become one.

    Args:
        tables: the tables, those with later results last.
        replaces: the names of index files that the new one replaces.

    Attributes:
        fits: whether one file can hold them.
    """

    def __init__(self, tables: Sequence[Table], replaces: Sequence[str] = ()) -> None:
        self._tables = tables
        self._replaces = replaces
        self._generations = np.unique(np.concatenate([table.generations for table in tables]))
        self._segments: list[str] = []
        self._numbers: list[Array] = []
        blocks, first = [], 0
        known: dict[str, int] = {}
        for table in tables:
            own = table.blocks[table.alive].copy()
            renamed = np.array([known.setdefault(name, len(known)) for name in table.segments], np.uint32)
            own["segment"] = renamed[own["segment"]]
            numbers = np.zeros(len(table.blocks), np.uint64)
            numbers[table.alive] = np.arange(first, first + len(own), dtype=np.uint64)
            first += len(own)
            self._numbers.append(numbers)
            blocks.append(own)
        self._segments = list(known)
        self._blocks = np.concatenate(blocks)
        self.fits = first < index_rows.MOST_BLOCKS and len(self._generations) < index_rows.MOST_GENERATIONS

    @property
    def count(self) -> int:
        """The number of rows, about: those that are overtaken by others count too."""
        return sum(table.live_rows() for table in self._tables)

    def parts(self) -> Iterator[Array]:
        """Yield the merged rows in order, about a million at a time."""
        tables = [table for table in self._tables if len(table)]
        numbers = [n for n, table in zip(self._numbers, self._tables, strict=True) if len(table)]
        if not tables:
            return
        ranks = [np.searchsorted(self._generations, t.generations).astype(np.uint64) for t in tables]
        starts = [0] * len(tables)
        ends: list[np.uint64 | None] = [*index_rows.split([t.rows for t in tables], MERGED_ROWS), None]
        for end in ends:
            stops = [len(t) if end is None else t.rows.lower(end) for t in tables]
            some = [
                _renumbered(table, table.rows.slice(start, stop), own, rank)
                for table, start, stop, own, rank in zip(tables, starts, stops, numbers, ranks, strict=True)
            ]
            starts = stops
            yield index_rows.sort(np.concatenate(some))

    def table(self) -> Table:
        """Return the merged table in memory."""
        rows = np.concatenate([*self.parts(), np.empty((0, 3), np.uint64)])
        return Table(Sorted(rows), self._blocks, self._generations, self._segments)

    def encoded(self) -> Iterator[bytes]:
        """Yield the bytes of the merged table's file."""
        fences, checks = [], []
        rest, count, page = np.empty((0, 3), np.uint64), 0, 0
        for part in self.parts():
            rows = np.concatenate([rest, part]) if len(rest) else part
            full = len(rows) // PAGE
            rest = rows[full * PAGE :].copy()
            rows = rows[: full * PAGE]
            count += len(rows)
            fences.append(rows[::PAGE, 0].copy())
            pages = np.ascontiguousarray(rows).reshape(full, 3 * PAGE)
            checks.append(index_rows.checksums(pages, np.arange(page, page + full, dtype=np.uint64)))
            page += full
            yield pages.tobytes()
        if len(rest):
            count += len(rest)
            fences.append(rest[:1, 0])
            number = np.array([page], np.uint64)
            checks.append(index_rows.checksums(index_rows.padded(rest), number))
            yield rest.tobytes()
        names = json.dumps({"segments": self._segments, "replaces": list(self._replaces)}).encode()
        after = [*fences, *checks]
        ending = [array.astype("<u8").tobytes() for array in after]
        ending += [self._blocks.tobytes(), self._generations.astype("<u8").tobytes(), names]
        check = blake2b(digest_size=16)
        for item in ending:
            check.update(item)
        yield from ending
        yield _TAIL.pack(_MAGIC, count, len(self._blocks), len(self._generations), len(names), check.digest())


def _renumbered(table: Table, rows: Array, numbers: Array, ranks: Array) -> Array:
    """Return the rows of segments that exist, with the numbers and ranks of the merged table."""
    blocks, positions, old = index_rows.unpack(rows[:, 2])
    alive = table.alive[blocks]
    if not alive.all():
        rows, blocks, positions, old = rows[alive], blocks[alive], positions[alive], old[alive]
    new = np.array(rows)
    new[:, 2] = index_rows.locators(numbers[blocks], positions, ranks[old])
    return new


def opened(data: memoryview, name: str) -> Table:
    """Return the table in the bytes of an index file, of which only the part after the rows is read now.

    Raises:
        Damaged: the file is truncated or damaged.
    """
    counts, end = _counts(len(data), bytes(data[-_TAIL.size :]))
    rows = np.frombuffer(data, "<u8", 3 * counts[0]).reshape(-1, 3)
    return _table(data[end:], counts, name, lambda fences, checks: Sorted(rows, fences, checks))


def opened_remotely(
    read: Callable[[int, int], bytes], size: int, load: Callable[[], memoryview], name: str
) -> Table:
    """Return the table in an index file elsewhere, whose rows are read as they are searched.

    Args:
        read: returns bytes of the file, given their start and number.
        size: the size of the file.
        load: returns all of it, for a search of many keys.
        name: its name.

    Raises:
        Damaged: the file is truncated or damaged.
    """
    counts, end = _counts(size, read(max(0, size - _TAIL.size), _TAIL.size))

    def load_rows() -> Array:
        return np.frombuffer(load(), "<u8", 3 * counts[0]).reshape(-1, 3)

    def rows(fences: Array, checks: Array) -> Remote:
        return Remote(counts[0], fences, checks, read, load_rows)

    return _table(memoryview(read(end, size - end)), counts, name, rows)


def _counts(size: int, tail: bytes) -> tuple[tuple[int, int, int, int], int]:
    """Return the numbers of rows, blocks, generations and bytes of JSON, and where the rows end."""
    if len(tail) < _TAIL.size:
        raise Damaged(f"truncated after {size} bytes")
    magic, rows, blocks, generations, length, _ = _TAIL.unpack(tail)
    if magic != _MAGIC:
        raise Damaged("truncated, or not an index file")
    expected = rows * _ROW + _end_size(rows, blocks, generations, length)
    if expected != size:
        raise Damaged(f"{size:,} bytes, expected {expected:,}")
    return (rows, blocks, generations, length), rows * _ROW


def _end_size(rows: int, blocks: int, generations: int, length: int) -> int:
    return -(-rows // PAGE) * 16 + blocks * BLOCKS.itemsize + generations * 8 + length + _TAIL.size


def _table(
    end: memoryview,
    counts: tuple[int, int, int, int],
    name: str,
    rows: Callable[[Array, Array], Sorted],
) -> Table:
    """Return the table whose file ends so, with its rows made of their fences and checksums."""
    count, blocks, generations, length = counts
    pages = -(-count // PAGE)
    sizes = (pages * 8, pages * 8, blocks * BLOCKS.itemsize, generations * 8, length)
    offsets = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    check = bytes(end[-16:])
    if len(end) != offsets[-1] + _TAIL.size or _digest(end[: offsets[-1]]) != check:
        raise Damaged("its end does not match its checksum")
    fences, checks, values = (np.frombuffer(end, "<u8", sizes[i] // 8, offsets[i]) for i in (0, 1, 3))
    table_of_blocks = np.frombuffer(end, BLOCKS, blocks, offsets[2])
    names = json.loads(bytes(end[offsets[4] : offsets[5]]))
    if not all("/" not in each for kind in ("segments", "replaces") for each in names[kind]):
        raise Damaged("it names a file in another folder")
    if len(values) and int(values[-1]) >= MOST_GENERATION:
        raise Damaged("it claims a generation that cannot be")
    if blocks and int(table_of_blocks["segment"].max()) >= len(names["segments"]):
        raise Damaged("it names a segment that it does not list")
    found = rows(fences, checks)
    return Table(found, table_of_blocks, values, names["segments"], names["replaces"], name)


def _digest(data: memoryview) -> bytes:
    return blake2b(data, digest_size=16).digest()
