"""Segments: the immutable files in which finished results are kept.

A segment holds the results of one batch: their keys, and their values pickled in blocks, each block a
list. It is written once, in one atomic step, under a name of its own, so that any number of writers
never meet; and it carries checksums, so that a damaged one is noticed and counts as absent.

Layout, little-endian: magic (8 bytes); number of keys, number of blocks (u64 each); digest of what
follows up to the blocks (16 bytes); the keys (16 bytes each); for each block its number of values, its
length in bytes (u64 each) and its digest (16 bytes); the blocks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lightwork.functions.pickling import dump, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAGIC = b"LWSEG\x01\r\n"
KEY_BYTES = 16
HEAD = struct.Struct("<8sQQ16s")
BLOCK = struct.Struct("<QQ16s")
BLOCK_VALUES = 4096
BLOCK_BYTES = 256 * 1024


class SegmentError(ValueError):
    """A segment that is truncated or damaged; the text says how."""


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block lies in its segment: offset and length in bytes, number of values, digest."""

    offset: int
    length: int
    count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Index:
    """What a segment holds: its keys in order, and its blocks in order."""

    keys: bytes
    blocks: tuple[Block, ...]

    @property
    def count(self) -> int:
        """Number of keys."""
        return len(self.keys) // KEY_BYTES


def digest(data: bytes | memoryview) -> bytes:
    """The 16-byte digest that guards a part of a segment."""
    return blake2b(data, digest_size=16).digest()


def to_blocks(values: Sequence[Any]) -> list[tuple[int, bytes]]:
    """Pickle values in blocks of at most 4,096 values, smaller where values are large.

    Returns:
        For each block its number of values and its bytes.
    """
    blocks: list[tuple[int, bytes]] = []
    start, step = 0, BLOCK_VALUES
    while start < len(values):
        part = values[start : start + step]
        data = dump(part)
        if len(data) > 2 * BLOCK_BYTES and len(part) > 1:
            step = max(1, len(part) * BLOCK_BYTES // len(data))
            continue
        blocks.append((len(part), data))
        start += len(part)
    return blocks


def from_block(data: bytes | memoryview) -> list[Any]:
    """The values of a block."""
    values: list[Any] = load(data)
    return values


def encode(keys: bytes, blocks: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """A segment, as the parts to write one after the other."""
    blocks = list(blocks)
    table = b"".join(BLOCK.pack(count, len(data), digest(data)) for count, data in blocks)
    index = keys + table
    head = HEAD.pack(MAGIC, len(keys) // KEY_BYTES, len(blocks), digest(index))
    return [head, index, *(data for _, data in blocks)]


def index_bytes(keys: int, blocks: int) -> int:
    """Length in bytes of head and index together."""
    return HEAD.size + keys * KEY_BYTES + blocks * BLOCK.size


def decode_index(data: bytes | memoryview, size: int) -> Index:
    """Read a segment's index from its first bytes.

    Args:
        data: at least `index_bytes` of the segment.
        size: the whole segment's length in bytes.

    Raises:
        SegmentError: truncated or damaged.
    """
    if len(data) < HEAD.size:
        raise SegmentError(f"truncated after {len(data)} bytes")
    magic, count, blocks, check = HEAD.unpack_from(data)
    if magic != MAGIC:
        raise SegmentError("not a segment of this version")
    end = index_bytes(count, blocks)
    if len(data) < end:
        raise SegmentError("truncated in its index")
    index = bytes(data[HEAD.size : end])
    if digest(index) != check:
        raise SegmentError("its index does not match its checksum")
    table, offset, held = [], end, 0
    for number, length, block_check in BLOCK.iter_unpack(index[count * KEY_BYTES :]):
        table.append(Block(offset, length, number, block_check))
        offset, held = offset + length, held + number
    if offset != size or held != count:
        raise SegmentError(f"{size:,} bytes long instead of {offset:,}")
    return Index(index[: count * KEY_BYTES], tuple(table))


def split_keys(keys: bytes) -> list[bytes]:
    """The keys one by one."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


def read_block(data: bytes | memoryview, block: Block) -> list[Any]:
    """Check a block's bytes and give its values.

    Raises:
        SegmentError: damaged, or written by code whose classes are gone.
    """
    if len(data) != block.length or digest(data) != block.digest:
        raise SegmentError("a block does not match its checksum")
    try:
        values = from_block(data)
    except Exception as error:
        raise SegmentError(f"a block cannot be read back ({type(error).__name__}: {error})") from error
    if len(values) != block.count:
        raise SegmentError("a block has the wrong number of values")
    return values


def merge(segments: Iterable[tuple[bytes, Index]]) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """Merge whole segments into few: small blocks become one, large ones are kept as they are.

    Args:
        segments: each segment's bytes and index.

    Yields:
        Keys and blocks of the new segments, each some 64 MiB at most.
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
