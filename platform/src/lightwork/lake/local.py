"""A lake in a folder on a local disk or a mounted file system."""

# ruff: noqa: PTH106, PTH108, PTH112, PTH116, PTH120, PTH123 (a Path costs more than the call)
from __future__ import annotations

import errno
import functools
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import syncing
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
from lightwork.lake.patience import RUN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow.fs

_ATTEMPTS = 1000
_ADVICE = {
    errno.EACCES: "give this user permission, or use another lake",
    errno.EPERM: "give this user permission, or use another lake",
    errno.EROFS: "mount it writable, or use another lake",
    errno.ENOSPC: "free some space there, or use another lake",
    errno.EDQUOT: "free some space there, or use another lake",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOTSUP: "use a lake on a file system with hard links",
    errno.ENOTDIR: "a file exists where a folder is needed: remove it, or use another lake",
    errno.EISDIR: "a folder exists where a file is needed: remove it, or use another name",
    errno.EEXIST: "a file exists where a folder is needed: remove it, or use another lake",
}
_AWAY = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.ESHUTDOWN),
    *(getattr(errno, name, errno.EIO) for name in ("EREMOTEIO", "ENOLINK", "ECOMM", "ENONET")),
}
"""Errors of a mounted file system whose server, network or process is away."""


class LocalLake(Lake):
    """A lake in a folder: files are written under a temporary name next to their path, then moved there.

    Before a write returns, the file's data are synced, then its name, with the names of the folders above
    it, so that a power cut takes nothing that was written, and leaves no file with half of its data.
    """

    def __init__(self, folder: Path, tenant: str, patience: float = RUN_SECONDS) -> None:
        super().__init__(folder.as_uri().rstrip("/"), tenant, patience)
        self.folder = folder / tenant
        self._base = os.fspath(self.folder)
        self._top = os.path.dirname(os.path.dirname(self._base))

    def __reduce__(self) -> tuple[type[LocalLake], tuple[Path, str, float]]:
        return LocalLake, (self.folder.parent, self.tenant, self.patience)

    def with_patience(self, patience: float) -> LocalLake:
        """Return the same lake with another patience."""
        return LocalLake(self.folder.parent, self.tenant, patience)

    def read(self, path: str) -> bytes:
        """Return all bytes of a file; raise FileNotFoundError if it does not exist."""

        def attempt() -> bytes:
            with self._reading(path) as full, open(full, "rb", buffering=0) as file:
                return file.read()

        return self.patiently(attempt)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return at most `length` bytes from byte `start` on; raise FileNotFoundError if it is missing."""
        checked_range(start, length)

        def attempt() -> bytes:
            with self._reading(path) as full, open(full, "rb") as file:
                file.seek(start)
                return file.read(length)

        return self.patiently(attempt)

    def write(self, path: str, data: Data, *, durable: bool = True) -> None:
        """Write a file atomically, replacing any at the same path; it then survives a power cut."""
        full = self._full(checked(path))
        self.patiently(
            lambda: self._write_and_move(full, path, data, os.replace, durable=durable), _size(data)
        )

    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically unless it exists; return whether it was written."""
        full = self._full(checked(path))
        linked = False

        def link(temporary: str, full: str) -> None:
            nonlocal linked
            try:
                os.link(temporary, full)
            except FileExistsError:
                # A server may have lost its own reply, and been asked again.
                if not os.path.samestat(os.stat(temporary), os.stat(full)):
                    raise
            linked = True

        def attempt() -> bool:
            if linked:  # by an attempt that then failed to sync the name
                with self._clear_errors("write", path):
                    syncing.sync_folder(os.path.dirname(full), self._top)
                return True
            if self._exists(full, path):
                return False
            try:
                self._write_and_move(full, path, data, link)
            except FileExistsError:
                return False
            return True

        return self.patiently(attempt, _size(data))

    def entries(self, prefix: str = "") -> list[Entry]:
        """List the files in a folder and its subfolders, sorted by path; empty if there is none."""
        return self.patiently(lambda: self._entries(checked_folder(prefix)))

    def _entries(self, prefix: str) -> list[Entry]:
        files: list[Entry] = []
        with self._clear_errors("list", prefix):
            for path, item in self._walk(prefix):
                if not item.name.startswith(TEMPORARY):
                    with suppress(FileNotFoundError):
                        status = item.stat()
                        if stat.S_ISREG(status.st_mode):
                            files.append(Entry(path, status.st_size, status.st_mtime))
        files.sort()
        return files

    def folders(self, prefix: str = "") -> list[str]:
        """List the names of the direct subfolders that hold at least one file, sorted."""
        return self.patiently(lambda: self._folders(checked_folder(prefix)))

    def _folders(self, prefix: str) -> list[str]:
        with self._clear_errors("list", prefix):
            names = [item.name for item in _scan(self._full(prefix)) if item.is_dir(follow_symlinks=False)]
            return sorted(name for name in names if self._has_files(f"{prefix}/{name}" if prefix else name))

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, and the folders this leaves empty; missing files are ignored."""
        parents = set()
        for path in paths:
            full = self._full(checked(path))
            self.patiently(functools.partial(self._unlink, full, path))
            parents.add(os.path.dirname(full))
        for parent in sorted(parents, key=len, reverse=True):
            self._prune(parent)

    def exists(self, path: str) -> bool:
        """Return whether a file exists at this path."""
        full = self._full(checked(path))
        return self.patiently(lambda: self._exists(full, path))

    def _unlink(self, full: str, path: str) -> None:
        with self._clear_errors("delete", path), suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(full)

    def _exists(self, full: str, path: str) -> bool:
        with self._clear_errors("check", path):
            try:
                return stat.S_ISREG(os.stat(full).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow file system, and the path of the root in it."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), self._base

    def is_away(self, error: Exception) -> bool:
        """Return whether an error of the pyarrow file system says that the lake is away."""
        return isinstance(error, OSError) and error.errno in _AWAY

    def sweep(self, older_than: float = 3600.0) -> int:
        """Delete temporary files not written to for `older_than` seconds; return how many."""
        return self.patiently(lambda: self._sweep(time.time() - older_than))

    def _sweep(self, limit: float) -> int:
        removed = 0
        with self._clear_errors("clean up", ""):
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
        """Yield every file below a folder with its path from the root; links to folders are not followed."""
        pending = [prefix]
        while pending:
            folder = pending.pop()
            start = f"{folder}/" if folder else ""
            for item in _scan(self._full(folder)):
                if item.is_dir(follow_symlinks=False):
                    pending.append(start + item.name)
                else:
                    yield start + item.name, item

    def _has_files(self, folder: str) -> bool:
        return any(not item.name.startswith(TEMPORARY) for _, item in self._walk(folder))

    def _write_and_move(
        self,
        full: str,
        path: str,
        data: Data,
        move: Callable[[str, str], None],
        *,
        durable: bool = True,
    ) -> None:
        parent = os.path.dirname(full)
        with self._clear_errors("write", path):
            temporary, descriptor = _open_temporary(parent, self._top)
            try:
                with open(descriptor, "wb") as file:
                    file.writelines(pieces(data))
                    if durable:
                        file.flush()
                        syncing.sync_data(descriptor)
                move(temporary, full)
            except FileExistsError as error:
                if os.path.isdir(full):
                    raise IsADirectoryError(errno.EISDIR, "Is a directory", full) from error
                raise
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
            if durable:
                with suppress(FileNotFoundError):  # the file and its folder have been deleted again
                    syncing.sync_folder(parent, self._top)

    def _prune(self, folder: str) -> None:
        """Delete a folder and its parents below the root, as long as they are empty."""
        while len(folder) > len(self._base):
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)

    @contextmanager
    def _reading(self, path: str) -> Iterator[str]:
        full = self._full(checked(path))
        with self._clear_errors("read", path):
            try:
                yield full
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "no such file in the lake", full) from None

    @contextmanager
    def _clear_errors(self, action: str, path: str) -> Iterator[None]:
        """Turn an OSError into a LightworkError of one line, except for a missing or an existing file."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            code = errno.ENOTSUP if error.errno in {errno.EOPNOTSUPP, errno.EMLINK} else error.errno or 0
            advice = _ADVICE.get(code, "check the disk, or use another lake")
            text = f"cannot {action} {self._full(path)}: {error.strerror or error}"
            if code in _AWAY:
                raise LakeAway(f"{text}; check the disk or its server") from error
            raise LightworkError(f"{text}; {advice}") from error


def _size(data: Data) -> int:
    return sum(map(len, pieces(data)))


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    """List the items of a folder; empty if the folder does not exist."""
    try:
        with os.scandir(folder) as items:
            return iter(list(items))
    except (FileNotFoundError, NotADirectoryError):
        return iter(())


def _open_temporary(parent: str, top: str) -> tuple[str, int]:
    """Create a temporary file in a folder, and the folder if needed; return its path and descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    for attempt in range(_ATTEMPTS):
        temporary = f"{parent}/{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            return temporary, os.open(temporary, flags, 0o666)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise LightworkError(
                    f"cannot create the folder {parent}: this file system does not allow it; use another lake"
                ) from None
            # Other processes may remove the folder at any moment: create it and try again.
            with suppress(FileNotFoundError):
                syncing.make_folders(parent, top)
    raise AssertionError("unreachable")
