"""The end of a run's log, as the page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lightwork.runs.log_lines import Line
from lightwork.store import run_logs
from lightwork.ui import words

if TYPE_CHECKING:
    from lightwork.lake import Lake

SHOWN = 200
"""Lines of a log that are shown."""
_ERRORS = 20
"""Errors before these lines that are shown too."""
_LONGEST = 4_000
"""Characters of a line that are shown."""


class Entry(NamedTuple):
    """A line: the clock, where it comes from, its level, its text, and what belongs below it."""

    clock: str
    where: str
    level: str
    text: str
    below: str


class Tail(NamedTuple):
    """The end of a log.

    Attributes:
        entries: the last lines, with some errors of before them.
        is_cut: whether the log has more.
    """

    entries: list[Entry]
    is_cut: bool


def tail(lake: Lake, run: str, most: int = SHOWN) -> Tail:
    """Return the end of a run's log.

    Args:
        lake: the lake.
        run: the run's name.
        most: how many lines.
    """
    kept, is_cut = run_logs.tail(lake, run)
    lines = [Line.of(*item) for item in kept]
    errors = [line for line in lines[:-most] if line.is_error][-_ERRORS:]
    return Tail([_entry(line) for line in [*errors, *lines[-most:]]], is_cut or len(lines) > most)


def _entry(line: Line) -> Entry:
    level = "error" if line.is_error else str(line.event.get("level", "")).lower()
    first, _, below = line.shown().partition("\n")
    if line.pod:
        first = first.removeprefix(line.pod).lstrip()
    moment = words.unix(line.time)
    if moment is not None:
        first = first.removeprefix(line.time[11:19]).lstrip()
    return Entry(
        "" if moment is None else words.clock(moment)[-8:],
        line.pod,
        level if level in ("error", "warning", "debug") else "info",
        _bounded(first.removeprefix(f"[{line.event.get('level', 'info')}]").lstrip()),
        _bounded(below),
    )


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
