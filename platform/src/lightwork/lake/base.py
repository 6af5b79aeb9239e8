"""What every kind of lake can do, and the rules its paths follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import InputError

if TYPE_CHECKING:
    import pyarrow.fs

TEMPORARY = ".tmp-"
"""How the name of an unfinished file begins; never listed."""

Data = bytes | bytearray | memoryview | Sequence[bytes | bytearray | memoryview]
"""What can be written: bytes, or pieces of bytes that follow each other."""


class Entry(NamedTuple):
    """One file of a lake: its path below the root, its size in bytes, when it was written (Unix seconds)."""

    path: str
    size: int
    modified: float


class Lake(ABC):
    """One tenant's part of a lake.

    Every path is relative to the root and separated by "/". A file is there whole or not at all, for every
    reader, whatever happens to its writer. A lake can be pickled, is cheap to make and safe to share between
    threads and processes.

    A path that leaves the root, or is empty where a file is meant, raises InputError. What the disk or the
    network refuses (no permission, disk full, unreachable) raises LightworkError with one line of text.

    Attributes:
        url: where the lake is, without the tenant: `file:///…` or `s3://…`.
        tenant: whose part of it.
        root: `<url>/<tenant>`.
    """

    def __init__(self, url: str, tenant: str) -> None:
        self.url = url
        self.tenant = tenant
        self.root = f"{url}/{tenant}"

    @abstractmethod
    def read(self, path: str) -> bytes:
        """All bytes of a file; FileNotFoundError if there is none."""

    @abstractmethod
    def read_range(self, path: str, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start` on, fewer at the end.

        FileNotFoundError if there is no file.
        """

    @abstractmethod
    def write(self, path: str, data: Data) -> None:
        """Write a file atomically, replacing one of the same path."""

    @abstractmethod
    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically if there is none; False, and nothing changed, if there is one.

        Of several processes that create one path, exactly one gets True.
        """

    @abstractmethod
    def entries(self, prefix: str = "") -> list[Entry]:
        """All files in a folder and its sub-folders, sorted by path; empty if there is no such folder."""

    @abstractmethod
    def folders(self, prefix: str = "") -> list[str]:
        """The names of the folders directly in a folder that hold at least one file, sorted."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there are fine."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file of this path."""

    @abstractmethod
    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A pyarrow file system, and the path of the root in it.

        It can be pickled and carries no secret; in another process it takes that process's own credentials.
        """

    @abstractmethod
    def sweep(self, older_than: float = 3600.0) -> int:
        """Remove what killed writers left unfinished, if older than so many seconds; returns how many."""

    def uri(self, path: str) -> str:
        """The full address of a path."""
        return f"{self.root}/{checked(path)}"

    def __repr__(self) -> str:
        return f"Lake({self.root!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lake) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("lightwork.lake", self.root)


def checked(path: str) -> str:
    """The path of a file, if it stays below the root; else InputError."""
    if (
        not path
        or path[0] == "/"
        or path[-1] == "/"
        or "\\" in path
        or "\0" in path
        or any(part in {"", ".", ".."} or part.startswith(TEMPORARY) for part in path.split("/"))
    ):
        raise InputError(
            f'{path!r} is no path in a lake: parts separated by single "/", relative to the root, '
            f'none of them "." or ".." or beginning with "{TEMPORARY}"'
        )
    return path


def checked_folder(prefix: str) -> str:
    """The path of a folder without the "/" at its end; "" is the root."""
    prefix = prefix.removesuffix("/")
    return checked(prefix) if prefix else ""


def checked_range(start: int, length: int) -> None:
    """Refuse a range that no file has."""
    if start < 0 or length < 0:
        raise InputError(
            f"a range begins at byte 0 or later and is not negative: start {start}, length {length}"
        )


def pieces(data: Data) -> Sequence[bytes | bytearray | memoryview]:
    """The data as pieces of bytes."""
    return (data,) if isinstance(data, bytes | bytearray | memoryview) else data
