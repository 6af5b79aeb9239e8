"""A lake in a folder on a local disk or a mounted file system."""

# ruff: noqa: PTH105, PTH106, PTH108, PTH110, PTH112, PTH116, PTH120, PTH123 (a Path costs more than the call)
from __future__ import annotations

import errno
import functools
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import inventory, locks, syncing
from lightwork.lake.base import (
    ABANDONED,
    TEMPORARY,
    Data,
    Entry,
    Item,
    Lake,
    checked,
    checked_folder,
    checked_range,
    pieces,
)
from lightwork.lake.locks import Lock
from lightwork.lake.patience import RUN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow.fs

    from lightwork.lake.locks import State

T = TypeVar("T")

_ATTEMPTS = 1000
_CHUNK = 1 << 20
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

    def stream(self, path: str, data: Callable[[], Iterable[bytes]], size: int) -> None:
        """Write a file atomically from pieces that are made while it is written."""
        full = self._full(checked(path))
        self.patiently(lambda: self._write_and_move(full, path, data, os.replace), size)

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

    def tag(self, path: str) -> str | None:
        """Return the tag of a file, which each write changes; None if there is no such file."""
        full = self._full(checked(path))
        return self._patient("check", path, lambda: _tag(full))

    def replace(self, path: str, source: BinaryIO, expected: str | None) -> bool:
        """Write a file atomically unless it has changed; return whether it was written."""
        full = self._full(checked(path))
        replaced = False

        def swap(temporary: str, full: str) -> None:
            nonlocal replaced
            with locks.alone(os.path.dirname(full)):
                if _tag(full) != expected:
                    raise FileExistsError
                os.replace(temporary, full)
            replaced = True

        def attempt() -> bool:
            if replaced:  # by an attempt that then failed to sync the name
                with self._clear_errors("write", path):
                    syncing.sync_folder(os.path.dirname(full), self._top)
                return True
            try:
                self._write_and_move(full, path, lambda: _chunks(source), swap)
            except FileExistsError:
                return False
            return True

        return self.patiently(attempt, source.seek(0, os.SEEK_END))

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

    def _patient(self, action: str, path: str, attempt: Callable[[], T]) -> T:
        """Call a function, again as long as the folder is away; its errors have one line of text."""

        def clearly() -> T:
            with self._clear_errors(action, path):
                return attempt()

        return self.patiently(clearly)

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

    def now(self) -> float:
        """Return the time by the clock of the file system, which may be another machine's."""
        temporary = ""
        if not os.path.isdir(self._base):
            return time.time()
        try:
            temporary, descriptor = _open_temporary(self._base, self._top)
            with open(descriptor, "wb"):
                return os.fstat(descriptor).st_mtime
        except (OSError, LightworkError):  # it cannot be written to
            return time.time()
        finally:
            with suppress(OSError):
                os.unlink(temporary)

    def inventory(self) -> Iterator[Item]:
        """Yield all that takes space in the lake: files, temporary ones too, and folders."""
        yield from inventory.everything(self._base, "", self._patient)

    def files(self, prefix: str = "") -> Iterator[Item]:
        """Yield the files in a folder and its subfolders, those of one subfolder after the other."""
        items = inventory.everything(self._base, checked_folder(prefix), self._patient)
        yield from (item for item in items if item.kind == "file")

    def unfinished(self) -> Iterator[Item]:
        """Yield the temporary files and the folders."""
        yield from (item for item in self.inventory() if item.kind != "file")

    def is_abandoned(self, item: Item, now: float, silent: float = ABANDONED) -> bool:
        """Return whether a temporary file's writer has ended, or a folder is empty and not new."""
        age, full = now - item.modified, self._full(item.path)

        def attempt() -> bool:
            if item.kind == "temporary":
                return inventory.is_abandoned(full, age, silent)
            return item.kind == "folder" and bool(item.path) and inventory.is_forgotten(full, age)

        return self._patient("check", item.path, attempt)

    def discard(self, item: Item) -> bool:
        """Delete a temporary file, or a folder if it is empty; return whether it was there."""
        full = self._full(item.path)

        def attempt() -> bool:
            if item.kind == "folder":
                try:
                    os.rmdir(full)
                except OSError:
                    return False
                return True
            try:
                os.unlink(full)
            except FileNotFoundError:
                return False
            self._prune(os.path.dirname(full))
            return True

        return self._patient("delete", item.path, attempt)

    def lock(self, path: str) -> Lock | None:
        """Create a file that is locked as long as this process lives, and names its machine."""
        full = self._full(checked(path))

        def attempt() -> Lock:
            temporary, descriptor = _open_temporary(os.path.dirname(full), self._top)
            try:
                os.write(descriptor, locks.machine().encode())
                os.replace(temporary, full)
            except BaseException:
                os.close(descriptor)
                raise
            return Lock(full, descriptor)

        return self._patient("write", path, attempt)

    def lock_state(self, path: str) -> State:
        """Return whether a living process holds the lock of a file; that of another machine is unknown."""
        full = self._full(checked(path))
        with self._clear_errors("check", path):
            try:
                state = locks.state(full)
                if state == "free" and self.read(path).decode(errors="replace") != locks.machine():
                    return "unknown"
            except FileNotFoundError:
                return "free"
        return state

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
        data: Data | Callable[[], Iterable[bytes]],
        move: Callable[[str, str], None],
        *,
        durable: bool = True,
    ) -> None:
        parent = os.path.dirname(full)
        with self._clear_errors("write", path):
            while not self._write_once(full, data, move, durable=durable):
                pass  # its temporary file is gone: this process has stood still, and counted as ended
            if durable:
                with suppress(FileNotFoundError):  # the file and its folder have been deleted again
                    syncing.sync_folder(parent, self._top)

    def _write_once(
        self,
        full: str,
        data: Data | Callable[[], Iterable[bytes]],
        move: Callable[[str, str], None],
        *,
        durable: bool,
    ) -> bool:
        """Write a file and move it to its path; return False if another process has deleted it meanwhile."""
        temporary, descriptor = _open_temporary(os.path.dirname(full), self._top)
        try:
            with open(descriptor, "wb") as file:
                file.writelines(data() if callable(data) else pieces(data))
                if durable:
                    file.flush()
                    syncing.sync_data(descriptor)
            move(temporary, full)
        except FileNotFoundError:
            if os.path.exists(temporary):
                raise
            return False
        except FileExistsError as error:
            if os.path.isdir(full):
                raise IsADirectoryError(errno.EISDIR, "Is a directory", full) from error
            raise
        else:
            return True
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

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


def _tag(full: str) -> str | None:
    try:
        status = os.stat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    source.seek(0)
    while chunk := source.read(_CHUNK):
        yield chunk


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    """List the items of a folder; empty if the folder does not exist."""
    try:
        with os.scandir(folder) as items:
            return iter(list(items))
    except (FileNotFoundError, NotADirectoryError):
        return iter(())


def _open_temporary(parent: str, top: str) -> tuple[str, int]:
    """Create a temporary file in a folder, and the folder if needed; return its path and descriptor.

    It is locked, which shows that its writer lives.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    for attempt in range(_ATTEMPTS):
        temporary = f"{parent}/{TEMPORARY}{locks.machine()}-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(temporary, flags, 0o666)
            locks.hold(descriptor)
            return temporary, descriptor
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise LightworkError(
                    f"cannot create the folder {parent}: this file system does not allow it; use another lake"
                ) from None
            # Other processes may remove the folder at any moment: create it and try again.
            with suppress(FileNotFoundError):
                syncing.make_folders(parent, top)
    raise AssertionError("unreachable")
