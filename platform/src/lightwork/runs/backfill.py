"""Running a pipeline for many intervals of time: each once, a few at a time, and resumable.

What is done is known from the runs themselves: an interval with a run that succeeded is left alone, and one
that a run works on is waited for. So the same command goes on where it was interrupted.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightwork.store.interval_runs import Key, Known
    from lightwork.tenants.intervals import Interval

__all__ = ["Filling", "Outcome", "Place", "plan"]

State = Literal["done", "running", "to run", "succeeded", "failed", "left"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an interval.

    Attributes:
        interval: the interval.
        state: `done` (before), `running`, `to run`; at the end `succeeded`, `failed`, or `left`: not started.
        run: the name of its run; empty if it has none.
        error: why it failed.
    """

    interval: Interval
    state: State
    run: str = ""
    error: str = ""


class Place(Protocol):
    """Where the runs are: this machine or a cluster."""

    def known(self) -> Mapping[Key, Known]:
        """Return the runs that there are already, by interval."""

    def start(self, interval: Interval) -> str:
        """Start the run of an interval; return its name, or what stands for it until it has one."""

    def look(self, run: str) -> Known:
        """Return how a run is."""

    def stop(self) -> str:
        """Leave the runs after an interrupt; return in words what becomes of them."""


def plan(intervals: Sequence[Interval], known: Mapping[Key, Known]) -> list[Outcome]:
    """Return what there is to do: the intervals that are done, that a run works on, and that are to run."""
    return [_planned(interval, known.get(interval.key)) for interval in intervals]


def _planned(interval: Interval, known: Known | None) -> Outcome:
    if known is not None and known.succeeded:
        return Outcome(interval, "done", known.run)
    if known is not None and known.active:
        return Outcome(interval, "running", known.run)
    return Outcome(interval, "to run", known.run if known else "", known.error if known else "")


class Filling:
    """Runs of a pipeline for each interval that none has succeeded for, in their order.

    Args:
        intervals: the intervals.
        place: where the runs are.
        parallel: the most runs at once; those that somebody else has started count.
        most_failures: so many failures, and no more runs are started; None for any number.
        tell: is told in words what becomes of an interval.
        every: seconds between two looks at the runs.
    """

    def __init__(
        self,
        intervals: Sequence[Interval],
        place: Place,
        *,
        parallel: int,
        most_failures: int | None = None,
        tell: Callable[[Interval, str], None],
        every: float = 2.0,
    ) -> None:
        self._all = plan(intervals, place.known())
        self._place = place
        self._parallel = parallel
        self._most_failures = most_failures
        self._tell = tell
        self._every = every
        self._ended = {item.interval.key: item for item in self._all if item.state == "done"}
        self._to_run = deque(item.interval for item in self._all if item.state == "to run")
        going = [item for item in self._all if item.state == "running"]
        self._active = {item.interval.key: (item.interval, item.run) for item in going}
        self._own: set[Key] = set()

    def run(self) -> None:
        """Go on until each interval has its run, or too many have failed."""
        for interval, run in self._active.values():
            self._tell(interval, f"{run} works on it already; waiting for it")
        while self.step():
            time.sleep(self._every)

    def step(self) -> bool:
        """Look at the runs that go on, and start others; return whether there is more to do."""
        for interval, run in list(self._active.values()):
            known = self._place.look(run)
            if not known.active:
                self._end(interval, known)
        while self._to_run and len(self._active) < self._parallel and not self._stops():
            interval = self._to_run.popleft()
            run = self._place.start(interval)
            self._active[interval.key] = interval, run
            self._own.add(interval.key)
            self._tell(interval, f"started{f' as {run}' if run else ''}")
        return bool(self._active) or bool(self._to_run and not self._stops())

    def _stops(self) -> bool:
        failures = sum(item.state == "failed" for item in self._ended.values())
        return self._most_failures is not None and failures >= self._most_failures

    def _end(self, interval: Interval, known: Known) -> None:
        del self._active[interval.key]
        if known.succeeded:
            self._ended[interval.key] = Outcome(interval, "succeeded", known.run)
            self._tell(interval, f"succeeded ({known.run})")
        elif interval.key in self._own:
            self._ended[interval.key] = Outcome(interval, "failed", known.run, known.error or known.status)
            self._tell(interval, f"{known.status} ({known.run}): {known.error or 'no message'}")
        else:
            self._to_run.appendleft(interval)
            self._tell(interval, f"{known.run} has not succeeded ({known.status}); another run follows")

    def outcomes(self) -> list[Outcome]:
        """Return what became of each interval."""
        return [self._ended.get(item.interval.key) or self._open(item) for item in self._all]

    def _open(self, item: Outcome) -> Outcome:
        """Return what became of an interval whose run has not ended, if it has one."""
        _, run = self._active.get(item.interval.key, (item.interval, ""))
        return Outcome(item.interval, "running" if run else "left", run)
