"""Large buffers beside a pickle: in a file that several processes map read-only, instead of copies in each.

On Linux the file is anonymous memory (`memfd_create`) of the process that made it. It has no name, so
nothing is left behind, however that process ends. Elsewhere, and for workers on other machines, it is a
file in a folder.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import mmap
import os
import pickle
import secrets
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lightwork.errors import LightworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGE = 1 << 20
"""Bytes from which on a buffer is kept beside its pickle."""
ADVICE = "large inputs are mapped read-only: change a copy, such as x = x.copy()"
"""What to do about an attempt to change a mapped array."""
USED: set[bool] = set()
"""Not empty once a function of this process may have got an array that is mapped."""
_ALIGNMENT = 64
_TOKEN_BYTES = 16
_START = bytes(_ALIGNMENT - _TOKEN_BYTES)
_ADD_SEALS = 1033
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # no more seals, no shrinking, no growing, no writing
_OWNER = "owner"
_UNFINISHED = ".new-"
_ABANDONED = 3600.0
"""Seconds after which an unfinished folder is deleted."""


class Source(Protocol):
    """Where the buffers are; it can be pickled."""

    def view(self) -> memoryview:
        """Return all bytes, read-only."""


class Place(Protocol):
    """Stores buffers where the readers of a pickle can map them."""

    def put(self, parts: Sequence[Any]) -> Source | None:
        """Store bytes-like parts one after the other; return None if there is no room."""


class Buffers:
    """The large buffers of one pickle.

    Args:
        spans: offset and length of each buffer in the source.
        source: where the bytes are.
    """

    __slots__ = ("_view", "source", "spans")

    def __init__(self, spans: tuple[tuple[int, int], ...], source: Source) -> None:
        self.spans = spans
        self.source = source
        self._view: memoryview | None = None

    @property
    def nbytes(self) -> int:
        """The size of all buffers in bytes."""
        return sum(length for _, length in self.spans)

    def views(self) -> list[memoryview]:
        """Return the buffers, read-only.

        Raises:
            LightworkError: the process that made them has ended, or does not need them any more.
        """
        USED.add(True)
        if self._view is None:
            self._view = self.source.view()
        view = self._view
        return [view[start : start + length] for start, length in self.spans]

    def __reduce__(self) -> Any:
        return Buffers, (self.spans, self.source)


class Borrowed:
    """Buffers that stay where they are: for readers in this process, as long as the owner does not change."""

    def __init__(self, views: list[memoryview]) -> None:
        self._views = views
        self.spans = ()
        self.nbytes = sum(view.nbytes for view in views)

    def views(self) -> list[memoryview]:
        """Return the buffers, read-only."""
        USED.add(True)
        return self._views


class Copied:
    """Buffers in a bytes object, which is sent as it is."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data

    def view(self) -> memoryview:
        """Return all bytes, read-only."""
        return memoryview(self.data).toreadonly()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Copied, (pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data),)


class Memory:
    """Buffers in anonymous memory of a process on this machine.

    Args:
        pid: the process that holds it.
        descriptor: the number of its open file there.
        token: its first bytes, as the number may belong to another file by now.
    """

    __slots__ = ("_owned", "descriptor", "pid", "token")

    def __init__(self, pid: int, descriptor: int, token: bytes, owned: _Descriptor | None = None) -> None:
        self.pid = pid
        self.descriptor = descriptor
        self.token = token
        self._owned = owned

    def view(self) -> memoryview:
        """Map all bytes, read-only."""
        return _map(f"/proc/{self.pid}/fd/{self.descriptor}", self.token)

    def __reduce__(self) -> Any:
        return Memory, (self.pid, self.descriptor, self.token)


class File:
    """Buffers in a file; the process that wrote it deletes it."""

    __slots__ = ("_owned", "path", "token")

    def __init__(self, path: str, token: bytes, owned: _Deleted | None = None) -> None:
        self.path = path
        self.token = token
        self._owned = owned

    def view(self) -> memoryview:
        """Map all bytes, read-only."""
        return _map(self.path, self.token)

    def __reduce__(self) -> Any:
        return File, (self.path, self.token)


def _map(path: str, token: bytes) -> memoryview:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            view = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise LightworkError(
            f"a large input cannot be mapped from {path}: {error}; its map has ended, or this worker does "
            "not see the driver's lake"
        ) from error
    if view[:_TOKEN_BYTES] != token:
        raise LightworkError(f"a large input is gone from {path}: its map has ended")
    return view


class _Descriptor:
    """Closes a file, and with it frees its memory, when nobody needs it any more."""

    __slots__ = ("_number", "_pid")
    opened = 0

    def __init__(self, number: int) -> None:
        self._number = number
        self._pid = os.getpid()
        _Descriptor.opened += 1

    def __del__(self, close: Callable[[int], None] = os.close, getpid: Callable[[], int] = os.getpid) -> None:
        if getpid() == self._pid:
            _Descriptor.opened -= 1
            close(self._number)


class _Deleted:
    """Deletes a file when nobody needs it any more."""

    __slots__ = ("_path", "_pid")

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = os.getpid()

    def __del__(
        self, unlink: Callable[[str], None] = os.unlink, getpid: Callable[[], int] = os.getpid
    ) -> None:
        if getpid() == self._pid:
            with contextlib.suppress(OSError):
                unlink(self._path)


class SharedMemory:
    """A place in this process's memory, for processes on this machine."""

    def put(self, parts: Sequence[Any]) -> Source | None:
        """Store bytes-like parts one after the other; return None if there is no room."""
        if _Descriptor.opened >= _most_open():
            return None
        token = secrets.token_bytes(_TOKEN_BYTES)
        try:
            number = os.memfd_create("lightwork", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        owned = _Descriptor(number)
        try:
            _write(number, itertools.chain((token, _START), parts))
            _seal(number)
        except OSError:
            return None
        return Memory(os.getpid(), number, token, owned)

    @staticmethod
    def available() -> bool:
        """Return whether this machine has such memory, and lets a process open it by another's number."""
        if not hasattr(os, "memfd_create"):
            return False
        source = SharedMemory().put([b"x"])
        if source is None:
            return False
        try:
            source.view()
        except LightworkError:
            return False
        return True


class Folder:
    """A place in a folder that readers see, in a folder of this process's own; `close` deletes that.

    A lock on a file in there shows that the process lives. The folders of dead processes are deleted when the
    next one is made.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._own: Path | None = None
        self._owner = -1
        self._refused = False

    def put(self, parts: Sequence[Any]) -> Source | None:
        """Store bytes-like parts one after the other; return None if there is no room."""
        token = secrets.token_bytes(_TOKEN_BYTES)
        with self._lock:
            if self._own is None and not self._refused:
                try:
                    self._own = self._make()
                except OSError:
                    self._refused = True
        if self._own is None:
            return None
        path = str(self._own / token.hex())
        owned = _Deleted(path)
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o444)
            try:
                _write(number, itertools.chain((token, _START), parts))
            finally:
                os.close(number)
        except OSError:
            return None
        return File(path, token, owned)

    def _make(self) -> Path:
        self._base.mkdir(parents=True, exist_ok=True)
        _sweep(self._base)
        name = secrets.token_hex(8)
        unfinished = self._base / f"{_UNFINISHED}{name}"
        unfinished.mkdir()
        self._owner = os.open(
            unfinished / _OWNER, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644
        )
        _try_lock(self._owner)
        return unfinished.rename(self._base / name)

    def close(self) -> None:
        """Delete the folder, and all that is in it."""
        with self._lock:
            own, self._own, self._refused = self._own, None, True
            if own is None:
                return
            shutil.rmtree(own, ignore_errors=True)
            os.close(self._owner)
            with contextlib.suppress(OSError):
                self._base.rmdir()


def _try_lock(number: int) -> None:
    """Lock an open file; raise OSError if a living process holds the lock, or the file system has none."""
    import fcntl

    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(base: Path) -> list[Path]:
    """List the folders of processes that have ended without deleting them."""
    found = []
    try:
        folders = [] if base.is_symlink() else sorted(base.iterdir())
    except OSError:
        return []
    for folder in folders:
        with contextlib.suppress(OSError), _owned(folder):
            found.append(folder)
    return found


def remove(folder: Path) -> bool:
    """Delete the folder of a process that has ended; return whether that was so."""
    with contextlib.suppress(OSError), _owned(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return True
    return False


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder whose process has ended.

    Raises:
        OSError: the process lives, or nothing shows whether it does.
    """
    is_old = time.time() - folder.stat().st_mtime >= _ABANDONED
    if folder.name.startswith(_UNFINISHED) and not is_old:
        raise BlockingIOError
    number = os.open(folder / _OWNER, os.O_RDWR)
    try:
        _try_lock(number)
        yield
    finally:
        os.close(number)


def _sweep(base: Path) -> None:
    """Delete the folders of processes that have ended without doing so."""
    for folder in abandoned(base):
        remove(folder)


def _most_open() -> int:
    """Return how many files this process may hold for large inputs: a quarter of its limit."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 256 if soft == resource.RLIM_INFINITY else min(256, soft // 4)


def _seal(number: int) -> None:
    import fcntl

    fcntl.fcntl(number, _ADD_SEALS, _SEALS)


def _write(number: int, parts: Iterator[Any]) -> None:
    for part in parts:
        view = memoryview(part).cast("B")
        while view.nbytes:
            view = view[os.write(number, view[: 1 << 30]) :]


def store(views: Sequence[memoryview], place: Place | None) -> Buffers:
    """Copy buffers to a place, or into one bytes object if there is no place or no room."""
    parts: list[Any] = []
    spans: list[tuple[int, int]] = []
    offset = _ALIGNMENT
    for view in views:
        spans.append((offset, view.nbytes))
        padding = -view.nbytes % _ALIGNMENT
        parts += [view, bytes(padding)]
        offset += view.nbytes + padding
    source = None if place is None else place.put(parts)
    if source is None:
        data = b"".join([bytes(_ALIGNMENT), *parts])
        source = Copied(data)
    return Buffers(tuple(spans), source)


class Way:
    """How values are pickled.

    Args:
        pickler: the class of the pickler, with protocol 5 if it is not the standard one.
        arguments: what it takes after the file.
    """

    def __init__(self, pickler: Any = pickle.Pickler, *arguments: Any) -> None:
        self._pickler = pickler
        self._arguments = arguments or (5,)

    def dumps(self, value: Any, take: Callable[[pickle.PickleBuffer], bool] | None = None) -> bytes:
        """Pickle a value; `take` gets each buffer, and returns whether it stays in the pickle."""
        if self._pickler is pickle.Pickler:
            return pickle.dumps(value, protocol=5, buffer_callback=take)
        return self.dumps_as(lambda pickler: pickler, value, take)

    def dumps_as(
        self, derive: Callable[[Any], Any], value: Any, take: Callable[[pickle.PickleBuffer], bool] | None
    ) -> bytes:
        """Pickle a value with a class derived from the pickler."""
        file = io.BytesIO()
        derive(self._pickler)(file, *self._arguments, buffer_callback=take).dump(value)
        return file.getvalue()


PLAIN = Way()
"""The standard pickle."""


def dump_apart(value: Any, way: Way) -> tuple[bytes, list[memoryview]]:
    """Pickle a value without its large buffers.

    Args:
        value: the value.
        way: how it is pickled.

    Returns:
        The pickle, and the buffers that it lacks, in order, read-only. They are those of the value itself.
    """
    views: list[memoryview] = []
    data = way.dumps(value, _taking(views))
    if len(data) < LARGE or "numpy" not in sys.modules:
        return data, views
    # Something large has no buffer of its own, such as an array of dates or every second row of an array.
    more: list[memoryview] = []
    other = way.dumps_as(_apart, value, _taking(more))
    return (other, more) if len(more) > len(views) else (data, views)


def dump_writable(value: Any, way: Way) -> bytes:
    """Pickle a value; arrays in it that are parts of mapped ones may be changed once they are unpickled."""
    read_only: list[bool] = []

    def look(buffer: pickle.PickleBuffer) -> bool:
        read_only.append(memoryview(buffer).readonly)
        return True

    data = way.dumps(value, look)
    return way.dumps_as(_writable, value, None) if any(read_only) else data


def is_mapped(array: Any) -> bool:
    """Return whether a NumPy array is, or is a part of, one that was mapped read-only for a function."""
    if array.flags.writeable:
        return False
    base = array
    while base is not None and not isinstance(base, memoryview):
        base = getattr(base, "base", None)
    return base is not None


def holds_mapped(value: Any) -> bool:
    """Return whether a value may have parts of a mapped array in it."""
    read_only: list[bool] = []
    pickle.dumps(value, protocol=5, buffer_callback=lambda b: read_only.append(memoryview(b).readonly))
    return any(read_only)


def _writable(base: Any) -> Any:
    """Return a pickler that copies arrays which are mapped."""
    import numpy

    class Writable(base):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if type(value) is numpy.ndarray and is_mapped(value):
                return value.copy(order="K").__reduce_ex__(5)
            override = getattr(super(), "reducer_override", None)
            return NotImplemented if override is None else override(value)

    return Writable


def _taking(views: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    def take(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if view.nbytes < LARGE:
            return True
        views.append(view.toreadonly())
        return False

    return take


def _apart(base: Any) -> Any:
    """Return a pickler that also finds the buffers of large arrays that NumPy pickles with their elements."""
    import numpy

    class Apart(base):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if type(value) is numpy.ndarray and value.nbytes >= LARGE and not value.dtype.hasobject:
                if value.dtype.kind in "mM":
                    return _as_dtype, (numpy.array(value, order="A").view("i8"), value.dtype)
                if not value.flags.forc:
                    return _as_dtype, (numpy.array(value, order="C"), None)
            override = getattr(super(), "reducer_override", None)
            return NotImplemented if override is None else override(value)

    return Apart


def _as_dtype(array: Any, dtype: Any) -> Any:
    return array if dtype is None else array.view(dtype)
