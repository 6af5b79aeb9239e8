"""The order in which the batches of maps and single calls are computed: earlier elements go first."""

from __future__ import annotations

import bisect
import time

_EPOCH = 1_700_000_000.0
"""Subtracted from times, so that a float keeps steps of about 10 ns."""
_STEP = 1e-6
"""Seconds between the places of two batches, at least."""


def now() -> float:
    """Return the place of something that is sent now: the first come is computed first."""
    return time.time() - _EPOCH


class Places:
    """The places in the queue of a map's elements: the times when they were sent for the first time.

    Elements that are sent again, because their batch came back before its end, keep their place. So they go
    before all later elements, and still take turns with other maps and calls.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._times: list[float] = []

    def place(self, start: int) -> float:
        """Return the place of a batch: the one with the lowest is computed first.

        Args:
            start: the index in the input of the batch's first element.
        """
        starts, times = self._starts, self._times
        if not starts or start > starts[-1]:
            starts.append(start)
            times.append(max(now(), times[-1] + _STEP) if times else now())
            return times[-1]
        i = bisect.bisect_right(starts, start) - 1
        if i < 0 or starts[i] == start:
            return times[max(i, 0)]
        part = (start - starts[i]) / (starts[i + 1] - starts[i])
        return times[i] + part * (times[i + 1] - times[i])

    def forget(self, index: int) -> None:
        """Forget the places of elements that are handed out, all those before an index."""
        i = bisect.bisect_right(self._starts, index) - 1
        if i > 0:
            del self._starts[:i], self._times[:i]
