"""The elements of a run that failed: a bounded table of compressed JSON lines, one file an attempt."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from lightwork.errors import ElementError
    from lightwork.lake import Lake

MOST = 10_000
"""Failed elements of an attempt that are kept; the others are only counted."""
MOST_CHARACTERS = 16_000_000
"""Characters of them all that are kept."""
FIELDS = ("task", "map", "index", "input", "error", "traceback", "tries")
"""The fields of a row, to which `of_run` adds the attempt. Of the maps of a task, the first is 1. An index
counts from 0, and is null for a submitted call."""
_LENGTHS = {"input": 1_000, "error": 2_000, "traceback": 20_000}
"""Characters of a field that are kept."""
_BYTES = 64_000_000
"""Bytes that a file is unpacked to, at most: nobody's memory is filled by a damaged one."""


class Failures:
    """The failed elements of one attempt, in the order in which they failed.

    Attributes:
        rows: those that are kept.
        omitted: how many are not.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.omitted = 0
        self._characters = 0
        self._lock = threading.Lock()

    def add(self, error: ElementError, number: int = 1) -> None:
        """Keep a failed element, unless there are too many.

        Args:
            error: its error.
            number: which of the maps of its task it is in, from 1.
        """
        row = {
            "task": error.task,
            "map": number,
            "index": error.index,
            "input": _bounded(error.input, "input"),
            "error": _bounded(error.error, "error"),
            "traceback": _bounded(error.traceback, "traceback"),
            "tries": error.attempts,
        }
        size = sum(len(str(value)) for value in row.values())
        with self._lock:
            if len(self.rows) >= MOST or self._characters + size > MOST_CHARACTERS:
                self.omitted += 1
                return
            self._characters += size
            self.rows.append(row)

    def __len__(self) -> int:
        return len(self.rows) + self.omitted


def path(run: str, attempt: str) -> str:
    """Return the path of an attempt's table."""
    return f"runs/{run}/failures/{attempt}.jsonl.gz"


def write(lake: Lake, run: str, attempt: str, failures: Failures) -> None:
    """Write the table of an attempt."""
    lines = [json.dumps(row, ensure_ascii=True) for row in list(failures.rows)]
    if failures.omitted:
        lines.append(json.dumps({"omitted": failures.omitted}))
    lake.write(path(run, attempt), gzip.compress("\n".join(lines).encode(), compresslevel=6, mtime=0))


def of_run(lake: Lake, run: str) -> tuple[list[dict[str, Any]], int]:
    """Return the failed elements of a run's attempts, oldest attempt first, and how many more there were.

    A table that cannot be read is left out with a warning.
    """
    start = f"runs/{run}/failures/"
    paths = [entry.path for entry in lake.entries(start) if entry.path.endswith(".jsonl.gz")]
    tables = in_threads(lambda item: _read(lake, item), paths, 8)
    rows = [
        {**row, "attempt": item[len(start) : -len(".jsonl.gz")]}
        for item, table in zip(paths, tables, strict=True)
        for row in table
        if "error" in row
    ]
    return rows, sum(int(row.get("omitted", 0)) for table in tables for row in table)


def _read(lake: Lake, path: str) -> list[dict[str, Any]]:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(lake.read(path), _BYTES).decode()
        rows = [json.loads(line) for line in text.splitlines()]
        if unpacker.eof and all(map(_is_row, rows)):
            return rows
        reason = "it is cut, or holds something else"
    except FileNotFoundError:
        return []
    except (ValueError, zlib.error, RecursionError) as error:
        reason = one_line(error)
    get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(path)}: {reason}")
    return []


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and (row.keys() == {"omitted"} or set(FIELDS) <= row.keys())


def _bounded(text: str, field: str) -> str:
    """Return a text without its middle if it is long."""
    length = _LENGTHS[field]
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"
