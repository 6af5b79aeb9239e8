"""Segments: the immutable files that hold finished results.

A segment holds the results of one batch: their keys, and their values pickled in blocks, each block a
list. It is written once, atomically, under a unique name, so writers never conflict. Checksums reveal a
damaged segment, which then counts as absent.

Layout, little-endian: the head, that is magic (8 bytes), number of keys and number of blocks (u64 each),
digest of the index (16 bytes); the index, that is the keys (16 bytes each), then for each block its number
of values, its length in bytes (u64 each) and its digest (16 bytes); the blocks.

A block is one pickled list if all its values are plain. Otherwise each value is pickled on its own, so that
no two share an object: magic (8 bytes), number of values (u64), the length of each (u64), the pickles.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.functions.frozen import Frozen, all_plain, thaw_or_tell
from lightwork.functions.pickling import dump, load
from lightwork.functions.raised import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY_BYTES = 16
_MAGIC = b"LWSEG\x01\r\n"
_HEAD = struct.Struct("<8sQQ16s")
_BLOCK = struct.Struct("<QQ16s")
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
    """The start of a segment: its number of keys, its number of blocks, and the digest of its index."""

    keys: int
    blocks: int
    digest: bytes

    @property
    def index_end(self) -> int:
        """Length in bytes of head and index together."""
        return HEAD_BYTES + self.keys * KEY_BYTES + self.blocks * _BLOCK.size


@dataclass(frozen=True, slots=True)
class Block:
    """The position of a block in its segment: offset and length in bytes, number of values, digest."""

    offset: int
    length: int
    count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Index:
    """The content of a segment: its keys and its blocks, both in order."""

    keys: bytes
    blocks: tuple[Block, ...]

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


def encode(keys: bytes, blocks: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """Return a segment as consecutive parts to write."""
    blocks = list(blocks)
    table = b"".join(_BLOCK.pack(count, len(data), digest(data)) for count, data in blocks)
    index = keys + table
    head = _HEAD.pack(_MAGIC, len(keys) // KEY_BYTES, len(blocks), digest(index))
    return [head, index, *(data for _, data in blocks)]


def decode_head(data: bytes | memoryview) -> Head:
    """Read a segment's head from its first bytes, at least `HEAD_BYTES` of them.

    Raises:
        SegmentError: truncated, or not a segment.
    """
    if len(data) < HEAD_BYTES:
        raise SegmentError(f"truncated after {len(data)} bytes")
    magic, keys, blocks, check = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        if magic[:5] == _MAGIC[:5] and magic[6:] == _MAGIC[6:]:
            raise IntactError("a segment of another version")
        raise SegmentError("not a segment")
    return Head(keys, blocks, check)


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
    index = bytes(data[HEAD_BYTES : head.index_end])
    if digest(index) != head.digest:
        raise SegmentError("its index does not match its checksum")
    blocks, offset, values = [], head.index_end, 0
    for count, length, check in _BLOCK.iter_unpack(index[head.keys * KEY_BYTES :]):
        if count > MOST_VALUES:
            raise SegmentError(f"a block claims {count:,} values")
        blocks.append(Block(offset, length, count, check))
        offset, values = offset + length, values + count
    if offset != size or values != head.keys:
        raise SegmentError(f"{size:,} bytes and {values:,} values, expected {offset:,} and {head.keys:,}")
    return Index(index[: head.keys * KEY_BYTES], tuple(blocks))


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


def merge(segments: Iterable[tuple[bytes, Index]]) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """Merge segments into few: small blocks are joined, large ones are kept as they are.

    Args:
        segments: each segment's bytes and index.

    Yields:
        Keys and blocks of the new segments, each about 64 MiB at most.
    """
    keys: list[bytes] = []
    blocks: list[tuple[int, bytes]] = []
    small: list[Any] = []
    size = small_size = 0
    for data, index in segments:
        keys.append(index.keys)
        for block in index.blocks:
            part = memoryview(data)[block.offset : block.offset + block.length]
            size += block.length
            if block.count >= BLOCK_VALUES // 4 or block.length >= BLOCK_BYTES // 4:
                if small:
                    blocks += to_blocks(small)
                    small, small_size = [], 0
                blocks.append((block.count, bytes(part)))
                continue
            small += read_block(part, block)
            small_size += block.length
            if len(small) >= BLOCK_VALUES or small_size >= BLOCK_BYTES:
                blocks += to_blocks(small)
                small, small_size = [], 0
        if size >= 64 << 20:
            blocks += to_blocks(small)
            yield b"".join(keys), blocks
            keys, blocks, small, size, small_size = [], [], [], 0, 0
    if keys:
        blocks += to_blocks(small)
        yield b"".join(keys), blocks
