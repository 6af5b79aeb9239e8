"""Segments: the immutable files that hold finished results.

A segment holds the results of one batch: their keys, and their values pickled in blocks, each block a
list. It is written once, atomically, under a unique name, so writers never conflict. Checksums reveal a
damaged segment, which then counts as absent.

Layout, little-endian: the head, that is magic (8 bytes), number of keys, of blocks and of runs (u64 each),
digest of the index (16 bytes); the index, that is the keys (16 bytes each), then for each block its number
of values, its length in bytes (u64 each) and its digest (16 bytes), then for each run of keys with the same
generation their number and the generation (u64 each); the blocks. Segments of earlier versions have no runs:
their generation is the time in their name.

A segment is called `g<generation>-<time>-<random>.seg`: the highest generation in it and the time of the
commit in nanoseconds, 20 digits each. Of two results of a key, the one with the higher generation counts; of
the same generation, either is right, and the one in the later name is taken. A segment that is merged from
others sorts after them, so that a list that is read page by page has the parts, or the whole, or both.

A block is one pickled list if all its values are plain. Otherwise each value is pickled on its own, so that
no two share an object: magic (8 bytes), number of values (u64), the length of each (u64), the pickles.
"""

from __future__ import annotations

import itertools
import re
import struct
import time
import uuid
from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.functions.frozen import Frozen, all_plain, thaw_or_tell
from lightwork.functions.pickling import dump, load
from lightwork.functions.raised import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEY_BYTES = 16
SUFFIX = ".seg"
_MAGIC = b"LWSEG\x02\r\n"
_HEAD = struct.Struct("<8sQQQ16s")
_OLD_MAGIC = b"LWSEG\x01\r\n"
_OLD_HEAD = struct.Struct("<8sQQ16s")
_BLOCK = struct.Struct("<QQ16s")
_RUN = struct.Struct("<QQ")
_NAME = re.compile(r"(?:g([0-9]{20})-)?([0-9]{20})-[0-9a-f]{16}\.seg")
MOST_GENERATION = 1 << 63
"""No generation is as high; a file that claims one is damaged."""
_EACH = b"LWEACH1\n"
_COUNT = struct.Struct("<Q")
_COPIED = 1 << 14
"""Bytes up to which a value's pickle is copied out of its block rather than referred to."""
HEAD_BYTES = _HEAD.size
BLOCK_VALUES = 4096
MOST_VALUES = 1 << 16
"""The number of values above which a block is damaged; positions in a block have 16 bits."""
BLOCK_BYTES = 256 * 1024


class SegmentError(ValueError):
    """A truncated or damaged segment; the text gives the reason."""


class IntactError(SegmentError):
    """A segment that is whole, but of another version, or written by code whose classes are gone."""


class Head(NamedTuple):
    """The start of a segment: its numbers of keys, blocks and runs, its index's digest, its own length."""

    keys: int
    blocks: int
    runs: int
    digest: bytes
    length: int

    @property
    def index_end(self) -> int:
        """Length in bytes of head and index together."""
        return self.length + self.keys * KEY_BYTES + self.blocks * _BLOCK.size + self.runs * _RUN.size


class Name(NamedTuple):
    """What a segment's name says: its highest generation, and the time of its commit in nanoseconds."""

    generation: int
    moment: int


def name_of(path: str) -> Name:
    """Return what the name of a segment says, zeros if it was not written by lightwork."""
    match = _NAME.fullmatch(path.rpartition("/")[2])
    if match is None:
        return Name(0, 0)
    moment = int(match[2])
    generation = moment if match[1] is None else int(match[1])
    return Name(generation if generation < MOST_GENERATION else 0, moment)


def new_name(generation: int, after: int = 0) -> str:
    """Return a unique name for a segment.

    Args:
        generation: the highest generation in it.
        after: the name sorts after those of this generation with this time.
    """
    moment = max(time.time_ns(), after + 1)
    return f"g{generation:020d}-{moment:020d}-{uuid.uuid4().hex[:16]}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Block:
    """The position of a block in its segment: offset and length in bytes, number of values, digest."""

    offset: int
    length: int
    count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Index:
    """The content of a segment: its keys and its blocks, both in order.

    Attributes:
        keys: 16 bytes each, joined.
        blocks: the positions of the blocks.
        runs: numbers of consecutive keys and their generation; empty in a segment of an earlier version.
    """

    keys: bytes
    blocks: tuple[Block, ...]
    runs: tuple[tuple[int, int], ...] = ()

    def generations(self, path: str) -> tuple[tuple[int, int], ...]:
        """Return the runs; for a segment of an earlier version, one run by the time in its name."""
        return self.runs or ((self.count, name_of(path).generation),)

    @property
    def count(self) -> int:
        """Number of keys."""
        return len(self.keys) // KEY_BYTES


def digest(data: bytes | memoryview) -> bytes:
    """Return the 16-byte digest that protects a part of a segment."""
    return blake2b(data, digest_size=16).digest()


def to_blocks(values: Sequence[Any]) -> list[tuple[int, bytes]]:
    """Pickle values in blocks of at most 4,096 values, smaller where values are large.

    Args:
        values: the values; `Frozen` ones are written as they were frozen.

    Returns:
        For each block its number of values and its bytes.
    """
    blocks: list[tuple[int, bytes]] = []
    if not all_plain(values):
        part: list[bytes | memoryview] = []
        size = 0
        for value in values:
            data = value.data if type(value) is Frozen else dump(value)
            part.append(data)
            size += len(data)
            if len(part) == BLOCK_VALUES or size >= BLOCK_BYTES:
                blocks.append((len(part), _join(part)))
                part, size = [], 0
        if part:
            blocks.append((len(part), _join(part)))
        return blocks
    start, step = 0, BLOCK_VALUES
    while start < len(values):
        some = values[start : start + step]
        pickled = dump(some)
        if len(pickled) > 2 * BLOCK_BYTES and len(some) > 1:
            step = max(1, len(some) * BLOCK_BYTES // len(pickled))
            continue
        blocks.append((len(some), pickled))
        start += len(some)
    return blocks


def _join(pickles: list[bytes | memoryview]) -> bytes:
    lengths = struct.pack(f"<{len(pickles)}Q", *map(len, pickles))
    return b"".join([_EACH, _COUNT.pack(len(pickles)), lengths, *pickles])


def from_block(data: bytes | memoryview) -> list[Any]:
    """Return the values of a block, each as a new object, or `Unfreezable` if it cannot be loaded."""
    return [thaw_or_tell(value) for value in frozen_from_block(data)]


def frozen_from_block(data: bytes | memoryview) -> list[Any]:
    """Return the values of a block: all of them plain, or all of them `Frozen`."""
    if data[: len(_EACH)] != _EACH:
        values: list[Any] = load(data)
        if type(values) is not list:
            raise SegmentError(f"a block holds {type(values).__name__}, not a list")
        # Written before values were pickled one by one.
        return values if all_plain(values) else [Frozen(dump(value)) for value in values]
    view = memoryview(data)
    start = len(_EACH) + _COUNT.size
    if len(view) < start:
        raise SegmentError("a block is truncated")
    (count,) = _COUNT.unpack_from(view, len(_EACH))
    if count > MOST_VALUES or len(view) < start + count * _COUNT.size:
        raise SegmentError(f"a block claims {count:,} values")
    lengths = struct.unpack_from(f"<{count}Q", view, start)
    start += count * _COUNT.size
    if sum(lengths) != len(view) - start:
        raise SegmentError("the lengths of a block's values do not add up to its own")
    frozen = []
    for length in lengths:
        part = view[start : start + length]
        frozen.append(Frozen(part if length > _COPIED else bytes(part)))
        start += length
    return frozen


def encode(
    keys: bytes, blocks: Iterable[tuple[int, bytes]], runs: Sequence[tuple[int, int]] = ()
) -> list[bytes]:
    """Return a segment as consecutive parts to write.

    Args:
        keys: 16 bytes for each value, joined.
        blocks: for each block its number of values and its bytes.
        runs: numbers of consecutive keys and their generation; by default all have generation 0.
    """
    blocks = list(blocks)
    count = len(keys) // KEY_BYTES
    runs = runs or [(count, 0)]
    table = b"".join(_BLOCK.pack(count, len(data), digest(data)) for count, data in blocks)
    index = keys + table + b"".join(_RUN.pack(*run) for run in runs)
    head = _HEAD.pack(_MAGIC, count, len(blocks), len(runs), digest(index))
    return [head, index, *(data for _, data in blocks)]


def decode_head(data: bytes | memoryview) -> Head:
    """Read a segment's head from its first bytes, `HEAD_BYTES` of them or all that there are.

    Raises:
        SegmentError: truncated, or not a segment.
    """
    magic = bytes(data[: len(_MAGIC)])
    if magic == _OLD_MAGIC and len(data) >= _OLD_HEAD.size:
        _, keys, blocks, check = _OLD_HEAD.unpack_from(data)
        return Head(keys, blocks, 0, check, _OLD_HEAD.size)
    if len(data) < (_OLD_HEAD if magic == _OLD_MAGIC else _HEAD).size:
        raise SegmentError(f"truncated after {len(data)} bytes")
    magic, keys, blocks, runs, check = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        if magic[:5] == _MAGIC[:5] and magic[6:] == _MAGIC[6:]:
            raise IntactError("a segment of another version")
        raise SegmentError("not a segment")
    return Head(keys, blocks, runs, check, _HEAD.size)


def decode_index(data: bytes | memoryview, size: int) -> Index:
    """Read a segment's index from its first bytes.

    Args:
        data: the segment's bytes, at least up to the end of its index.
        size: the length of the complete segment in bytes.

    Raises:
        SegmentError: truncated or damaged.
    """
    head = decode_head(data)
    if len(data) < head.index_end:
        raise SegmentError("truncated in its index")
    index = bytes(data[head.length : head.index_end])
    if digest(index) != head.digest:
        raise SegmentError("its index does not match its checksum")
    blocks, offset, values = [], head.index_end, 0
    table, end = head.keys * KEY_BYTES, len(index) - head.runs * _RUN.size
    for count, length, check in _BLOCK.iter_unpack(index[table:end]):
        if count > MOST_VALUES:
            raise SegmentError(f"a block claims {count:,} values")
        blocks.append(Block(offset, length, count, check))
        offset, values = offset + length, values + count
    if offset != size or values != head.keys:
        raise SegmentError(f"{size:,} bytes and {values:,} values, expected {offset:,} and {head.keys:,}")
    runs = tuple(_RUN.iter_unpack(index[end:]))
    if head.runs and sum(count for count, _ in runs) != head.keys:
        raise SegmentError("its generations are not those of its keys")
    if any(generation >= MOST_GENERATION for _, generation in runs):
        raise SegmentError("it claims a generation that cannot be")
    return Index(index[:table], tuple(blocks), runs)


def split_keys(keys: bytes) -> list[bytes]:
    """Split joined keys into a list."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


def read_block(data: bytes | memoryview, block: Block) -> list[Any]:
    """Check the bytes of a block and return its values: all of them plain, or all of them `Frozen`.

    Raises:
        SegmentError: damaged, or written by code whose classes are gone.
    """
    if len(data) != block.length or digest(data) != block.digest:
        raise SegmentError("a block does not match its checksum")
    try:
        values = frozen_from_block(data)
    except SegmentError:
        raise
    except Exception as error:
        raise unpickling_error(error) from error
    if len(values) != block.count:
        raise SegmentError("a block has the wrong number of values")
    return values


def unpickling_error(error: BaseException) -> SegmentError:
    """Return the error of a block whose values cannot be unpickled, usually because classes are gone."""
    return IntactError(f"a block cannot be unpickled ({describe(error)})")


class Merger:
    """Joins segments into few: small blocks are joined, large ones are kept as they are."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._runs: list[tuple[int, int]] = []
        self._blocks: list[tuple[int, bytes]] = []
        self._small: list[Any] = []
        self._small_bytes = 0
        self.size = 0

    def add(
        self, data: bytes, index: Index, runs: Sequence[tuple[int, int]], taken: Sequence[bool] | None = None
    ) -> None:
        """Add a segment.

        Args:
            data: its bytes.
            index: its index.
            runs: the generations of its keys.
            taken: for each key whether its result is needed; by default all are. Those in large blocks are
                kept in any case.
        """
        starts = [0, *itertools.accumulate(count for count, _ in runs)]
        start = 0
        for block in index.blocks:
            part = memoryview(data)[block.offset : block.offset + block.length]
            stop = start + block.count
            self.size += block.length
            chosen = [slice(start, stop)]
            if block.count >= BLOCK_VALUES // 4 or block.length >= BLOCK_BYTES // 4:
                self._join_small()
                self._blocks.append((block.count, bytes(part)))
            else:
                values = read_block(part, block)
                if taken is not None and not all(taken[start:stop]):
                    chosen = [slice(i, i + 1) for i in range(start, stop) if taken[i]]
                    values = [values[one.start - start] for one in chosen]
                self._small += values
                self._small_bytes += block.length
                if len(self._small) >= BLOCK_VALUES or self._small_bytes >= BLOCK_BYTES:
                    self._join_small()
            for one in chosen:
                self._keys.append(index.keys[one.start * KEY_BYTES : one.stop * KEY_BYTES])
                first = bisect_right(starts, one.start) - 1
                for at, (_, generation) in enumerate(runs[first:], first):
                    if starts[at] >= one.stop:
                        break
                    count = min(one.stop, starts[at + 1]) - max(one.start, starts[at])
                    self._add_run(count, generation)
            start = stop

    def take(self) -> tuple[bytes, list[tuple[int, bytes]], list[tuple[int, int]]]:
        """Return the keys, blocks and generations of one segment of what was added, and start anew."""
        self._join_small()
        joined = b"".join(self._keys), self._blocks, self._runs
        self._keys, self._blocks, self._runs, self.size = [], [], [], 0
        return joined

    def _join_small(self) -> None:
        if self._small:
            self._blocks += to_blocks(self._small)
        self._small, self._small_bytes = [], 0

    def _add_run(self, count: int, generation: int) -> None:
        if self._runs and self._runs[-1][1] == generation:
            self._runs[-1] = (self._runs[-1][0] + count, generation)
        elif count:
            self._runs.append((count, generation))
