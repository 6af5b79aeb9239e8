"""Turns that alternate between sides, the processor time of processes, and rows that know their spread."""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import psutil

from bench.measure import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of a side took, in seconds.

    Attributes:
        elapsed: the time by the clock.
        processor: the processor time of this process and the side's own.
        driver: that of this process alone.
        result: what the side's work returned.
    """

    elapsed: float
    processor: float
    driver: float
    result: Any


class Taker(Protocol):
    """Whoever takes turns."""

    def turn(self) -> None:
        """Do the work once, and keep what that took."""


@dataclass
class Side:
    """A way to do the work, with its processes, in a thread of its own: a thread has one session.

    Args:
        name: as the row shows it.
        open: starts the processes; the context gives what does an amount of work.
        amount: how much work a turn is; a tenth of it warms up.

    Attributes:
        turns: what each turn took.
    """

    name: str
    open: Callable[[], AbstractContextManager[Callable[[float], Any]]]
    amount: float
    turns: list[Turn] = field(default_factory=list)

    def __enter__(self) -> Self:
        before = set(_children())
        self._thread = ThreadPoolExecutor(1)
        self._context = self.open()
        self._work = self._thread.submit(self._context.__enter__).result()
        self._thread.submit(self._work, self.amount / 10).result()
        self._processes = [child for child in _children() if child not in before]
        return self

    def __exit__(self, *exception: Any) -> None:
        self._thread.submit(self._context.__exit__, *exception).result()
        self._thread.shutdown()

    def turn(self) -> None:
        """Do the work once, and keep what that took."""
        own = psutil.Process()
        driver, others = _processor([own]), _processor(self._processes)
        begin = time.perf_counter()
        result = self._thread.submit(self._work, self.amount).result()
        elapsed = time.perf_counter() - begin
        driver, others = _processor([own]) - driver, _processor(self._processes) - others
        self.turns.append(Turn(elapsed, driver + others, driver, result))


@dataclass
class Apart:
    """Takes turns of a side that is open only then: idle servers in this process would count for the others.

    Args:
        side: the side.
    """

    side: Side

    def turn(self) -> None:
        """Open the side, and let it take its turn."""
        with self.side:
            self.side.turn()


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _processor(processes: Sequence[psutil.Process]) -> float:
    """Return the processor time of processes so far; one that has ended is an error."""
    times = [process.cpu_times() for process in processes]
    return sum(item.user + item.system for item in times)


def alternate(sides: Sequence[Taker], turns: int) -> None:
    """Let the sides take turns, back and forth, so that a machine that slows down is unfair to none."""
    for number in range(turns):
        for side in sides if number % 2 == 0 else reversed(sides):
            side.turn()


def spread(values: Sequence[float]) -> float:
    """Return the distance between the quartiles, which one odd turn does not change; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def most(
    what: str, target: float, values: Sequence[float], margin: float, detail: str, *, unit: str = ""
) -> Row:
    """Make a row for values of which the median must be at most `target`.

    Args:
        what: what was measured.
        target: the most.
        values: one for each turn.
        margin: the spread above which the row is not a result.
        detail: the measurements of both sides.
        unit: of the values; empty for ratios.
    """
    middle, differ = statistics.median(values), spread(values)
    shown = f"{middle:.3f}{unit}, spread {differ:.3f}"
    described = f"median of {len(values)} turns; {detail}"
    limit = f"at most {target:g}{unit}"
    if differ > margin:
        return Row(what, limit, f"not measurable here ({shown}, over {margin:g})", None, described)
    return Row(what, limit, shown, middle <= target, described)


def listed(values: Mapping[str, float], digits: int = 3) -> str:
    """Format figures by name."""
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())
