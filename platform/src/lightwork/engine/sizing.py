"""How many elements go into a batch: by their measured duration and bytes, and by what is left to do.

A batch carries a time budget: a worker that exceeds it gives the rest back. So a first guess may be far
off without harm, and a few very slow elements among fast ones delay only themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TARGET = 0.3
"""Seconds that a batch should take, with few workers."""
TARGET_PER_SLOT = 0.008
"""Seconds more for each slot, so that the scheduler's load does not grow with the workers."""
LONGEST_TARGET = 5.0
SHORTEST = 0.02
"""Seconds below which a batch is not worth its way, even at the end."""
SHORTEST_PER_SLOT = 0.004
"""Seconds more for each slot: what comes in less than a round of them cannot be sent out in time."""
LONG = 0.5
"""Seconds of an element from which on nothing waits behind it."""
FIRST = 256
FIRST_BUDGET = 0.05
MOST = 1 << 20
_FADE = 0.8
"""How much a measurement counts once the next one is there."""
BYTES = 4 << 20
"""Bytes of input in a batch, at most (but for one element that is larger)."""


@dataclass(slots=True)
class Sizer:
    """Decides the size of each batch of one map.

    Attributes:
        fixed: elements in a batch, if the user said so.
        seconds: mean duration of an element, as measured; None before the first batch is back.
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
        """Seconds that a batch should take with this many slots."""
        return min(LONGEST_TARGET, TARGET + TARGET_PER_SLOT * slots)

    def size(self, slots: int, left: int | None) -> int:
        """Elements for the next batch.

        Args:
            slots: how many batches run at once.
            left: elements that are in no batch yet; None if not known.
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
                # Smaller towards the end, so that all workers finish together.
                fair = max(left / (2.5 * slots), (SHORTEST + SHORTEST_PER_SLOT * slots) / self.seconds)
                size = min(size, fair)
        return max(1, min(MOST, math.ceil(min(size, by_bytes))))

    def budget(self, slots: int) -> float:
        """Seconds after which a worker gives the rest of a batch back."""
        if self.fixed is not None:
            return math.inf
        return FIRST_BUDGET if self.seconds is None else 2 * self.target(slots)

    def depth(self) -> int:
        """How many batches a slot is given at once: a second one waits while the first runs.

        Only one where elements are long: the way of a batch is nothing then, and what waits behind a slow
        element may not find its way to an idle worker.
        """
        return 1 if self.seconds is not None and self.seconds > LONG else 2

    def measured(self, elements: int, seconds: float, input_bytes: int, output_bytes: int) -> None:
        """Take in what a batch took.

        Args:
            elements: how many were done.
            seconds: for all of them.
            input_bytes: of all their inputs.
            output_bytes: of all their results.
        """
        self._seconds = _FADE * self._seconds + max(seconds, 1e-7)
        self._elements = _FADE * self._elements + elements
        self._in = _FADE * self._in + input_bytes
        self._out = _FADE * self._out + output_bytes
        self.seconds = self._seconds / self._elements
        self.input_bytes = self._in / self._elements
        self.output_bytes = self._out / self._elements
