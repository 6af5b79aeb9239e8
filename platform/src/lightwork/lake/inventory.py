"""Everything that a lake's folder holds, with the files of unfinished writes and the folders themselves."""

# ruff: noqa: PTH116 (a Path costs more than the call)
from __future__ import annotations

import functools
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from lightwork.lake import locks
from lightwork.lake.base import TEMPORARY, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

MOMENT = 10.0
"""Seconds after which a temporary file without a lock is abandoned, if its writer ran on this machine.

A writer locks the file just after it has created it, and moves it just after the lock has ended.
"""
_NEW = 3600.0
"""Seconds for which an empty folder is left alone; a writer would create it again."""
_BLOCK = 512
"""Bytes of a block as `os.stat` counts them."""


class Patient(Protocol):
    """Calls a function, again as long as the folder is away, and words its errors."""

    def __call__(self, action: str, path: str, attempt: Callable[[], T]) -> T:
        """Return what the attempt returns."""


def everything(base: str, prefix: str, patient: Patient) -> Iterator[Item]:
    """Yield all that is in a folder below `base`, each folder before its content.

    The sizes are those of `du`. A file with several names counts for the first of them.
    """
    counted: set[tuple[int, int]] = set()
    start = f"{base}/{prefix}" if prefix else base
    # A folder that is a link to another one is not followed, as those below are not.
    status = patient("list", prefix, lambda: _status(start, follow=not prefix))
    if status is not None and stat.S_ISDIR(status.st_mode):
        yield _item(prefix, status, "folder")
        yield from _below(start, prefix, counted, patient)


def _status(path: str, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(path) if follow else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _listed(folder: str) -> list[tuple[os.DirEntry[str], os.stat_result]]:
    """Return what is in a folder, each with its status; nothing if the folder is gone."""
    listed = []
    try:
        with os.scandir(folder) as scan:
            # A file that another process is just creating has a temporary name too, which does not count.
            found = sorted(scan, key=lambda entry: (entry.name.startswith(TEMPORARY), entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in found:
        with suppress(FileNotFoundError):
            listed.append((entry, entry.stat(follow_symlinks=False)))
    return listed


def _below(folder: str, prefix: str, counted: set[tuple[int, int]], patient: Patient) -> Iterator[Item]:
    for entry, status in patient("list", prefix, functools.partial(_listed, folder)):
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        if stat.S_ISDIR(status.st_mode):
            yield _item(path, status, "folder")
            yield from _below(entry.path, path, counted, patient)
            continue
        item = _item(path, status, "temporary" if entry.name.startswith(TEMPORARY) else "file")
        if status.st_nlink > 1:
            again = (status.st_dev, status.st_ino) in counted
            counted.add((status.st_dev, status.st_ino))
            item = item._replace(size=0, disk=0) if again else item
        yield item


def _item(path: str, status: os.stat_result, kind: str) -> Item:
    disk = getattr(status, "st_blocks", -(-status.st_size // _BLOCK)) * _BLOCK
    return Item(path, status.st_size, status.st_mtime, disk, kind)


def is_abandoned(full: str, age: float, silent: float) -> bool:
    """Return whether the writer of a temporary file has ended.

    Args:
        full: the file's path.
        age: seconds since the last write to it.
        silent: seconds after which a writer on another machine counts as ended, as do all writers where the
            file system has no locks.
    """
    if age <= min(MOMENT, silent):
        return False
    try:
        lock = locks.state(full)
    except FileNotFoundError:
        return False
    here = os.path.basename(full).startswith(f"{TEMPORARY}{locks.machine()}-")  # noqa: PTH119
    return lock != "held" and (age > silent or (here and lock == "free"))


def is_forgotten(full: str, age: float) -> bool:
    """Return whether a folder is empty, and no writer has just created it."""
    if age <= _NEW:
        return False
    try:
        with os.scandir(full) as scan:
            return next(scan, None) is None
    except OSError:
        return False
