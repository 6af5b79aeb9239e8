"""All pages as one file that opens without a server, and that has at most so many bytes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork.errors import InputError
from lightwork.history.sync import ask
from lightwork.lake.threads import in_threads
from lightwork.ui import pages
from lightwork.ui.detail import Detail, detail
from lightwork.ui.overview import LAST, Overview, overview

if TYPE_CHECKING:
    from lightwork.lake import Lake
    from lightwork.ui.pages import Firing, Place

MOST = 10_000_000
"""Bytes of the file."""
_RUNS = 1_000
"""Runs whose pages are made, at most."""
_LINES = 60
"""Lines of each log."""
_THREADS = 8
_TOGETHER = 32
_ROOM = 20_000
"""Bytes that are kept free for what the page says of itself."""


def export(lake: Lake, place: Place, firing: Firing, path: str) -> tuple[int, int]:
    """Write the file; return the numbers of runs with a page in it, and of those without.

    Raises:
        InputError: the file cannot be written.
        LightworkError: the lake cannot be read.
    """
    target = Path(path)
    if target.is_dir() or not target.name:
        raise InputError(f"--out {path}: cannot be written (it is a folder)")
    content, with_page, without = document(lake, place, firing)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"--out {path}: cannot be written ({error.strerror})") from error
    return with_page, without


def document(lake: Lake, place: Place, firing: Firing, most: int = MOST) -> tuple[bytes, int, int]:
    """Return the file's content, and how many of the runs with a bar have a page in it and how many not."""
    now = time.time()
    view = ask(lake, lambda history: overview(history, now))
    newest = ask(lake, lambda history: [b for row in view.rows for b in history.briefs(row.name, LAST)])
    names = [item.name for item in sorted(newest, key=lambda item: item.started, reverse=True)]
    room = most - _ROOM - len(_page(place, view, firing, [], frozenset(names), ""))
    details = _fitting(lake, place, names[:_RUNS], now, room)
    inside = frozenset(str(item.record["name"]) for item in details)
    # A run that did not fit is not linked to, so this is not longer than what was measured.
    parts = [pages.run_part(item, inside, place) for item in details]
    note = _note(len(details), len(names) - len(details), most)
    return _page(place, view, firing, parts, inside, note), len(details), len(names) - len(details)


def _fitting(lake: Lake, place: Place, names: list[str], now: float, room: int) -> list[Detail]:
    """Return the runs whose pages fit into so many bytes, the newest ones first."""
    candidates = frozenset(names)
    details: list[Detail] = []
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        for found in in_threads(lambda name: detail(lake, name, now, _LINES), some, _THREADS):
            if found is None:
                continue
            room -= len(pages.run_part(found, candidates, place).encode()) + 1
            if room < 0:
                return details
            details.append(found)
    return details


def _page(
    place: Place, view: Overview, firing: Firing, parts: list[str], runs: frozenset[str], note: str
) -> bytes:
    return pages.file_page(place, view, firing, parts, runs, note).encode()


def _note(count: int, without: int, most: int) -> str:
    text = f"This file has pages of {count:,} runs: of each pipeline the last {LAST}"
    text += f", except for {without:,} that do not fit into {most / 1e6:g} MB." if without else "."
    return (
        f"{text} It leaves out older runs, reports, the content of artifacts, and what is before the last"
        f" {_LINES} lines of a log: `lightwork ui` shows them."
    )
