"""Canonical bytes of paths: their text, and what they hold as far as size and time of change tell."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path, PurePath, PureWindowsPath

from lightwork.keys.unkeyable import Unkeyable
from lightwork.keys.values import STATE, encode, finish_parts, pack, sequence, text

MOST_ENTRIES = 10_000
_LARGE = 16 * 2**20


def path(value: PurePath) -> bytes:
    """A path; one that code holds on to and that leads into its own source tree counts from there.

    Raises:
        Unkeyable: a folder with too many files in it.
    """
    tag = b"X" if isinstance(value, PureWindowsPath) else b"p"
    if not isinstance(value, Path):
        return pack(tag, text(str(value)))
    home = None if STATE.walk is None else STATE.walk.home
    if home is not None and value.is_absolute():
        place = Path(os.path.realpath(value))
        # What the module itself is in holds its code, which counts by what is reached.
        holds_code = home.file.is_relative_to(place)
        if holds_code or place.is_relative_to(home.root):
            below = text(Path(os.path.relpath(place, home.root)).as_posix())
            return pack(b"p.", below, *(() if holds_code else _content(place, own=True)))
    return pack(tag, text(str(value)), *_content(value, own=False))


def _content(place: Path, *, own: bool) -> tuple[bytes, ...]:
    """Of a file its size and time of change, of a folder those of all files below; nothing if neither.

    Files of one's `own` repository count by their bytes instead: a clone has other times.
    """
    try:
        found = place.stat()
    except (OSError, ValueError):
        return ()
    if not place.is_dir():
        return (_file(place, found, own=own),)
    entries: list[tuple[str, bytes]] = []
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            listing = list(os.scandir(place / below))
        except OSError as error:
            raise Unkeyable(f"the folder {place / below}, which cannot be read,") from error
        for entry in listing:
            if entry.name == "__pycache__":
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
                entries.append((name, b"/"))
            else:
                entries.append((name, _entry(entry, own=own)))
        if len(entries) > MOST_ENTRIES:
            raise Unkeyable(
                f"the folder {place} (over {MOST_ENTRIES:,} entries: pass its path as a str and name what "
                "changes with its content, or list the files that are needed)"
            )
    parts = (text(name) + data for name, data in sorted(entries))
    return (pack(b"/", finish_parts(b"%d:" % len(entries), parts)),)


def _entry(entry: os.DirEntry[str], *, own: bool) -> bytes:
    try:
        return _file(Path(entry.path), entry.stat(), own=own)
    except OSError:
        return b"N"  # a link that leads nowhere


def _file(place: Path, found: os.stat_result, *, own: bool) -> bytes:
    if own and found.st_size <= _LARGE:
        return encode(blake2b(place.read_bytes(), digest_size=32).digest())
    return sequence(b"t", (found.st_size, found.st_mtime_ns))
