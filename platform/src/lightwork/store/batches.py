"""The batches of an attempt by worker: a small table in its document, whatever the number of batches.

When there are too many, neighbours of one worker and task become one row: the gaps between them that no page
could show are lost first.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD = "batches"
"""The field of an attempt's document that has the table."""
MOST = 240
"""Rows that are kept."""
_FIRST_GAP = 0.05
"""Seconds between two batches that are lost when there are too many rows for the first time."""
_LAST_GAP = 1e9


@dataclass(slots=True)
class Row:
    """Batches of one task that a worker has computed one after the other.

    Attributes:
        worker: the worker's name.
        task: the task's name.
        start: when the first one began, by the worker's clock (Unix seconds).
        end: when the last one ended.
        elements: the number of elements.
        failed: how many of them failed.
        batches: the number of batches.
    """

    worker: str
    task: str
    start: float
    end: float
    elements: int
    failed: int
    batches: int = 1

    def take(self, other: Row) -> None:
        """Become one row with a later one."""
        self.end = max(self.end, other.end)
        self.elements += other.elements
        self.failed += other.failed
        self.batches += other.batches


class Batches:
    """The batches of one attempt.

    Attributes:
        rows: the rows, at most MOST.
        omitted: batches of further workers, for which there is no row left.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.omitted = 0
        self._gap = _FIRST_GAP
        self._lock = threading.Lock()

    def add(self, worker: str, task: str, start: float, seconds: float, elements: int, failed: int) -> None:
        """Add a batch that a worker has computed."""
        with self._lock:
            self.rows.append(Row(worker, task, start, start + max(0.0, seconds), elements, failed))
            if len(self.rows) > MOST:
                self._shrink()

    def _shrink(self) -> None:
        """Join neighbours, with larger and larger gaps, until half of the rows are left or none can be."""
        self.rows = _joined(self.rows, self._gap)
        while len(self.rows) > MOST // 2 and self._gap < _LAST_GAP:
            self._gap *= 2
            self.rows = _joined(self.rows, self._gap)
        while len(self.rows) > MOST:
            self.omitted += self.rows.pop().batches

    def document(self) -> dict[str, Any] | None:
        """Return the table as JSON values; None without a batch.

        The rows are texts, so that each takes one line: numbers of worker and task, start after `begin` and
        length in seconds, elements, failed ones, batches.
        """
        with self._lock:
            rows = [Row(*(getattr(row, name) for name in Row.__slots__)) for row in self.rows]
        if not rows:
            return None
        begin = min(row.start for row in rows)
        workers = list(dict.fromkeys(row.worker for row in rows))
        tasks = list(dict.fromkeys(row.task for row in rows))
        numbers = [{name: number for number, name in enumerate(names)} for names in (workers, tasks)]
        lines = [
            f"{numbers[0][row.worker]} {numbers[1][row.task]} {row.start - begin:.3f}"
            f" {row.end - row.start:.3f} {row.elements} {row.failed} {row.batches}"
            for row in rows
        ]
        return {
            "begin": round(begin, 3),
            "workers": workers,
            "tasks": tasks,
            "rows": lines,
            "omitted": self.omitted,
        }


def _joined(rows: list[Row], gap: float) -> list[Row]:
    """Return rows in which no two neighbours of one worker and task are nearer than a gap in seconds."""
    result: list[Row] = []
    last: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row.start):
        before = last.get((row.worker, row.task))
        if before is not None and row.start - before.end < gap:
            before.take(row)
        else:
            last[row.worker, row.task] = row
            result.append(row)
    return result


def read(attempt: Mapping[str, Any]) -> tuple[list[Row], int]:
    """Return the rows that the document of an attempt has, and the number of batches without one.

    A table that is not as `document` makes it, such as one of another version, counts as none.
    """
    table = attempt.get(FIELD)
    try:
        if table is None:
            return [], 0
        return [_row(table, line) for line in table["rows"][:MOST]], int(table["omitted"])
    except (TypeError, ValueError, LookupError, AttributeError):
        return [], 0


def _row(table: Mapping[str, Any], line: str) -> Row:
    worker, task, start, seconds, elements, failed, batches = line.split()
    begin = float(table["begin"]) + float(start)
    if not 0 <= begin < _LAST_GAP * 100 or not 0 <= float(seconds) < _LAST_GAP:
        raise ValueError(line)
    return Row(
        str(table["workers"][int(worker)]),
        str(table["tasks"][int(task)]),
        begin,
        begin + float(seconds),
        int(elements),
        int(failed),
        int(batches),
    )
