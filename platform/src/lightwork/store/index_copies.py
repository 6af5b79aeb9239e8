"""Index files as memory: mapped where they lie in a folder, else from copies in this user's cache folder.

Index files never change and have unique names, so a copy is right as long as its name is listed. Copies are
used by all processes of a user; the least recently used are deleted when they take too much space.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import stat
import tempfile
import time
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lightwork.lake.local import LocalLake
from lightwork.lake.threads import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightwork.lake import Entry, Lake

COPIES_BYTES = 4 << 30
"""Bytes of copies that are kept."""
_CHUNK = 8 << 20
_SMALL = 4 << 20
"""Bytes of an index file that is copied even for one key."""
_AT_ONCE = 4
_TEMPORARY = ".tmp-"
_ABANDONED = 3600.0


def folder() -> Path | None:
    """Return the folder for copies, created if needed; None if there is none that is only this user's."""
    return own_folder("index")


def own_folder(name: str) -> Path | None:
    """Return a cache folder, created if needed; None if there is none that is only this user's."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        path = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "lightwork" / name  # noqa: PTH117
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(path)
    except (OSError, RuntimeError):
        return None
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return path if is_own else None


def mapped(lake: Lake, entry: Entry) -> memoryview:
    """Return the bytes of an index file as memory, which stay if the file is deleted.

    Raises:
        FileNotFoundError: it no longer exists.
        LightworkError: the lake cannot be read.
    """
    if isinstance(lake, LocalLake):
        with open(lake.folder / entry.path, "rb") as file:  # noqa: PTH123
            return _map(file)
    copy = _copy_path(lake, entry.path)
    if copy is not None:
        with contextlib.suppress(OSError), copy.open("rb") as file:
            if os.fstat(file.fileno()).st_size == entry.size:
                os.utime(file.fileno())
                return _map(file)
    return _download(lake, entry, copy)


def has(lake: Lake, entry: Entry) -> bool:
    """Return whether an index file can be mapped without reading much from the lake."""
    if isinstance(lake, LocalLake) or entry.size <= _SMALL:
        return True
    copy = _copy_path(lake, entry.path)
    try:
        return copy is not None and copy.stat().st_size == entry.size
    except OSError:
        return False


def discard(lake: Lake, path: str) -> bool:
    """Delete the copy of an index file, which is damaged; return whether there was one."""
    copy = None if isinstance(lake, LocalLake) else _copy_path(lake, path)
    if copy is None:
        return False
    try:
        copy.unlink()
    except OSError:
        return False
    return True


def spilled(pieces: Iterable[bytes]) -> memoryview:
    """Write pieces to a file without a name, and return it as memory."""
    with tempfile.TemporaryFile(prefix="lightwork-index-") as file:
        file.writelines(pieces)
        file.flush()
        return _map(file)


def _map(file: IO[bytes]) -> memoryview:
    if not os.fstat(file.fileno()).st_size:
        return memoryview(b"")
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _copy_path(lake: Lake, path: str) -> Path | None:
    where = folder()
    name = blake2b(lake.uri(path).encode(), digest_size=16).hexdigest()
    return None if where is None else where / f"{name}.idx"


def _download(lake: Lake, entry: Entry, copy: Path | None) -> memoryview:
    if copy is not None:
        temporary = copy.with_name(f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
        try:
            with temporary.open("xb+") as file:
                _fetch(lake, entry, file)
                data = _map(file)
            temporary.replace(copy)
            _evict(copy)
            return data
        except FileNotFoundError:
            raise
        except OSError:
            pass  # the disk is full, for example
        finally:
            temporary.unlink(missing_ok=True)
    with tempfile.TemporaryFile(prefix="lightwork-index-") as file:
        _fetch(lake, entry, file)
        return _map(file)


def _fetch(lake: Lake, entry: Entry, file: IO[bytes]) -> None:
    """Read an index file into a local one, some parts at once."""

    def part(start: int) -> None:
        data = lake.read_range(entry.path, start, _CHUNK)
        os.pwrite(file.fileno(), data, start)

    in_threads(part, range(0, entry.size, _CHUNK), _AT_ONCE)


def _evict(newest: Path) -> None:
    """Delete what was left unfinished, and copies until the others fit: those not used for longest."""
    copies = []
    with contextlib.suppress(OSError):
        for path in newest.parent.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.name.startswith(_TEMPORARY):
                    if status.st_mtime < time.time() - _ABANDONED:
                        path.unlink()
                elif path != newest:
                    copies.append((status.st_mtime, status.st_size, path))
        left = COPIES_BYTES - newest.stat().st_size
        for _, size, path in sorted(copies, reverse=True):
            left -= size
            if left < 0:
                with contextlib.suppress(OSError):
                    path.unlink()
