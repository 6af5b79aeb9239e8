"""The results of a task in the lake: looked up in bulk, committed by any number of writers.

They are stored under `results/<task>/<code key>/`: one immutable segment per finished batch, and
`code.json`, which describes the code key. A run reads the segments' indexes once, then looks up keys in
memory. Small segments are merged into larger ones; a reader that misses a merged segment lists the folder
again.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, near, one_line
from lightwork.functions.frozen import Frozen, Unfreezable, thaw_or_tell
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger
from lightwork.store import documents, segments
from lightwork.store.documents import OddError
from lightwork.store.segments import Block, Index, IntactError, SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lightwork.keys import CodeKey
    from lightwork.lake import Entry, Lake

SUFFIX = ".seg"
MANY = 64
"""Number of segments that are worth merging."""
_READ_WHOLE = 4 << 20  # bytes: larger segments are read block by block
_SMALL = 32 << 20  # bytes: larger segments are not merged
_DECODED = 64 << 20  # bytes of decoded blocks kept in memory


class Missing:
    """The type of `MISSING`, which stands for an absent result."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


def results_folder(task: str) -> str:
    """Return the folder of a task's results in the lake."""
    return f"results/{task.replace('<', '(').replace('>', ')')}"


class ResultStore:
    """The results of one task, for all versions of its code."""

    def __init__(self, lake: Lake, task: str) -> None:
        self.lake = lake
        self.task = task

    def open(self, code: CodeKey, *, mends: bool = True) -> CodeResults:
        """Open the results of one version of the code; damaged segments are deleted if `mends`."""
        return CodeResults(self.lake, self.task, code.digest, mends=mends)

    def versions(self) -> list[tuple[CodeKey, float]]:
        """List the versions of the code with results, and the times of their first commits, newest first."""
        entries = [e for e in self.lake.entries(results_folder(self.task)) if e.path.endswith("/code.json")]
        entries.sort(key=lambda entry: entry.modified, reverse=True)
        versions = []
        for entry in entries:
            try:
                code = _code_of(self.lake.read(entry.path), entry.path.split("/")[-2])
            except FileNotFoundError:
                continue
            except OddError as error:
                get_logger("lightwork").warning(
                    f"ignored a damaged file: {self.lake.uri(entry.path)}: {one_line(error)}"
                )
                continue
            versions.append((code, entry.modified))
        return versions


class CodeResults:
    """The results of one version of a task's code, as one process sees them.

    Several processes may use the same results, but only one thread may use an object of this class.

    Args:
        lake: the tenant's lake.
        task: the task's name.
        code_digest: the digest of the code's key.
        mends: delete damaged segments, so that they are reported once.
    """

    def __init__(self, lake: Lake, task: str, code_digest: str, *, mends: bool = True) -> None:
        self.lake = lake
        self.task = task
        self.code = code_digest
        self.folder = f"{results_folder(task)}/{code_digest}"
        self._mends = mends
        self._added: set[str] = set()
        self._damaged: set[str] = set()
        self._positions: dict[bytes, int] = {}
        self._blocks: list[tuple[str, Block]] = []
        self._decoded: OrderedDict[int, list[Any]] = OrderedDict()
        self._decoded_bytes = 0
        self._whole: dict[str, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, key: bytes) -> bool:
        """Whether the indexes that were read name a result of this key; its value is not read."""
        return key in self._positions

    @property
    def mean_bytes(self) -> float:
        """Mean size of a result in bytes; 0 if there are none."""
        return self._bytes / len(self._positions) if self._positions else 0.0

    # Reading

    def refresh(self) -> CodeResults:
        """Read the indexes of new segments; skip damaged ones with a warning."""
        entries = [e for e in self.lake.entries(self.folder) if e.path.endswith(SUFFIX)]
        new = [e for e in entries if e.path not in self._added and e.path not in self._damaged]
        for entry, index in _parallel(self._read_index, new):
            if isinstance(index, SegmentError):
                self._ignore(entry.path, index)
            elif index is not None:
                self._add(entry.path, index)
        return self

    def lookup(self, keys: Sequence[bytes]) -> list[Any]:
        """Look up the results of keys.

        Returns:
            One result per key, `MISSING` where there is none or it cannot be read. What can be changed is a
            new object each time, also where a key occurs twice.
        """
        position = self._positions.get
        try:
            return self._values([position(key) for key in keys])
        except FileNotFoundError:
            # Another run has merged the segment since it was listed.
            self.forget()
            self.refresh()
            try:
                return self._values([self._positions.get(key) for key in keys])
            except FileNotFoundError:
                return [MISSING] * len(keys)

    def read_segment(self, path: str) -> list[Any]:
        """Read all values of a segment, in the order in which they were committed.

        A value that cannot be loaded is `Unfreezable`.

        Raises:
            FileNotFoundError: the segment no longer exists.
            SegmentError: it is damaged.
        """
        data = self.lake.read(path)
        index = segments.decode_index(data, len(data))
        parts = (memoryview(data)[block.offset : block.offset + block.length] for block in index.blocks)
        frozen = [
            value
            for part, block in zip(parts, index.blocks, strict=True)
            for value in segments.read_block(part, block)
        ]
        return [thaw_or_tell(value) for value in frozen]

    def forget(self) -> None:
        """Drop everything that was read, so that the next refresh reads the lake again."""
        self._added.clear()
        self._positions.clear()
        self._blocks.clear()
        self._decoded.clear()
        self._whole.clear()
        self._decoded_bytes = self._bytes = 0

    def _values(self, positions: list[int | None]) -> list[Any]:
        """Return the value at each position: the number of a block << 16 | the index in that block."""
        values: list[Any] = [MISSING] * len(positions)
        start = 0
        # Consecutive keys were usually committed together, in one block: each block is fetched once for them.
        for number, group in itertools.groupby(positions, lambda p: None if p is None else p >> 16):
            run = list(group)
            if number is not None:
                block = self._block(number)
                if block is not None:
                    values[start : start + len(run)] = self._thawed(
                        number,
                        [block[p & 0xFFFF] for p in run],  # type: ignore[operator]
                    )
            start += len(run)
        return values

    def _thawed(self, number: int, values: list[Any]) -> list[Any]:
        """Return values of a block as new objects; `MISSING` for those that cannot be unpickled."""
        if type(values[0]) is not Frozen:
            return values
        thawed = [thaw_or_tell(value) for value in values]
        errors = [value.error for value in thawed if type(value) is Unfreezable]
        if errors:
            self._warn(self._blocks[number][0], segments.unpickling_error(errors[0]))
            return [MISSING if type(value) is Unfreezable else value for value in thawed]
        return thawed

    def _block(self, number: int) -> list[Any] | None:
        if number in self._decoded:
            self._decoded.move_to_end(number)
            return self._decoded[number]
        path, block = self._blocks[number]
        if path in self._damaged:
            return None
        try:
            if path in self._whole:
                data: bytes | memoryview = memoryview(self._whole[path])[
                    block.offset : block.offset + block.length
                ]
            else:
                data = self.lake.read_range(path, block.offset, block.length)
            values = segments.read_block(data, block)
        except SegmentError as error:
            self._ignore(path, error)
            return None
        self._decoded[number] = values
        self._decoded_bytes += block.length
        while self._decoded_bytes > _DECODED and len(self._decoded) > 1:
            oldest, _ = self._decoded.popitem(last=False)
            self._decoded_bytes -= self._blocks[oldest][1].length
        return values

    def _read_index(self, entry: Entry) -> Index | SegmentError | None:
        try:
            if entry.size <= _READ_WHOLE:
                data = self.lake.read(entry.path)
                index = segments.decode_index(data, len(data))
                if len(self._whole) < 4 * MANY and entry.size <= _READ_WHOLE // 16:
                    self._whole[entry.path] = data
                return index
            head = segments.decode_head(self.lake.read_range(entry.path, 0, segments.HEAD_BYTES))
            if head.index_end > entry.size:
                return SegmentError("truncated in its index")
            return segments.decode_index(self.lake.read_range(entry.path, 0, head.index_end), entry.size)
        except SegmentError as error:
            return error
        except FileNotFoundError:
            return None

    def _add(self, path: str, index: Index) -> None:
        keys = iter(segments.split_keys(index.keys))
        for block in index.blocks:
            first = len(self._blocks) << 16
            self._blocks.append((path, block))
            self._bytes += block.length
            self._positions.update(
                zip(itertools.islice(keys, block.count), range(first, first + block.count), strict=False)
            )
        self._added.add(path)

    def _ignore(self, path: str, error: SegmentError) -> None:
        self._damaged.add(path)
        self._whole.pop(path, None)
        self._warn(path, error)
        if self._mends and not isinstance(error, IntactError):
            with contextlib.suppress(LightworkError):  # a lake that may only be read
                self._remove_damaged(path)

    def _remove_damaged(self, path: str) -> None:
        """Delete a segment if it is damaged when it is read again."""
        try:
            _check_whole(self.lake.read(path))
        except (FileNotFoundError, IntactError):
            return
        except SegmentError:
            self.lake.delete([path])

    def _warn(self, path: str, error: SegmentError) -> None:
        get_logger("lightwork").warning(
            f"ignored a damaged file, its results are computed again: {self.lake.uri(path)}: {error}"
        )

    # Writing

    def commit(self, keys: bytes, blocks: list[tuple[int, bytes]], stamp: str = "") -> str:
        """Commit results atomically; any number of processes and machines may do so at once.

        Args:
            keys: 16 bytes for each result, joined.
            blocks: the results as returned by `segments.to_blocks`, in the order of the keys.
            stamp: the start of the segment's name; of two results with the same key, the one with the
                later stamp wins. By default the current time.

        Returns:
            The path of the new segment in the lake.
        """
        path = f"{self.folder}/{stamp or _now()}-{uuid.uuid4().hex[:16]}{SUFFIX}"
        self.lake.write(path, segments.encode(keys, blocks))
        return path

    def describe(self, code: CodeKey) -> None:
        """Record what the code key is made of, unless already recorded, for `lightwork explain`."""
        path = f"{self.folder}/code.json"
        data = documents.seal(code.to_json())
        try:
            _code_of(self.lake.read(path), code.digest)
        except FileNotFoundError:
            self.lake.create(path, data)
        except OddError as error:
            get_logger("lightwork").warning(
                f"wrote a damaged file anew: {self.lake.uri(path)}: {one_line(error)}"
            )
            self.lake.write(path, data)

    def compact(self, paths: Iterable[str] | None = None) -> int:
        """Merge small segments into few, while others may read and write.

        Args:
            paths: the segments to merge; by default all small ones.

        Returns:
            The number of segments merged.
        """
        if paths is None:
            entries = [e for e in self.lake.entries(self.folder) if e.path.endswith(SUFFIX)]
            paths = [e.path for e in entries if e.size < _SMALL]
        paths = sorted(path for path in paths if path not in self._damaged)
        if len(paths) < 2:
            return 0
        merged: list[str] = []

        def intact() -> Iterable[tuple[bytes, Index]]:
            for path, segment in _parallel(self._read_intact, paths):
                if isinstance(segment, tuple):
                    merged.append(path)
                    yield segment

        newest = max(path.rsplit("/", 1)[-1].partition("-")[0] for path in paths)
        for keys, blocks in segments.merge(intact()):
            self.commit(keys, blocks, newest)
        self.lake.delete(merged)
        return len(merged)

    def _read_intact(self, path: str) -> tuple[bytes, Index] | None:
        try:
            data = self.lake.read(path)
            return data, _check_whole(data)
        except (FileNotFoundError, SegmentError):
            return None  # merged by another process, or damaged: not ours to delete


def _check_whole(data: bytes) -> Index:
    """Read all of a segment; return its index.

    Raises:
        SegmentError: it is damaged, or cannot be unpickled.
    """
    index = segments.decode_index(data, len(data))
    for block in index.blocks:
        segments.read_block(memoryview(data)[block.offset : block.offset + block.length], block)
    return index


def _code_of(data: bytes, digest: str) -> CodeKey:
    """Read the code key from a `code.json`.

    Raises:
        OddError: it holds no code key, or one with another digest.
    """
    from lightwork.keys import CodeKey

    document = documents.parse(data)
    if documents.text(document, "digest") != digest:
        raise OddError("it describes another code key")
    for component in documents.items(document, "components", list):
        if len(component) != 3 or not all(isinstance(part, str) for part in component):
            raise OddError("components: expected lists of three texts")
    return CodeKey.from_json(document)


def _now() -> str:
    return f"{time.time_ns():020d}"


def _parallel(function: Any, items: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Yield each item with the function's result, several lake reads at a time, in bounded memory."""
    if len(items) < 4:
        yield from ((item, function(item)) for item in items)
        return
    for start in range(0, len(items), MANY):
        part = items[start : start + MANY]
        yield from zip(part, in_threads(function, part, 16), strict=True)


def check_task_name(lake: Lake, task: str) -> None:
    """Refuse the name of a task without results in this lake.

    Raises:
        LightworkError: there are none; the message suggests other names.
    """
    names = [folder.rsplit("/", 1)[-1] for folder in lake.folders("results")]
    if results_folder(task).rsplit("/", 1)[-1] not in names:
        raise LightworkError(f"no results of task {task!r} in {lake.root}{near(task, names)}")
