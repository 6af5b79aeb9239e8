"""Reading of segments: many at once, and each with what is wrong with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.segments import Index, IntactError, SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.lake import Entry, Lake

_AT_ONCE = 32
_READ_WHOLE = 4 << 20  # bytes: of larger segments, the index alone is read
KEPT_WHOLE = 256 << 10
"""Bytes of a segment that is returned whole with its index."""


def read_index(lake: Lake, entry: Entry) -> tuple[Index, bytes] | SegmentError | None:
    """Read the index of a segment.

    Returns:
        The index, and the whole segment if it is small, else b""; what is wrong with it; None if it is gone.
    """
    try:
        if entry.size <= _READ_WHOLE:
            data = lake.read(entry.path)
            index = segments.decode_index(data, len(data))
            return index, data if entry.size <= KEPT_WHOLE else b""
        head = segments.decode_head(lake.read_range(entry.path, 0, segments.HEAD_BYTES))
        if head.index_end > entry.size:
            return SegmentError("truncated in its index")
        return segments.decode_index(lake.read_range(entry.path, 0, head.index_end), entry.size), b""
    except SegmentError as error:
        return error
    except FileNotFoundError:
        return None


def remove_damaged(lake: Lake, path: str) -> None:
    """Delete a segment if it is damaged when it is read again, and this user may."""
    with contextlib.suppress(LightworkError):  # a lake that may only be read
        try:
            check_whole(lake.read(path))
        except (FileNotFoundError, IntactError):
            return
        except SegmentError:
            lake.delete([path])


def warn(lake: Lake, path: str, error: SegmentError) -> None:
    """Warn of a segment that cannot be read."""
    get_logger("lightwork").warning(
        f"ignored a damaged file, its results are computed again: {lake.uri(path)}: {error}"
    )


def check_whole(data: bytes) -> Index:
    """Read all of a segment; return its index.

    Raises:
        SegmentError: it is damaged, or cannot be unpickled.
    """
    index = segments.decode_index(data, len(data))
    for block in index.blocks:
        segments.read_block(memoryview(data)[block.offset : block.offset + block.length], block)
    return index


def in_parallel(function: Any, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each item with the function's result, several lake reads at a time, in bounded memory."""
    if len(items) < 4:
        yield from ((item, function(item)) for item in items)
        return
    for start in range(0, len(items), _AT_ONCE):
        part = items[start : start + _AT_ONCE]
        try:
            results = in_threads(function, part, 16)
        except RuntimeError:  # this process ends, and starts no threads any more
            results = [function(item) for item in part]
        yield from zip(part, results, strict=True)
