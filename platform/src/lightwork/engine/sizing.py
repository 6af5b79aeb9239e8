"""The number of elements in a batch, from their measured duration and size and from the work left.

A batch has a time budget, and a worker returns the elements that it has not reached by then. A first guess
may therefore be far off, and a few very slow elements among fast ones delay only themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TARGET = 0.5
"""Seconds that a batch should take when there are few workers."""
TARGET_PER_SLOT = 0.008
"""Additional seconds for each slot, so that the scheduler's load does not grow with the workers."""
LONGEST_TARGET = 5.0
SHORTEST = 0.02
"""Seconds that a batch should take at least, even near the end: shorter ones cost more than they gain."""
SHORTEST_PER_SLOT = 0.004
"""Additional seconds for each slot: the driver must send one batch to every slot within that time."""
LONG = 0.5
"""Seconds that an element takes beyond which no second batch waits behind it."""
FIRST = 256
"""Elements in a batch before anything is measured, at most."""
FIRST_BUDGET = 0.05
"""Seconds after which a worker returns the rest of such a batch."""
MOST = 1 << 20
"""Elements in any batch, at most."""
_FADE = 0.8
"""The weight of earlier measurements, reduced by this factor with each new one."""
BYTES = 4 << 20
"""Bytes of input or of results in a batch, at most, unless a single element is larger."""


@dataclass(slots=True)
class Sizer:
    """Decides the size of each batch of one map.

    Attributes:
        fixed: elements in a batch, if the task sets it.
        seconds: mean duration of an element, as measured; None until the first batch returns.
        input_bytes: mean size of an element's input, pickled.
        output_bytes: mean size of an element's result, pickled.
    """

    fixed: int | None = None
    seconds: float | None = None
    input_bytes: float = 64.0
    output_bytes: float = 0.0
    _seconds: float = 0.0
    _elements: float = 0.0
    _in: float = 0.0
    _out: float = 0.0

    def target(self, slots: int) -> float:
        """Return the seconds that a batch should take with this many slots."""
        return min(LONGEST_TARGET, TARGET + TARGET_PER_SLOT * slots)

    def size(self, slots: int, left: int | None) -> int:
        """Return the number of elements for the next batch.

        Args:
            slots: the number of batches that run at once.
            left: elements that are not in a batch yet; None if unknown.
        """
        if self.fixed is not None:
            return self.fixed
        slots = max(1, slots)
        by_bytes = BYTES / max(1.0, self.input_bytes, self.output_bytes)
        if self.seconds is None:
            size: float = FIRST if left is None else min(FIRST, left / (2 * slots))
        else:
            size = self.target(slots) / self.seconds
            if left is not None:
                # Batches get smaller towards the end, so that all workers finish together.
                fair = max(left / (2.5 * slots), (SHORTEST + SHORTEST_PER_SLOT * slots) / self.seconds)
                size = min(size, fair)
        return max(1, min(MOST, math.ceil(min(size, by_bytes))))

    def budget(self, slots: int) -> float:
        """Return the seconds after which a worker returns the rest of a batch."""
        if self.fixed is not None:
            return math.inf
        return FIRST_BUDGET if self.seconds is None else 2 * self.target(slots)

    def depth(self) -> int:
        """Return how many batches a slot gets at once: usually two, one running and one waiting.

        Before anything is measured it gets one: a batch that waits would start, at the same moment as the
        first one returns most of its elements, before these.

        Long elements get one: sending a batch takes no time in comparison, and a batch that waits behind
        a slow element may not be moved to an idle worker.
        """
        return 1 if self.seconds is None or self.seconds > LONG else 2

    def record(self, elements: int, seconds: float, input_bytes: int, output_bytes: int) -> None:
        """Record the measurements of a batch that has returned.

        Args:
            elements: the number of elements computed.
            seconds: the time that all of them took.
            input_bytes: the size of all their inputs, pickled.
            output_bytes: the size of all their results, pickled.
        """
        self._seconds = _FADE * self._seconds + max(seconds, 1e-7)
        self._elements = _FADE * self._elements + elements
        self._in = _FADE * self._in + input_bytes
        self._out = _FADE * self._out + output_bytes
        self.seconds = self._seconds / self._elements
        self.input_bytes = self._in / self._elements
        self.output_bytes = self._out / self._elements
