"""The interface of a lake, and the rules for its paths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self, TypeVar
from urllib.parse import unquote

from lightwork.errors import InputError
from lightwork.lake.patience import RUN_SECONDS, patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.fs

    from lightwork.lake.locks import Lock, State

T = TypeVar("T")

TEMPORARY = ".tmp-"
"""Prefix of the name of an unfinished file; such files are never listed."""

Data = bytes | bytearray | memoryview | Sequence[bytes | bytearray | memoryview]
"""Content to write: bytes, or consecutive pieces of bytes."""


ABANDONED = 24 * 3600.0
"""Seconds without a sign of life after which a writer counts as ended, where no lock shows whether it is."""


class Item(NamedTuple):
    """Something that takes space in a lake, also what `Lake.entries` does not list.

    Attributes:
        path: its path below the root; that of an upload is the path of the file that it is to become.
        size: its size in bytes; for an upload, that of the parts that have arrived.
        modified: the time of its last change, by the lake's clock (Unix seconds).
        disk: bytes that it takes on the disk; its size if the lake is in S3.
        kind: `file`, `folder`, `temporary` (the file of an unfinished write) or `upload` (one in S3).
        upload: the upload's id.
    """

    path: str
    size: int
    modified: float
    disk: int
    kind: str
    upload: str = ""


class Entry(NamedTuple):
    """A file in a lake: its path below the root, its size in bytes, its time of writing (Unix seconds)."""

    path: str
    size: int
    modified: float


def shown(lake: Lake) -> str:
    """Return the address of a tenant's part of a lake; a plain path if it is a folder."""
    root = lake.root
    return unquote(root.removeprefix("file://")) if root.startswith("file://") else root


class Lake(ABC):
    """One tenant's part of a lake.

    Paths are relative to the root and separated by "/". Readers see a file complete or not at all, even if
    its writer dies. A lake can be pickled, is cheap to create, and is safe to share between threads and
    processes.

    A path that leaves the root, or an empty one where a file is expected, raises InputError. Each call waits
    for a lake that is away (unreachable, overloaded, a network mount that fails), and raises LakeAway after
    its patience. What the lake refuses (permission denied, disk full) raises LightworkError at once. Each
    has one line of text.

    Attributes:
        url: the lake's address without the tenant: `file:///…` or `s3://…`.
        tenant: the tenant's name.
        root: `<url>/<tenant>`.
        patience: seconds for which a call waits for a lake that is away.
    """

    def __init__(self, url: str, tenant: str, patience: float = RUN_SECONDS) -> None:
        self.url = url
        self.tenant = tenant
        self.root = f"{url}/{tenant}"
        self.patience = patience
        self._shown = shown(self)

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return all bytes of a file; raise FileNotFoundError if it does not exist."""

    @abstractmethod
    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return at most `length` bytes from byte `start` on, fewer at the end of the file.

        Raises:
            FileNotFoundError: the file does not exist.
        """

    @abstractmethod
    def write(self, path: str, data: Data, *, durable: bool = True) -> None:
        """Write a file atomically, replacing any at the same path.

        Args:
            path: its path.
            data: its content.
            durable: return only when it would survive a power cut. False is faster, for what is not needed
                after one; such a file may then be empty.
        """

    @abstractmethod
    def stream(self, path: str, data: Callable[[], Iterable[bytes]], size: int) -> None:
        """Write a file as `write` does, from pieces that are made while it is written, in bounded memory.

        Args:
            path: its path.
            data: returns the pieces, which are the same each time; what they raise is raised, and nothing is
                written.
            size: their bytes, about.
        """

    @abstractmethod
    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically and durably unless it exists; return whether it was written.

        If several processes create the same path, exactly one gets True.
        """

    @abstractmethod
    def tag(self, path: str) -> str | None:
        """Return the tag of a file, which each write changes; None if there is no such file."""

    @abstractmethod
    def replace(self, path: str, source: BinaryIO, expected: str | None) -> bool:
        """Write a file atomically and durably unless it has changed; return whether it was written.

        If several processes replace the same file, exactly one gets True. A folder on a file system without
        locks is an exception: there, two that write at the same moment may both get it.

        Args:
            path: its path.
            source: an open file on this machine with the content.
            expected: what `tag` returned: the file is written if that is still so.
        """

    @abstractmethod
    def entries(self, prefix: str = "") -> list[Entry]:
        """List the files in a folder and its subfolders, sorted by path; empty if there is none."""

    @abstractmethod
    def folders(self, prefix: str = "") -> list[str]:
        """List the names of the direct subfolders that hold at least one file, sorted."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; missing ones are ignored."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Return whether a file exists at this path."""

    @abstractmethod
    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow file system, and the path of the root in it.

        It can be pickled and carries no secret; in another process it uses the credentials of that process.
        """

    @abstractmethod
    def is_away(self, error: Exception) -> bool:
        """Return whether an error of the pyarrow file system says that the lake is away."""

    @abstractmethod
    def now(self) -> float:
        """Return the time by the clock that stamps the lake's files (Unix seconds)."""

    @abstractmethod
    def inventory(self) -> Iterator[Item]:
        """Yield all that takes space in the lake, with unfinished writes and with the folders themselves."""

    @abstractmethod
    def files(self, prefix: str = "") -> Iterator[Item]:
        """Yield the files in a folder and its subfolders, those of one subfolder after the other."""

    @abstractmethod
    def unfinished(self) -> Iterator[Item]:
        """Yield what writers have left or are writing, and the folders, which may be empty."""

    @abstractmethod
    def is_abandoned(self, item: Item, now: float, silent: float = ABANDONED) -> bool:
        """Return whether nobody needs an item: its writer has ended, or it is a folder that stays empty.

        Args:
            item: the item.
            now: the time by the lake's clock.
            silent: seconds without a sign of life after which a writer counts as ended, where nothing else
                shows whether it is.
        """

    @abstractmethod
    def discard(self, item: Item) -> bool:
        """Delete the item of an unfinished write, or a folder if it is empty; return whether it was there."""

    def lock(self, path: str) -> Lock | None:  # noqa: ARG002
        """Create a file that is locked as long as this process lives; None if the lake has no locks."""
        return None

    def lock_state(self, path: str) -> State:  # noqa: ARG002
        """Return whether a living process holds the lock of a file that `lock` has created."""
        return "unknown"

    @abstractmethod
    def with_patience(self, patience: float) -> Self:
        """Return the same lake with another patience; with 0, calls do not wait."""

    def patiently(self, attempt: Callable[[], T], size: int = 0) -> T:
        """Call a function that uses the lake; as long as it raises LakeAway, again until the patience ends.

        Args:
            attempt: the function.
            size: bytes that it writes.

        Raises:
            LakeAway: the lake stayed away.
        """
        return patiently(self._shown, self.patience, attempt, size=size)

    def uri(self, path: str) -> str:
        """Return the full address of a path."""
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
    """Return the path of a file if it stays below the root; raise InputError otherwise."""
    if (
        not path
        or path[0] == "/"
        or path[-1] == "/"
        or "\\" in path
        or "\0" in path
        or any(part in {"", ".", ".."} or part.startswith(TEMPORARY) for part in path.split("/"))
    ):
        raise InputError(
            f'{path!r} is not a valid lake path: expected a relative path, parts separated by single "/", '
            f'none of them "." or ".." or starting with "{TEMPORARY}"'
        )
    return path


def checked_folder(prefix: str) -> str:
    """Return the path of a folder without its final "/"; "" is the root."""
    prefix = prefix.removesuffix("/")
    return checked(prefix) if prefix else ""


def checked_range(start: int, length: int) -> None:
    """Refuse a range with a negative start or length."""
    if start < 0 or length < 0:
        raise InputError(f"start and length of a range must be at least 0, got {start} and {length}")


def pieces(data: Data) -> Sequence[bytes | bytearray | memoryview]:
    """Return the data as a sequence of pieces."""
    return (data,) if isinstance(data, bytes | bytearray | memoryview) else data
