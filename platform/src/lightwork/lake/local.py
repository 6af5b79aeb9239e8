"""A lake in a folder of this machine, or of a file system that is mounted here."""

# ruff: noqa: PTH103, PTH106, PTH108, PTH112, PTH116, PTH120, PTH123 (plain strings: a Path costs more than the call)
from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lightwork.errors import LightworkError
from lightwork.lake.base import (
    TEMPORARY,
    Data,
    Entry,
    Lake,
    checked,
    checked_folder,
    checked_range,
    pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow.fs

_ATTEMPTS = 1000
_ADVICE = {
    errno.EACCES: "give this user the right to it, or name another lake",
    errno.EPERM: "give this user the right to it, or name another lake",
    errno.EROFS: "mount it writable, or name another lake",
    errno.ENOSPC: "free some space there, or name another lake",
    errno.EDQUOT: "free some space there, or name another lake",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOTSUP: "name a lake on a file system with hard links",
    errno.ENOTDIR: "a file stands where a folder is needed: remove it, or name another lake",
    errno.EISDIR: "a folder stands where a file is needed: remove it, or use another name",
    errno.EEXIST: "a file stands where a folder is needed: remove it, or name another lake",
}


class LocalLake(Lake):
    """A lake in a folder: a file is written under a temporary name beside its place and then moved there."""

    def __init__(self, folder: Path, tenant: str) -> None:
        super().__init__(folder.as_uri().rstrip("/"), tenant)
        self.folder = folder / tenant
        self._base = os.fspath(self.folder)

    def __reduce__(self) -> tuple[type[LocalLake], tuple[Path, str]]:
        return LocalLake, (self.folder.parent, self.tenant)

    def read(self, path: str) -> bytes:
        """All bytes of a file; FileNotFoundError if there is none."""
        with self._reading(path) as full, open(full, "rb", buffering=0) as file:
            return file.read()

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start` on; FileNotFoundError if there is no file."""
        checked_range(start, length)
        with self._reading(path) as full, open(full, "rb") as file:
            file.seek(start)
            return file.read(length)

    def write(self, path: str, data: Data) -> None:
        """Write a file atomically, replacing one of the same path."""
        self._place(path, data, os.replace)

    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically if there is none; False if there is one."""
        if self.exists(path):
            return False
        try:
            self._place(path, data, os.link)
        except FileExistsError:
            return False
        return True

    def entries(self, prefix: str = "") -> list[Entry]:
        """All files in a folder and its sub-folders, sorted by path; empty if there is no such folder."""
        found: list[Entry] = []
        prefix = checked_folder(prefix)
        with self._refusals("list", prefix):
            for path, item in self._walk(prefix):
                if not item.name.startswith(TEMPORARY):
                    with suppress(FileNotFoundError):
                        status = item.stat()
                        if stat.S_ISREG(status.st_mode):
                            found.append(Entry(path, status.st_size, status.st_mtime))
        found.sort()
        return found

    def folders(self, prefix: str = "") -> list[str]:
        """The names of the folders directly in a folder that hold at least one file, sorted."""
        prefix = checked_folder(prefix)
        with self._refusals("list", prefix):
            names = [item.name for item in _scan(self._full(prefix)) if item.is_dir(follow_symlinks=False)]
            return sorted(name for name in names if self._holds(f"{prefix}/{name}" if prefix else name))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there are fine. Folders left empty go too."""
        parents = set()
        for path in paths:
            full = self._full(checked(path))
            with self._refusals("delete", path), suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(full)
            parents.add(os.path.dirname(full))
        for parent in sorted(parents, key=len, reverse=True):
            self._prune(parent)

    def exists(self, path: str) -> bool:
        """Whether there is a file of this path."""
        full = self._full(checked(path))
        with self._refusals("look for", path):
            try:
                return stat.S_ISREG(os.stat(full).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A pyarrow file system, and the path of the root in it."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), self._base

    def sweep(self, older_than: float = 3600.0) -> int:
        """Remove temporary files that nobody has written to for so many seconds; returns how many."""
        limit = time.time() - older_than
        removed = 0
        with self._refusals("clean up", ""):
            for _, item in self._walk(""):
                if item.name.startswith(TEMPORARY):
                    with suppress(FileNotFoundError):
                        if item.stat(follow_symlinks=False).st_mtime <= limit:
                            os.unlink(item.path)
                            removed += 1
        return removed

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Every file below a folder, with its path from the root; links to folders are not followed."""
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            start = f"{folder}/" if folder else ""
            for item in _scan(self._full(folder)):
                if item.is_dir(follow_symlinks=False):
                    waiting.append(start + item.name)
                else:
                    yield start + item.name, item

    def _holds(self, folder: str) -> bool:
        return any(not item.name.startswith(TEMPORARY) for _, item in self._walk(folder))

    def _place(self, path: str, data: Data, move: Callable[[str, str], None]) -> None:
        full = self._full(checked(path))
        parent = os.path.dirname(full)
        with self._refusals("write", path):
            temporary, descriptor = _open_temporary(parent)
            try:
                with open(descriptor, "wb") as file:
                    file.writelines(pieces(data))
                move(temporary, full)
            except FileExistsError as error:
                if os.path.isdir(full):
                    raise IsADirectoryError(errno.EISDIR, "Is a directory", full) from error
                raise
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)

    def _prune(self, folder: str) -> None:
        """Remove a folder and those above it, up to the root, as long as they are empty."""
        while len(folder) > len(self._base):
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)

    @contextmanager
    def _reading(self, path: str) -> Iterator[str]:
        full = self._full(checked(path))
        with self._refusals("read", path):
            try:
                yield full
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "no such file in the lake", full) from None

    @contextmanager
    def _refusals(self, what: str, path: str) -> Iterator[None]:
        """What the operating system refuses, in one line; a missing or present file stays as it is."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            number = errno.ENOTSUP if error.errno in {errno.EOPNOTSUPP, errno.EMLINK} else error.errno or 0
            advice = _ADVICE.get(number, "see that the disk is well, or name another lake")
            where = self._full(path)
            raise LightworkError(f"cannot {what} {where}: {error.strerror or error}; {advice}") from error


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, at once; nothing if it is not there (any more)."""
    try:
        with os.scandir(folder) as items:
            return iter(list(items))
    except (FileNotFoundError, NotADirectoryError):
        return iter(())


def _open_temporary(parent: str) -> tuple[str, int]:
    """A new temporary file in a folder, which is made if missing, though others may remove it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    for attempt in range(_ATTEMPTS):
        temporary = f"{parent}/{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            return temporary, os.open(temporary, flags, 0o666)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            # A folder may go while it is made, or between being found and being looked at: once more.
            with suppress(FileNotFoundError, FileExistsError):
                os.makedirs(parent, exist_ok=True)
    raise AssertionError("unreachable")
