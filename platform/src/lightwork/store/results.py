"""The results of a task in the lake: looked up in bulk, committed by any number of writers.

Results lie under `results/<task>/<code key>/`: one immutable segment per finished batch, and `code.json`,
which says what the code key is made of. A run reads the segments' indexes once, then looks keys up in
memory. Many small segments are merged into few; a reader that meets a merged-away segment lists again.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.segments import Block, Index, SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lightwork.keys import CodeKey
    from lightwork.lake import Entry, Lake

SUFFIX = ".seg"
MANY = 64
"""As many segments as are worth merging."""
_WHOLE = 4 << 20
_MERGED = 32 << 20
_DECODED = 64 << 20


class Missing:
    """The type of `MISSING`, which stands where a result is not there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


def results_folder(task: str) -> str:
    """The folder of a task's results in the lake."""
    return f"results/{task.replace('<', '(').replace('>', ')')}"


class ResultStore:
    """All results of one task, whatever its code was."""

    def __init__(self, lake: Lake, task: str) -> None:
        self.lake = lake
        self.task = task

    def open(self, code: CodeKey) -> CodeResults:
        """The results of this code."""
        return CodeResults(self.lake, self.task, code.digest)

    def versions(self) -> list[tuple[CodeKey, float]]:
        """The codes that have results here, with the time of their first commit, newest first."""
        from lightwork.keys import CodeKey

        entries = [e for e in self.lake.entries(results_folder(self.task)) if e.path.endswith("/code.json")]
        entries.sort(key=lambda entry: entry.modified, reverse=True)
        found = []
        for entry in entries:
            try:
                code = CodeKey.from_json(json.loads(self.lake.read(entry.path)))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                get_logger("lightwork").warning(f"ignored a damaged {self.lake.uri(entry.path)}: {error}")
                continue
            found.append((code, entry.modified))
        return found


class CodeResults:
    """The results of one task's one code: a process's view of them.

    Not safe for use by several threads at once; several processes are.
    """

    def __init__(self, lake: Lake, task: str, code_digest: str) -> None:
        self.lake = lake
        self.task = task
        self.code = code_digest
        self.folder = f"{results_folder(task)}/{code_digest}"
        self._known: set[str] = set()
        self._bad: set[str] = set()
        self._places: dict[bytes, int] = {}
        self._blocks: list[tuple[str, Block]] = []
        self._decoded: OrderedDict[int, list[Any]] = OrderedDict()
        self._decoded_bytes = 0
        self._whole: dict[str, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def mean_bytes(self) -> float:
        """Mean size of a result in bytes; 0 while there is none."""
        return self._bytes / len(self._places) if self._places else 0.0

    # Reading

    def refresh(self) -> CodeResults:
        """Learn of segments committed since the last refresh; damaged ones are skipped with a warning."""
        entries = [e for e in self.lake.entries(self.folder) if e.path.endswith(SUFFIX)]
        new = [e for e in entries if e.path not in self._known and e.path not in self._bad]
        for entry, read in _parallel(self._read_index, new):
            if isinstance(read, SegmentError):
                self._damaged(entry.path, read)
            elif read is not None:
                self._learn(entry.path, read)
        return self

    def lookup(self, keys: Sequence[bytes]) -> list[Any]:
        """The results of these keys.

        Returns:
            One result a key, `MISSING` where there is none (or none that can be read).
        """
        place = self._places.get
        try:
            return self._values([place(key) for key in keys])
        except FileNotFoundError:
            # Merged away by another run since the listing.
            self.forget()
            self.refresh()
            try:
                return self._values([self._places.get(key) for key in keys])
            except FileNotFoundError:
                return [MISSING] * len(keys)

    def read_segment(self, path: str) -> list[Any]:
        """All values of a segment, in the order in which they were committed.

        Raises:
            FileNotFoundError: it is gone.
            SegmentError: it is damaged.
        """
        data = self.lake.read(path)
        index = segments.decode_index(data, len(data))
        parts = (memoryview(data)[b.offset : b.offset + b.length] for b in index.blocks)
        return [
            v
            for part, block in zip(parts, index.blocks, strict=True)
            for v in segments.read_block(part, block)
        ]

    def forget(self) -> None:
        """Forget what was read, so that the next refresh starts from the lake alone."""
        self._known.clear()
        self._places.clear()
        self._blocks.clear()
        self._decoded.clear()
        self._whole.clear()
        self._decoded_bytes = self._bytes = 0

    def _values(self, places: list[int | None]) -> list[Any]:
        values: list[Any] = [MISSING] * len(places)
        start = 0
        # Runs of keys of one block are taken together: that is how they were committed.
        for number, run in itertools.groupby(places, lambda p: None if p is None else p >> 16):
            found = list(run)
            if number is not None:
                block = self._block(number)
                if block is not None:
                    values[start : start + len(found)] = [block[p & 0xFFFF] for p in found]  # type: ignore[operator]
            start += len(found)
        return values

    def _block(self, number: int) -> list[Any] | None:
        if number in self._decoded:
            self._decoded.move_to_end(number)
            return self._decoded[number]
        path, block = self._blocks[number]
        if path in self._bad:
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
            self._damaged(path, error)
            return None
        self._decoded[number] = values
        self._decoded_bytes += block.length
        while self._decoded_bytes > _DECODED and len(self._decoded) > 1:
            gone, _ = self._decoded.popitem(last=False)
            self._decoded_bytes -= self._blocks[gone][1].length
        return values

    def _read_index(self, entry: Entry) -> Index | SegmentError | None:
        try:
            if entry.size <= _WHOLE:
                data = self.lake.read(entry.path)
                index = segments.decode_index(data, len(data))
                if len(self._whole) < 4 * MANY and entry.size <= _WHOLE // 16:
                    self._whole[entry.path] = data
                return index
            head = self.lake.read_range(entry.path, 0, segments.HEAD.size)
            if len(head) < segments.HEAD.size or head[:8] != segments.MAGIC:
                return SegmentError("not a segment of this version")
            _, count, blocks, _ = segments.HEAD.unpack(head)
            length = segments.index_bytes(count, blocks)
            if length > entry.size:
                return SegmentError("truncated in its index")
            return segments.decode_index(self.lake.read_range(entry.path, 0, length), entry.size)
        except SegmentError as error:
            return error
        except FileNotFoundError:
            return None

    def _learn(self, path: str, index: Index) -> None:
        keys = iter(segments.split_keys(index.keys))
        for block in index.blocks:
            first = len(self._blocks) << 16
            self._blocks.append((path, block))
            self._bytes += block.length
            self._places.update(
                zip(itertools.islice(keys, block.count), range(first, first + block.count), strict=False)
            )
        self._known.add(path)

    def _damaged(self, path: str, error: SegmentError) -> None:
        self._bad.add(path)
        self._whole.pop(path, None)
        get_logger("lightwork").warning(
            f"ignored a damaged cache file, its results are computed again: {self.lake.uri(path)}: {error}"
        )

    # Writing

    def commit(self, keys: bytes, blocks: list[tuple[int, bytes]], after: str = "") -> str:
        """Commit results in one atomic step; safe from any number of processes and machines.

        Args:
            keys: 16 bytes for each result, joined.
            blocks: the results as `segments.to_blocks` gives them, in the order of the keys.
            after: the first part of the segment's name, by which a later result of the same key goes
                before an earlier one; by default the time now.

        Returns:
            The path of the new segment in the lake.
        """
        path = f"{self.folder}/{after or _now()}-{uuid.uuid4().hex[:16]}{SUFFIX}"
        self.lake.write(path, segments.encode(keys, blocks))
        return path

    def describe(self, code: CodeKey) -> None:
        """Write down once what the code key is made of, for `lightwork explain`."""
        path = f"{self.folder}/code.json"
        if not self.lake.exists(path):
            self.lake.create(path, json.dumps(code.to_json()).encode())

    def compact(self, paths: Iterable[str] | None = None) -> int:
        """Merge small segments into few; readers and writers may go on meanwhile.

        Args:
            paths: the segments to merge; by default all that are small.

        Returns:
            How many segments were merged.
        """
        if paths is None:
            entries = [e for e in self.lake.entries(self.folder) if e.path.endswith(SUFFIX)]
            paths = [e.path for e in entries if e.size < _MERGED]
        paths = sorted(path for path in paths if path not in self._bad)
        if len(paths) < 2:
            return 0
        merged: list[str] = []

        def whole() -> Iterable[tuple[bytes, Index]]:
            for path, read in _parallel(self._read_whole, paths):
                if isinstance(read, tuple):
                    merged.append(path)
                    yield read

        newest = max(path.rsplit("/", 1)[-1].partition("-")[0] for path in paths)
        for keys, blocks in segments.merge(whole()):
            self.commit(keys, blocks, newest)
        self.lake.delete(merged)
        return len(merged)

    def _read_whole(self, path: str) -> tuple[bytes, Index] | None:
        try:
            data = self.lake.read(path)
            index = segments.decode_index(data, len(data))
            for block in index.blocks:
                segments.read_block(memoryview(data)[block.offset : block.offset + block.length], block)
        except (FileNotFoundError, SegmentError):
            return None  # merged by somebody else, or damaged: not ours to delete
        return data, index


def _now() -> str:
    return f"{time.time_ns():020d}"


def _parallel(function: Any, items: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Apply a function that reads from the lake, several at a time, in bounded memory."""
    if len(items) < 4:
        yield from ((item, function(item)) for item in items)
        return
    with ThreadPoolExecutor(16, thread_name_prefix="lightwork-lake") as pool:
        for start in range(0, len(items), MANY):
            part = items[start : start + MANY]
            yield from zip(part, pool.map(function, part), strict=True)


def check_task_name(lake: Lake, task: str) -> None:
    """Refuse a task name that has no results in this lake.

    Raises:
        LightworkError: naming the tasks that have some.
    """
    from lightwork.errors import near

    names = [folder.rsplit("/", 1)[-1] for folder in lake.folders("results")]
    if results_folder(task).rsplit("/", 1)[-1] not in names:
        raise LightworkError(f"no results of task {task!r} in {lake.root}{near(task, names)}")
