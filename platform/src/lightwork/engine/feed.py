"""The input of a map: read in pages as needed, with cached results already filled in."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.functions.frozen import ATOMIC, Frozen, freeze_input, is_plain
from lightwork.functions.pickling import dump, noting
from lightwork.store.results import MISSING, CodeResults

if TYPE_CHECKING:
    from lightwork.functions.mapped import Place

PAGE = 1 << 15
"""Elements in a page, at most."""
PAGE_BYTES = 16 << 20
"""Bytes of a page's elements or results, roughly and at most."""
AHEAD = 1 << 19
"""Elements that may be read and not yet handed out."""
AHEAD_BYTES = 256 << 20
"""Bytes that these may take."""
_PATIENCE = 0.05
"""Seconds of reading after which an input counts as slow."""

Keyer = Callable[[Sequence[Any]], Sequence[bytes | None]]


class Page:
    """Consecutive elements of the input, with their results so far.

    Attributes:
        start: the index of the first element in the input.
        elements: the inputs; those that may change are `Frozen`, unless the feed is live.
        keys: the key of each element, None for one without a stable key; None if nothing is cached.
        values: the result of each element or its `Failure`; `MISSING` until there is one.
    """

    __slots__ = ("elements", "keys", "start", "values")

    def __init__(self, start: int, elements: list[Any], keys: Sequence[bytes | None] | None) -> None:
        self.start = start
        self.elements = elements
        self.keys = keys
        self.values: list[Any] = [MISSING] * len(elements)


class Span(NamedTuple):
    """Some elements of a page, given by their positions in it."""

    page: Page
    positions: Sequence[int]

    @property
    def start(self) -> int:
        """The index of the first of them in the input; there must be one."""
        return self.page.start + self.positions[0]

    def elements(self) -> list[Any]:
        """Return the inputs."""
        if isinstance(self.positions, range):
            return self.page.elements[self.positions.start : self.positions.stop]
        return [self.page.elements[i] for i in self.positions]

    def keys(self) -> Sequence[bytes | None] | None:
        """Return the keys; None if the page has none."""
        if self.page.keys is None:
            return None
        if isinstance(self.positions, range):
            return self.page.keys[self.positions.start : self.positions.stop]
        return [self.page.keys[i] for i in self.positions]

    def put(self, values: list[Any]) -> None:
        """Store the results, given in the same order."""
        if isinstance(self.positions, range):
            self.page.values[self.positions.start : self.positions.stop] = values
            return
        for i, value in zip(self.positions, values, strict=True):
            self.page.values[i] = value


class Feed:
    """Reads the input of a map, and tracks which elements are still to be computed.

    An element counts as it was when it was read, even if its source changes it later, as one does that fills
    the same buffer again and again. `read_page` therefore freezes an element that may change, and takes its
    key, at once; `stream` reads it only when all before it are handed out.

    Args:
        source: the input.
        total: the number of elements; None if unknown.
        keyer: computes the keys of elements; None if nothing is cached.
        results: the task's results in the lake; None if they are not looked up.
        since: the least generation of a result that counts.
        live: whether the feed is read by `stream`; otherwise by `read_page` and `take`.
        place: where large buffers of frozen elements are stored for workers; None sends them.
        ordered: whether results are handed out page by page; otherwise by `ready`.

    Attributes:
        pages: the pages that are read and not fully handed out, in order.
        waiting: the number of elements to compute that are not in a batch.
        exhausted: whether the input has ended.
        slow: whether the last read took long.
        read: the number of elements read so far.
        cached: how many of them were in the lake.
        emitted: the number of results handed out.
        ready: what has results that are to be handed out in any order; None if the order matters.
        names: the first-party names in the elements that are frozen, as `pickling.noting` notes them.
    """

    def __init__(
        self,
        source: Iterator[Any],
        total: int | None,
        keyer: Keyer | None,
        results: CodeResults | None,
        since: int = 0,
        *,
        live: bool = False,
        place: Place | None = None,
        ordered: bool = True,
    ) -> None:
        self._source = source
        self._total = total
        self._keyer = keyer
        self._results = results
        self._since = since
        self._live = live
        self._place = place
        self._first: list[Any] = []
        self._held: list[Any] = []
        self._pending: list[tuple[int, Span]] = []  # a heap: the earliest elements first
        self._read_size = 1
        self._element_bytes = 0.0
        self._source_error: Exception | None = None
        self.slow = False
        self.names: set[tuple[str, str]] = set()
        self.pages: deque[Page] = deque()
        self.ready: deque[Span] | None = None if ordered else deque()
        self.waiting = 0
        self.exhausted = False
        self.read = 0
        self.cached = 0
        self.emitted = 0

    def left(self) -> int | None:
        """Return the number of elements not in a batch yet, including unread ones; None if unknown."""
        if self.exhausted:
            return self.waiting
        if self._total is None:
            return None
        return self.waiting + max(0, self._total - self.read)

    def full(self, output_bytes: float) -> bool:
        """Return whether reading must pause because it is too far ahead of the results handed out."""
        ahead = self.read - self.emitted
        size = max(self._element_bytes, output_bytes, self._result_bytes())
        return ahead > AHEAD or ahead * size > AHEAD_BYTES

    def input_bytes(self) -> float:
        """Return the size in bytes of an element, pickled, from a sample."""
        return self._element_bytes

    def read_page(self, limit: int) -> bool:
        """Read up to `limit` elements, or fewer if the input is slow; look up their results.

        Returns:
            Whether anything was read.
        """
        limit = max(1, min(PAGE, limit, self._page_limit()))
        elements, self._first = self._first, []
        keys: dict[int, bytes | None] = {}
        self._read(elements, keys, limit)
        if not elements:
            return False
        if not self._element_bytes:
            self._element_bytes = self._sample(elements[0])
        page = Page(self.read, elements, None if self._keyer is None else self._keys(elements, keys))
        self.read += len(elements)
        self.pages.append(page)
        self._enqueue(Span(page, range(len(elements))))
        return True

    def _read(self, elements: list[Any], keys: dict[int, bytes | None], limit: int) -> None:
        """Append up to `limit` elements, and by position the keys of those that are frozen."""
        start = time.perf_counter()
        while len(elements) < limit:
            wanted = min(len(elements) + self._read_size, limit)
            try:
                if not self._extend(elements, keys, wanted - len(elements)):
                    break
            except Exception as error:  # noqa: BLE001 - `check` raises it after the elements before it
                self._source_error = error
            if len(elements) < wanted:
                self.exhausted = True
                break
            if not self._element_bytes:
                self._element_bytes = self._sample(elements[0])
                limit = min(limit, max(len(elements), self._page_limit()))
            took = time.perf_counter() - start
            self.slow = took > _PATIENCE
            if self.slow:
                self._read_size = max(1, self._read_size // 4)
                break
            self._read_size = min(PAGE, 4 * self._read_size)

    def _extend(self, elements: list[Any], keys: dict[int, bytes | None], count: int) -> bool:
        """Append up to `count` elements; return False if the page ends here for one that may change."""
        with noting(self.names):
            return self._extend_noting(elements, keys, count)

    def _extend_noting(self, elements: list[Any], keys: dict[int, bytes | None], count: int) -> bool:
        for element in itertools.islice(self._source, count):
            if not ATOMIC[type(element)] and not is_plain(element):
                if self._live:
                    self._held.append(element)
                    return False
                if self._keyer is not None:
                    keys[len(elements)] = self._keyer([element])[0]
                elements.append(freeze_input(element, self._place))
            else:
                elements.append(element)
        return True

    def _keys(self, elements: list[Any], keys: dict[int, bytes | None]) -> Sequence[bytes | None]:
        """Return the keys of elements, some of which have theirs already, by position."""
        assert self._keyer is not None  # noqa: S101 - checked by the caller
        if not keys:
            return self._keyer(elements)
        plain = [element for i, element in enumerate(elements) if i not in keys]
        others = iter(self._keyer(plain) if plain else ())
        return [keys[i] if i in keys else next(others) for i in range(len(elements))]

    def stream(self) -> Iterator[tuple[int, Any, bytes | None, Any]]:
        """Yield each element's index, the element itself, its key, and its result or `MISSING`."""
        while True:
            if self.read_page(PAGE):
                self.take(PAGE)
                page = self.pages.popleft()
                keys = itertools.repeat(None) if page.keys is None else page.keys
                yield from zip(itertools.count(page.start), page.elements, keys, page.values)
                self.emitted = self.read
            if self._held:
                yield from self._one_by_one()
            elif self.exhausted:
                return

    def _one_by_one(self) -> Iterator[tuple[int, Any, bytes | None, Any]]:
        """Yield the held element and those after it, up to one that cannot change."""
        keyer, results = self._keyer, self._results
        element = self._held.pop()
        while True:
            key = None if keyer is None else keyer([element])[0]
            value = MISSING
            if key is not None and results is not None and len(results):
                (value,) = results.lookup([key], self._since)
                self.cached += value is not MISSING
            self.read += 1
            yield self.read - 1, element, key, value
            self.emitted += 1
            try:
                element = next(self._source)
            except StopIteration:
                self.exhausted = True
                return
            except Exception as error:  # noqa: BLE001 - `check` raises it
                self._source_error = error
                self.exhausted = True
                return
            if is_plain(element):
                self._first.append(element)
                return

    def check(self) -> None:
        """Raise the input's own error, if it raised one; call this after its elements are handed out."""
        if self._source_error is not None:
            raise self._source_error

    def _page_limit(self) -> int:
        fitting = int(PAGE_BYTES / max(1.0, self._element_bytes, self._result_bytes()))
        return fitting if self.read else min(64, fitting)

    def _result_bytes(self) -> float:
        """Return the mean size in bytes of the results in the lake."""
        return self._results.mean_bytes if self._results is not None else 0.0

    @staticmethod
    def _sample(element: Any) -> float:
        if type(element) is Frozen:
            return float(element.nbytes)
        try:
            return float(len(dump(element)))
        except Exception:  # noqa: BLE001 - sending it reports the error, if it is sent at all
            return 64.0

    def _enqueue(self, span: Span) -> None:
        """Fill in the results that the lake has; queue the other elements."""
        keys = span.keys() if self._results is not None else None
        if keys is not None and self._results is not None and len(self._results):
            values = self._results.lookup([key or b"" for key in keys], self._since)
            missing = [i for i, value in zip(span.positions, values, strict=True) if value is MISSING]
            if len(missing) < len(values):
                self.put(span, values)
                self.cached += len(values) - len(missing)
                span = Span(span.page, missing)
        self._queue(span)

    def put(self, span: Span, values: list[Any]) -> None:
        """Store the results of elements, of which some may be missing, to be handed out."""
        span.put(values)
        if self.ready is not None:
            self.ready.append(span)

    def _queue(self, span: Span) -> None:
        if len(span.positions):
            self.waiting += len(span.positions)
            heapq.heappush(self._pending, (span.start, span))

    def take(self, limit: int) -> list[Span]:
        """Return up to `limit` elements to compute, the earliest first."""
        spans: list[Span] = []
        while limit and self._pending:
            _, span = heapq.heappop(self._pending)
            if len(span.positions) > limit:
                rest = Span(span.page, span.positions[limit:])
                heapq.heappush(self._pending, (rest.start, rest))
                span = Span(span.page, span.positions[:limit])
            spans.append(span)
            limit -= len(span.positions)
            self.waiting -= len(span.positions)
        return spans

    def next_index(self) -> int | None:
        """Return the index of the earliest element that waits for a batch; None if there is none."""
        return self._pending[0][0] if self._pending else None

    def give_back(self, spans: Iterable[Span], *, look_again: bool = False) -> None:
        """Put elements of a batch back in the queue, before all later ones.

        Args:
            spans: some of those that `take` returned.
            look_again: first look up their results, which may be in the lake by now.
        """
        for span in spans:
            if look_again:
                self._enqueue(span)
            else:
                self._queue(span)

    def look_again(self) -> None:
        """Read the list of results in the lake again."""
        if self._results is not None:
            self._results.refresh()
