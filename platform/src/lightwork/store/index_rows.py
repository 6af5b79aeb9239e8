"""Rows of an index: sorted arrays of keys, each with the place and the generation of its result.

An array of rows has three columns of 64 bits: the first and the second half of the key, and a locator. Rows
are sorted by key, and there is one for each key. A locator packs the number of a block (28 bits), the
position of the value in that block (16 bits) and the rank of its generation (20 bits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.uint64]

PAGE = 64
"""Rows that have a checksum together."""
FEW = 32
"""Keys up to which rows elsewhere are searched page by page."""
MOST_BLOCKS = 1 << 28
MOST_GENERATIONS = 1 << 20
_POSITION_AT = np.uint64(20)
_BLOCK_AT = np.uint64(36)
_POSITION = np.uint64(0xFFFF)
_RANK = np.uint64(MOST_GENERATIONS - 1)
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def halves(keys: bytes) -> tuple[Array, Array]:
    """Return the first and the second halves of joined keys, as numbers that sort as the keys do."""
    pairs = np.frombuffer(keys, dtype=">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def pack(keys: bytes, blocks: Array, positions: Array, ranks: Array) -> Array:
    """Return rows, not sorted yet.

    Args:
        keys: the keys, joined.
        blocks: the number of each one's block.
        positions: its position in that block.
        ranks: the rank of its generation.
    """
    rows = np.empty((len(keys) // 16, 3), np.uint64)
    rows[:, 0], rows[:, 1] = halves(keys)
    rows[:, 2] = locators(blocks, positions, ranks)
    return rows


def locators(blocks: Array, positions: Array, ranks: Array) -> Array:
    """Return locators for blocks, positions in them, and ranks of generations."""
    packed: Array = (blocks << _BLOCK_AT) | (positions << _POSITION_AT) | ranks
    return packed


def unpack(locators: Array) -> tuple[Array, Array, Array]:
    """Return the blocks, positions and ranks of locators."""
    return locators >> _BLOCK_AT, (locators >> _POSITION_AT) & _POSITION, locators & _RANK


def unpack_one(locator: int) -> tuple[int, int, int]:
    """Return the block, position and rank of one locator."""
    return locator >> 36, locator >> 20 & 0xFFFF, locator & (MOST_GENERATIONS - 1)


def sort(rows: Array) -> Array:
    """Sort rows by key; of rows with the same key keep the last one of the highest rank."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if not np.any(rows[1:, 0] == rows[:-1, 0]):
        return rows
    rows = rows[np.lexsort((rows[:, 2] & _RANK, rows[:, 1], rows[:, 0]))]
    is_last = np.ones(len(rows), bool)
    is_last[:-1] = np.any(rows[1:, :2] != rows[:-1, :2], axis=1)
    return rows[is_last]


def _weights(count: int) -> Array:
    """Return odd numbers, the same on every machine, by the splitmix64 generator."""
    state = (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    odd: Array = (state ^ (state >> np.uint64(31))) | np.uint64(1)
    return odd


_WEIGHTS = _weights(3 * PAGE)
_NUMBER_WEIGHT = np.uint64(0xD6E8FEB86659FD93)


def checksums(pages: Array, numbers: Array) -> Array:
    """Return the checksums of pages: a change of any one number in a page changes it for certain.

    Args:
        pages: their rows, one page a line of the array.
        numbers: the numbers of the pages in their file.
    """
    sums: Array = np.einsum("ij,j->i", pages, _WEIGHTS) + (numbers + np.uint64(1)) * _NUMBER_WEIGHT
    return sums


def padded(rows: Array) -> Array:
    """Return the rows of a last page that is not full as one line of a full one."""
    page = np.full((PAGE, 3), _LAST, np.uint64)
    page[: len(rows)] = rows
    return page.reshape(1, -1)


class Damaged(ValueError):  # noqa: N818 - a state of the rows, which the file's reader reports
    """Rows that do not match their checksums."""


class Sorted:
    """Sorted rows, searched in bulk.

    Args:
        rows: the rows, in memory or in a mapped file.
        fences: the first half of the first key of each page.
        checks: the checksum of each page; None if the rows need none.
    """

    def __init__(self, rows: Array, fences: Array | None = None, checks: Array | None = None) -> None:
        self.rows = rows
        self.fences = rows[::PAGE, 0].copy() if fences is None else fences
        self._checks = checks
        full = len(rows) // PAGE
        self._full = rows[: full * PAGE].reshape(full, 3 * PAGE)
        self._rest = rows[full * PAGE :]
        self._checked = np.zeros(len(self.fences), bool)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_remote(self) -> bool:
        """Whether the rows are elsewhere."""
        return False

    def pages(self, numbers: Array) -> Array:
        """Return the rows of pages, one page a line, checked.

        Raises:
            Damaged: a page does not match its checksum.
        """
        if not len(self._rest):
            pages: Array = self._full[numbers]
        else:
            pages = np.empty((len(numbers), 3 * PAGE), np.uint64)
            is_full = numbers < len(self._full)
            pages[is_full] = self._full[numbers[is_full]]
            pages[~is_full] = padded(self._rest)
        if self._checks is not None and not self._checked[numbers].all():
            if not np.array_equal(checksums(pages, numbers), self._checks[numbers]):
                raise Damaged("rows of it do not match their checksum")
            self._checked[numbers] = True
        return pages

    def slice(self, start: int, stop: int) -> Array:
        """Return rows `start` to `stop`, checked.

        Raises:
            Damaged: a page does not match its checksum.
        """
        first = start // PAGE
        numbers = np.arange(first, -(-stop // PAGE), dtype=np.uint64)
        pages = self.pages(numbers).reshape(-1, 3)
        return pages[start - first * PAGE : stop - first * PAGE]

    def lower(self, half: np.uint64) -> int:
        """Return the number of rows whose key's first half is below a number."""
        page = max(0, int(np.searchsorted(self.fences, half, "left")) - 1)
        rows = self.slice(page * PAGE, min(len(self), (page + 1) * PAGE))
        return page * PAGE + int(np.searchsorted(np.ascontiguousarray(rows[:, 0]), half, "left"))

    def search(self, firsts: Array, seconds: Array) -> tuple[NDArray[np.bool_], Array]:
        """Search keys.

        Args:
            firsts: their first halves, ascending.
            seconds: their second halves.

        Returns:
            Whether each is there, and its locator, which has no meaning if it is not.

        Raises:
            Damaged: a page that was read does not match its checksum.
        """
        count = len(firsts)
        found, locators = np.zeros(count, bool), np.zeros(count, np.uint64)
        if not count or not len(self):
            return found, locators
        step = 2048
        if count * 8 >= len(self):  # most pages are read: read each once
            column = np.concatenate(
                [self.slice(i, min(len(self), i + (1 << 16)))[:, 0] for i in range(0, len(self), 1 << 16)]
            )
            self._match(np.searchsorted(column, firsts, "left"), firsts, seconds, found, locators)
            return found, locators
        for start in range(0, count, step):
            part = slice(start, start + step)
            some = firsts[part]
            numbers = np.maximum(np.searchsorted(self.fences, some, "left") - 1, 0).astype(np.uint64)
            pages = self.pages(numbers)
            below = (pages.reshape(-1, PAGE, 3)[:, :, 0] < some[:, None]).sum(axis=1)
            places = numbers.astype(np.int64) * PAGE + below
            # The next page begins with the key, says its fence: its row does not count unchecked.
            after = np.unique(numbers[(below == PAGE) & (numbers + 1 < len(self.fences))]) + np.uint64(1)
            self.pages(after[np.isin(self.fences[after], some)])
            self._match(places, some, seconds[part], found[part], locators[part])
        return found, locators

    def find(self, first: np.uint64, second: np.uint64) -> int | None:
        """Search one key, as `search` does; return its locator, None if it is not there."""
        rows, page = self.rows, max(0, int(self.fences.searchsorted(first)) - 1)
        self._check(page)
        start = page * PAGE
        at = start + int(rows[start : start + PAGE, 0].searchsorted(first))
        if at == start + PAGE and page + 1 < len(self.fences) and self.fences[page + 1] == first:
            self._check(page + 1)
        while at < len(rows) and rows[at, 0] == first:
            self._check(at // PAGE)
            if rows[at, 1] == second:
                return int(rows[at, 2])
            at += 1
        return None

    def _check(self, page: int) -> None:
        if not self._checked[page]:
            self.pages(np.array([page], np.uint64))
            self._checked[page] = True

    def _match(
        self, places: Any, firsts: Array, seconds: Array, found: NDArray[np.bool_], locators: Array
    ) -> None:
        """Compare keys with the rows at their places, and with those after them that begin alike."""
        left = np.flatnonzero(places < len(self))
        at = places[left]
        while len(left):
            rows = self.rows[at]
            alike = rows[:, 0] == firsts[left]
            left, at, rows = left[alike], at[alike], rows[alike]
            if not len(left):
                return
            self.pages(np.unique(at // PAGE).astype(np.uint64))
            same = rows[:, 1] == seconds[left]
            found[left[same]] = True
            locators[left[same]] = rows[same, 2]
            left, at = left[~same], at[~same] + 1
            inside = at < len(self)
            left, at = left[inside], at[inside]


class Remote(Sorted):
    """Sorted rows elsewhere: pages are read for a search of few keys, all of them for anything else.

    Args:
        count: the number of rows.
        fences: the first half of the first key of each page.
        checks: the checksum of each page.
        read: returns bytes of the rows, given their start and number.
        load: returns all rows.
    """

    def __init__(
        self,
        count: int,
        fences: Array,
        checks: Array,
        read: Callable[[int, int], bytes],
        load: Callable[[], Array],
    ) -> None:
        super().__init__(np.empty((0, 3), np.uint64), fences, checks)
        self._count = count
        self._read = read
        self._load = load
        self._is_here = False

    def __len__(self) -> int:
        return self._count

    @property
    def is_remote(self) -> bool:
        """Whether the rows are elsewhere."""
        return not self._is_here

    def pages(self, numbers: Array) -> Array:
        """Return the rows of pages, as `Sorted` does."""
        self._bring()
        return super().pages(numbers)

    def search(self, firsts: Array, seconds: Array) -> tuple[NDArray[np.bool_], Array]:
        """Search keys, as `Sorted` does."""
        if self._is_here or len(firsts) > FEW:
            self._bring()
            return super().search(firsts, seconds)
        found, locators = np.zeros(len(firsts), bool), np.zeros(len(firsts), np.uint64)
        for i, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            rows = self._around(first)
            at = np.flatnonzero((rows[:, 0] == first) & (rows[:, 1] == second))
            if len(at):
                found[i], locators[i] = True, rows[at[0], 2]
        return found, locators

    def _around(self, first: np.uint64) -> Array:
        """Read the pages that may have keys with this first half.

        Raises:
            Damaged: one does not match its checksum.
        """
        start = max(0, int(np.searchsorted(self.fences, first, "left")) - 1)
        stop = max(start + 1, int(np.searchsorted(self.fences, first, "right")))
        size = 24 * PAGE
        data = self._read(start * size, min(24 * self._count, stop * size) - start * size)
        if len(data) % 24:
            raise Damaged("truncated in its rows")
        rows = np.frombuffer(data, "<u8").reshape(-1, 3)
        full = len(rows) // PAGE
        pages = rows[: full * PAGE].reshape(full, 3 * PAGE)
        if len(rows) % PAGE:
            pages = np.concatenate([pages, padded(rows[full * PAGE :])])
        numbers = np.arange(start, start + len(pages), dtype=np.uint64)
        if self._checks is not None and not np.array_equal(
            checksums(pages, numbers), self._checks[start:stop]
        ):
            raise Damaged("rows of it do not match their checksum")
        return rows

    def _bring(self) -> None:
        if not self._is_here:
            super().__init__(self._load(), self.fences, self._checks)
            self._is_here = True


def split(tables: Sequence[Sorted], most: int) -> list[np.uint64]:
    """Return first halves of keys that divide the rows of some tables into parts of about `most` rows."""
    fences = np.sort(np.concatenate([table.fences for table in tables]))
    step = max(1, most // PAGE)
    return [np.uint64(fence) for fence in np.unique(fences[step::step])]
