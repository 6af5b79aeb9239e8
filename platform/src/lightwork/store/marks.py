"""Marks of runs whose records have changed since they were last packed into the history.

Whoever writes a run's record leaves a small file of its own name. The collector of the history lists these
files first, then reads the records, and deletes only the files that it has listed: a record that changes
later has another mark. So processes that end runs at once, and collectors, lose nothing of each other.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from lightwork.errors import LightworkError

if TYPE_CHECKING:
    from lightwork.lake import Lake

HISTORY = "history/runs"
"""The folder with the segments of the history, and with the marks; one listing shows both."""
FOLDER = f"{HISTORY}/open"
_SEPARATOR = "~"


def mark(lake: Lake, name: str) -> None:
    """Say that a run's record has changed.

    A lake that refuses it is not an error: the collector looks for unmarked runs once a day.

    Args:
        lake: the lake with the record.
        name: the run's name.
    """
    with contextlib.suppress(LightworkError):
        lake.write(f"{FOLDER}/{name}{_SEPARATOR}{secrets.token_hex(8)}", b"-", durable=False)


def runs(lake: Lake) -> set[str]:
    """Return the runs that have a mark: what the history has of them, if anything, is not their last word.

    Raises:
        LightworkError: the lake cannot be read.
    """
    return {name for entry in lake.entries(FOLDER) if (name := run_of(entry.path))}


def run_of(path: str) -> str:
    """Return the run that a mark is of; empty if the path is not that of a mark."""
    folder, _, file = path.rpartition("/")
    return file.rpartition(_SEPARATOR)[0] if folder == FOLDER else ""
