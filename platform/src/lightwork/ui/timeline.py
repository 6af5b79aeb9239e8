"""The batches of a run by worker, arranged for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lightwork.ui import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.store.batches import Row

WORKERS = 64
"""Workers that have a row."""
COLORS = 6
_TICKS = 5
_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800),
)
_THIN = 0.5
"""The least width of a block, in percent."""


class Block(NamedTuple):
    """Batches of one task: place and width in percent, the task's colour, and what they were in words."""

    at: float
    width: float
    color: int
    failed: bool
    label: str


class Lane(NamedTuple):
    """A worker: its name, the full one, its blocks, and for how much of the time it computed, in percent."""

    name: str
    full: str
    blocks: list[Block]
    busy: int


class Timeline(NamedTuple):
    """The batches of a run.

    Attributes:
        lanes: the workers, in the order in which they began.
        ticks: places in percent with their labels: the time since the run began.
        tasks: the tasks with their colours.
        hidden: workers without a lane, since there are so many.
        omitted: batches that were not kept.
    """

    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    tasks: list[tuple[str, int]]
    hidden: int
    omitted: int


def timeline(rows: Sequence[Row], omitted: int, started: float | None) -> Timeline | None:
    """Arrange batches; None if there are none.

    Args:
        rows: the batches.
        omitted: how many more there were.
        started: when the run began (Unix seconds).
    """
    if not rows:
        return None
    begin, end = min(row.start for row in rows), max(row.end for row in rows)
    length = max(end - begin, 1e-3)
    colors = {task: number % COLORS + 1 for number, task in enumerate(dict.fromkeys(r.task for r in rows))}
    by_worker: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.start):
        by_worker.setdefault(row.worker, []).append(row)
    short = _short(list(by_worker))
    lanes = [
        Lane(short[name], name, [_block(row, begin, length, colors) for row in own], _busy(own, length))
        for name, own in list(by_worker.items())[:WORKERS]
    ]
    offset = 0.0 if started is None else max(0.0, begin - started)
    ticks = _ticks(offset, length)
    return Timeline(lanes, ticks, list(colors.items()), max(0, len(by_worker) - WORKERS), omitted)


def _block(row: Row, begin: float, length: float, colors: dict[str, int]) -> Block:
    at = 100 * (row.start - begin) / length
    width = max(_THIN, 100 * (row.end - row.start) / length)
    task = row.task.rpartition(".")[2]
    many = f" in {row.batches:,} batches" if row.batches > 1 else ""
    failed = f", {row.failed:,} failed" if row.failed else ""
    label = f"{task}: {row.elements:,} elements{many}{failed}, {words.duration(row.end - row.start)}"
    return Block(round(min(at, 100 - width), 3), round(width, 3), colors[row.task], bool(row.failed), label)


def _busy(rows: Sequence[Row], length: float) -> int:
    busy, until = 0.0, rows[0].start
    for row in rows:
        busy += max(0.0, row.end - max(row.start, until))
        until = max(until, row.end)
    return min(100, round(100 * busy / length))


def _short(names: list[str]) -> dict[str, str]:
    """Return names without what all of them begin with."""
    first, last = min(names), max(names)
    same = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), 0)
    start = first[:same] if len(names) > 1 else first
    cut = max(start.rfind(sign) for sign in "-/") + 1
    return {name: name[cut:] or name for name in names}


def _ticks(offset: float, length: float) -> list[tuple[float, str]]:
    step = next((item for item in _STEPS if length / item <= _TICKS), length)
    number = int(offset // step) + (1 if offset % step else 0)
    ticks = []
    while (moment := number * step) <= offset + length:
        ticks.append((round(100 * (moment - offset) / length, 2), words.duration(moment)))
        number += 1
    return ticks
