"""What a path on this machine holds, as far as its size and time of change tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lightwork.keys.unkeyable import Unkeyable
from lightwork.keys.values import finish_parts, pack, sequence, text

if TYPE_CHECKING:
    from pathlib import Path

MOST_ENTRIES = 10_000


def content(path: Path) -> tuple[bytes, ...]:
    """Size and time of change of a file, or of all files below a folder; nothing if there is neither."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    if not path.is_dir():
        return (sequence(b"t", (found.st_size, found.st_mtime_ns)),)
    entries: list[tuple[str, int, int]] = []
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            listing = list(os.scandir(path / below))
        except OSError as error:
            raise Unkeyable(f"the folder {path / below}, which cannot be read,") from error
        for entry in listing:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
                entries.append((name, -1, 0))
            else:
                entries.append((name, *_stat(entry)))
        if len(entries) > MOST_ENTRIES:
            raise Unkeyable(
                f"the folder {path} (over {MOST_ENTRIES:,} entries: pass its path as a str and name what "
                "changes with its content, or list the files that are needed)"
            )
    parts = (text(name) + sequence(b"t", numbers) for name, *numbers in sorted(entries))
    return (pack(b"/", finish_parts(b"%d:" % len(entries), parts)),)


def _stat(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        found = entry.stat()
    except OSError:
        return 0, 0  # a link that leads nowhere
    return found.st_size, found.st_mtime_ns
