"""Packing runs into segments: each run into the segment of its day or month, whatever else is in it."""

from __future__ import annotations

import calendar
import datetime as dt
import json
from collections import defaultdict
from typing import TYPE_CHECKING

from lightwork.history import segments, source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lightwork.history.source import Run
    from lightwork.lake import Lake

YOUNG = dt.timedelta(days=3)
"""Time after the end of a month until which its days have segments of their own."""

Lines = dict[str, bytes]
"""Lines of a segment, by the name of the run."""


def day_of(run: Run) -> str:
    """Return the day on which a run ended, or started if its record does not say more: `2026-11-28`."""
    return f"{source.moment(run, 'finished', 'started'):%Y-%m-%d}"


def end_of(period: str) -> dt.datetime:
    """Return the end of a day or a month."""
    year, month, *day = map(int, period.split("-"))
    last = dt.datetime(year, month, day[0] if day else calendar.monthrange(year, month)[1], tzinfo=dt.UTC)
    return last + dt.timedelta(days=1)


class Packing:
    """The segments of a lake while they are rewritten, one period at a time.

    Args:
        lake: the lake.
        existing: the period of each segment, by its path.
        now: the time by the lake's clock.
    """

    def __init__(self, lake: Lake, existing: Mapping[str, str], now: dt.datetime) -> None:
        self.segments = dict(existing)
        self._lake = lake
        self.now = now

    def add(self, runs: Iterable[Run]) -> int:
        """Put runs into the segments of their periods, in place of what these hold of them.

        Return the number of segments that were written.
        """
        periods: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            periods[self._period_of(day_of(run))].append(run)
        return sum(self._rewrite(period, some) for period, some in sorted(periods.items()))

    def fold(self) -> int:
        """Merge what several processes have written of one period, and the days of months that are over.

        Return the number of segments that were written.
        """
        held: dict[str, int] = defaultdict(int)
        for period in self.segments.values():
            held[self._period_of(period)] += 1
        alone = set(self.segments.values())
        return sum(
            self._rewrite(period, ())
            for period, count in sorted(held.items())
            if count > 1 or period not in alone
        )

    def drop(self, path: str, names: Collection[str]) -> None:
        """Take runs out of a segment, which newer segments of other days have."""
        lines = newest(self._lake, [path])
        self._replace(self.segments[path], [path], {n: line for n, line in lines.items() if n not in names})

    def expire(self, before: dt.datetime) -> list[str]:
        """Delete the segments of periods that ended before a moment; return their periods."""
        old = [path for path, period in self.segments.items() if end_of(period) < before]
        self._lake.delete(old)
        return [self.segments.pop(path) for path in old]

    def _period_of(self, period: str) -> str:
        """Return the period of the segment that a day's runs belong to."""
        month = period[:7]
        return month if self.now > end_of(month) + YOUNG else period

    def _rewrite(self, period: str, runs: Iterable[Run]) -> int:
        sources = [path for path, other in self.segments.items() if self._period_of(other) == period]
        lines = newest(self._lake, sources)
        noted = self.now.timestamp()
        for run in runs:
            name = str(run["name"])
            line = segments.line_of(run, noted)
            if name not in lines or not _is_same(lines[name], line):
                lines[name] = line
        return self._replace(period, sources, lines)

    def _replace(self, period: str, sources: list[str], lines: Lines) -> int:
        """Write a segment, then delete those whose lines it has; return whether it is a new one."""
        path, data = segments.path_of(period, [lines[name] for name in sorted(lines)])
        new = bool(lines) and path not in self.segments
        if new:
            self._lake.write(path, data)
            self.segments[path] = period
        replaced = [other for other in sources if other != path]
        self._lake.delete(replaced)
        for other in replaced:
            del self.segments[other]
        return int(new)


def newest(lake: Lake, paths: list[str]) -> Lines:
    """Return the newest line of each run in some segments; take those that are damaged out of the list.

    Raises:
        FileNotFoundError: one was replaced meanwhile.
    """
    lines: Lines = {}
    noted: dict[str, float] = {}
    for path in list(paths):
        content = segments.read(lake, path)
        if content is None:
            paths.remove(path)
            continue
        for line in content:
            run = json.loads(line)
            name, when = run["name"], run[segments.NOTED]
            if name not in lines or when > noted[name]:
                lines[name], noted[name] = line, when
    return lines


def _is_same(one: bytes, other: bytes) -> bool:
    """Return whether two lines say the same of a run, read at whatever time."""
    first, second = json.loads(one), json.loads(other)
    return {**first, segments.NOTED: 0} == {**second, segments.NOTED: 0}
