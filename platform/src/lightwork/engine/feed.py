"""The input of a map: read in pages as it is needed, and what is cached already filled in."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lightwork.functions.pickling import dump
from lightwork.store.results import MISSING, CodeResults

PAGE = 1 << 15
PAGE_BYTES = 16 << 20
AHEAD = 1 << 19
AHEAD_BYTES = 256 << 20
_PATIENCE = 0.05

Keyer = Callable[[Sequence[Any]], Sequence[bytes | None]]


class Page:
    """Consecutive elements of the input, with what is known of their results.

    Attributes:
        start: index of its first element in the input.
        elements: the inputs.
        keys: the key of each, None for one without a stable key; None if nothing is cached.
        values: the result of each, or its `Failure`, or `MISSING` as long as there is none.
    """

    __slots__ = ("elements", "keys", "start", "values")

    def __init__(self, start: int, elements: list[Any], keys: Sequence[bytes | None] | None) -> None:
        self.start = start
        self.elements = elements
        self.keys = keys
        self.values: list[Any] = [MISSING] * len(elements)


class Span(NamedTuple):
    """Some elements of a page, by their positions in it."""

    page: Page
    positions: Sequence[int]

    def elements(self) -> list[Any]:
        """Their inputs."""
        if isinstance(self.positions, range):
            return self.page.elements[self.positions.start : self.positions.stop]
        return [self.page.elements[i] for i in self.positions]

    def keys(self) -> Sequence[bytes | None] | None:
        """Their keys, if there are any."""
        if self.page.keys is None:
            return None
        if isinstance(self.positions, range):
            return self.page.keys[self.positions.start : self.positions.stop]
        return [self.page.keys[i] for i in self.positions]

    def put(self, values: list[Any]) -> None:
        """Take in their results, in the same order."""
        if isinstance(self.positions, range):
            self.page.values[self.positions.start : self.positions.stop] = values
            return
        for i, value in zip(self.positions, values, strict=True):
            self.page.values[i] = value


class Feed:
    """Reads the input of a map, and knows which of its elements are still to be computed.

    Attributes:
        pages: read and not wholly handed out, in order.
        waiting: how many elements are to be computed and in no batch.
        exhausted: whether the input has ended.
        slow: whether the input, when last asked, took long to give an element.
        read: how many elements were read so far.
        cached: how many of them were in the lake.
        emitted: how many results were handed out.
    """

    def __init__(
        self, source: Iterator[Any], total: int | None, keyer: Keyer | None, results: CodeResults | None
    ) -> None:
        self._source = source
        self._total = total
        self._keyer = keyer
        self._results = results
        self._pending: deque[Span] = deque()
        self._gulp = 1
        self._element_bytes = 0.0
        self._broken: Exception | None = None
        self.slow = False
        self.pages: deque[Page] = deque()
        self.waiting = 0
        self.exhausted = False
        self.read = 0
        self.cached = 0
        self.emitted = 0

    def left(self) -> int | None:
        """How many elements are in no batch yet, unread ones included; None if not known."""
        if self.exhausted:
            return self.waiting
        if self._total is None:
            return None
        return self.waiting + max(0, self._total - self.read)

    def full(self, output_bytes: float) -> bool:
        """Whether so much has been read ahead of what was handed out that reading must pause."""
        ahead = self.read - self.emitted
        size = max(self._element_bytes, output_bytes, self._kept_bytes())
        return ahead > AHEAD or ahead * size > AHEAD_BYTES

    def input_bytes(self) -> float:
        """Mean size of an element in bytes, from a sample."""
        return self._element_bytes

    def read_page(self, most: int) -> bool:
        """Read some elements, at most this many, for at most a moment; look their results up.

        Returns:
            Whether anything was read.
        """
        most = max(1, min(PAGE, most, self._fitting()))
        elements: list[Any] = []
        start = time.perf_counter()
        while len(elements) < most:
            wanted = min(len(elements) + self._gulp, most)
            try:
                elements.extend(itertools.islice(self._source, wanted - len(elements)))
            except Exception as error:  # noqa: BLE001 - raised where the element would have been handed out
                self._broken = error
            if len(elements) < wanted:
                self.exhausted = True
                break
            if not self._element_bytes:
                self._element_bytes = self._sample(elements[0])
                most = min(most, max(len(elements), self._fitting()))
            took = time.perf_counter() - start
            self.slow = took > _PATIENCE
            if self.slow:
                self._gulp = max(1, self._gulp // 4)
                break
            self._gulp = min(PAGE, 4 * self._gulp)
        if not elements:
            return False
        if not self._element_bytes:
            self._element_bytes = self._sample(elements[0])
        page = Page(self.read, elements, None if self._keyer is None else self._keyer(elements))
        self.read += len(elements)
        self.pages.append(page)
        self._enqueue(Span(page, range(len(elements))), front=False)
        return True

    def check(self) -> None:
        """Raise what the input itself raised, once all that it gave before is handed out."""
        if self._broken is not None:
            raise self._broken

    def _fitting(self) -> int:
        fitting = int(PAGE_BYTES / max(1.0, self._element_bytes, self._kept_bytes()))
        return fitting if self.read else min(64, fitting)

    def _kept_bytes(self) -> float:
        """Mean size in bytes of the results that the lake has."""
        return self._results.mean_bytes if self._results is not None else 0.0

    @staticmethod
    def _sample(element: Any) -> float:
        try:
            return float(len(dump(element)))
        except Exception:  # noqa: BLE001 - sending it says what is wrong, where that is needed at all
            return 64.0

    def _enqueue(self, span: Span, *, front: bool) -> None:
        """Fill in what the lake has of these elements; the others are to be computed."""
        keys = span.keys() if self._results is not None else None
        if keys is not None and self._results is not None and len(self._results):
            found = self._results.lookup([key or b"" for key in keys])
            missing = [i for i, value in zip(span.positions, found, strict=True) if value is MISSING]
            if len(missing) < len(found):
                span.put(found)
                self.cached += len(found) - len(missing)
                span = Span(span.page, missing)
        if not len(span.positions):
            return
        self.waiting += len(span.positions)
        if front:
            self._pending.appendleft(span)
        else:
            self._pending.append(span)

    def take(self, most: int) -> list[Span]:
        """The next elements to compute, at most this many; the earliest first."""
        spans: list[Span] = []
        while most and self._pending:
            span = self._pending.popleft()
            if len(span.positions) > most:
                self._pending.appendleft(Span(span.page, span.positions[most:]))
                span = Span(span.page, span.positions[:most])
            spans.append(span)
            most -= len(span.positions)
            self.waiting -= len(span.positions)
        return spans

    def give_back(self, spans: Sequence[Span], *, look_again: bool = False) -> None:
        """Put elements of a batch back to be computed, before all others.

        Args:
            spans: as taken.
            look_again: look whether their results came into the lake meanwhile.
        """
        for span in reversed(spans):
            if not len(span.positions):
                continue
            if look_again:
                self._enqueue(span, front=True)
            else:
                self.waiting += len(span.positions)
                self._pending.appendleft(span)

    def look_again(self) -> None:
        """Learn of results that came into the lake since the start."""
        if self._results is not None:
            self._results.refresh()
