"""Files and names that survive a power cut: what is synced, and when."""

# ruff: noqa: PTH102, PTH112, PTH116, PTH120 (a Path costs more than the call)
from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from contextlib import suppress

_KEPT = 32
"""The number of folders that are kept open."""
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}
"""Errors of a file system that cannot sync a folder."""


def sync_data(descriptor: int) -> None:
    """Return once the data of an open file are on the disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def make_folders(folder: str, top: str) -> None:
    """Create a folder and those above it; sync the names of new ones above `top`, up to the first old one."""
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for each in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(each)
    for each in missing:
        if len(above := os.path.dirname(each)) < len(top):
            _sync(above)


class _Folders:
    """Syncs folders, each with its name and those of the folders above it.

    These names are synced when a folder is first used, since another process may have created it and not
    have synced it yet. The folder then stays open: as long as it is, a new one at the same path cannot be
    mistaken for it.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def sync(self, folder: str, top: str) -> None:
        """Return once the names in a folder last, and the names of all folders on the way from `top` to it.

        Raises:
            FileNotFoundError: the folder has been removed.
        """
        missing = []
        above = folder
        with self._lock:
            while len(above) > len(top) and not self._is_kept(above):
                missing.append(above)
                above = os.path.dirname(above)
        for each in reversed(missing):
            # Opened before the name is synced, so that no other folder is kept than the one that was.
            descriptor = _opened(each)
            _sync(os.path.dirname(each))
            if descriptor is not None:
                self._keep(each, descriptor)
        _sync(folder)

    def forget(self) -> None:
        """Close all folders."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _is_kept(self, folder: str) -> bool:
        """Return whether the folder at a path is the one that was synced before."""
        descriptor = self._open.get(folder)
        if descriptor is None:
            return False
        try:
            is_same = os.path.samestat(os.stat(folder), os.fstat(descriptor))
        except OSError:
            is_same = False
        if is_same:
            self._open.move_to_end(folder)
        else:
            os.close(self._open.pop(folder))
        return is_same

    def _keep(self, folder: str, descriptor: int) -> None:
        with self._lock:
            before = self._open.pop(folder, None)
            self._open[folder] = descriptor
            if before is not None:
                os.close(before)
            while len(self._open) > _KEPT:
                os.close(self._open.popitem(last=False)[1])


def _opened(folder: str) -> int | None:
    """Open a folder; return None if this user may not list it."""
    try:
        return os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    except PermissionError:
        return None


def _sync(folder: str) -> None:
    """Sync the names in a folder, as far as this user may and its file system can."""
    descriptor = _opened(folder)
    if descriptor is None:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


_folders = _Folders()
sync_folder = _folders.sync


def _after_fork() -> None:
    """Start anew in a forked process, where the lock may be held by a thread that does not exist."""
    global _folders, sync_folder
    with suppress(OSError):
        _folders.forget()
    _folders = _Folders()
    sync_folder = _folders.sync


os.register_at_fork(after_in_child=_after_fork)
