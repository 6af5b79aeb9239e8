"""The results of a task in the lake: looked up in bulk, committed by any number of writers.

They are stored under `results/<task>/<code key>/`, which holds these files:

- `g<generation>-<time>-<random>.seg`: segments, one for each finished batch or group of calls, or merged from
  smaller ones (`segments`); `<time>-<random>.seg` were written by earlier versions;
- `i<rows>-<random>.idx`: index files, each of the results of many segments (`index_files`);
- `code.json`, which describes the code key.

Any of them may be deleted at any time: what is in a segment is then computed again, and what is in an index
file is read from the segments. A reader that misses a merged segment lists the folder again (`catalog`).
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, near, one_line
from lightwork.functions.frozen import Frozen, Unfreezable, thaw_or_tell
from lightwork.logs import get_logger
from lightwork.store import documents, segments
from lightwork.store.catalog import BLOCK, Catalog
from lightwork.store.documents import OddError
from lightwork.store.segments import SegmentError
from lightwork.store.segments_reading import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.keys import CodeKey
    from lightwork.lake import Lake

_DECODED = 64 << 20  # bytes of decoded blocks kept in memory
_COUNTED = 4 << 20
_VALUE_BYTES = 40  # bytes that a small value takes in memory, about


class Missing:
    """The type of `MISSING`, which stands for an absent result; in a lake, for one that was forgotten."""

    def __reduce__(self) -> str:
        return "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


_STEPS = 1000
"""Steps in which the age of a result is told, so that few results have a generation of their own."""


def dated_from(lifetime: float | None) -> int:
    """Return the least generation of results that are computed from now on, if they expire.

    The generation tells the time in nanoseconds, rounded down: it stays with a result whatever is merged.

    Args:
        lifetime: seconds for which they count; None for ever.
    """
    if lifetime is None:
        return 0
    step = int(max(1.0, lifetime / _STEPS) * 1e9)
    return time.time_ns() // step * step


def expired_before(lifetime: float | None) -> int:
    """Return the least generation of results that count now."""
    return 0 if lifetime is None else max(1, time.time_ns() - int(lifetime * 1e9))


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
        self._catalog = Catalog(lake, self.folder, mends=mends)
        self._decoded: OrderedDict[int, tuple[list[Any], int]] = OrderedDict()
        self._decoded_bytes = 0
        self._issued = 0

    def __len__(self) -> int:
        """Return the number of results; one that is in several files may count more than once."""
        return self._catalog.count

    def count(self) -> int:
        """Return the number of results, exactly up to four million, else as `len` does."""
        return self._catalog.exact_count() if len(self) <= _COUNTED else len(self)

    def __contains__(self, key: bytes) -> bool:
        """Whether the indexes that were read name a result of this key; its value is not read."""
        return self._catalog.locate([key])[0] is not None

    @property
    def mean_bytes(self) -> float:
        """Mean size of a result in bytes, about; 0 if there are none."""
        return self._catalog.nbytes / max(1, self._catalog.count)

    @property
    def catalog(self) -> Catalog:
        """What is known of the results."""
        return self._catalog

    @property
    def untended(self) -> tuple[int, int]:
        """The number of segments without an index file, and of the results in them, when last listed."""
        return self._catalog.untended

    @property
    def generation(self) -> int:
        """The generation of new results of keys that are absent: at least the highest one seen."""
        return self.generation_from(0)

    def generation_from(self, least: int) -> int:
        """Return the generation of new results of keys that are absent, at least a given one."""
        seen = max(self._catalog.generation, self._issued, least)
        return seen + seen % 2

    def next_generation(self, least: int = 0) -> int:
        """Return a generation above every one seen, for results that replace others; a new one each time."""
        seen = max(self._catalog.generation, self._issued, least)
        self._issued = seen + 1 + seen % 2
        return self._issued

    # Reading

    def refresh(self) -> CodeResults:
        """Read the indexes of new segments; skip damaged ones with a warning."""
        self._catalog.refresh()
        return self

    def lookup(self, keys: Sequence[bytes], since: int = 0) -> list[Any]:
        """Look up the results of keys.

        Args:
            keys: the keys.
            since: the least generation of a result that counts.

        Returns:
            One result per key, `MISSING` where there is none or it cannot be read. What can be changed is a
            new object each time, also where a key occurs twice.
        """
        try:
            return self._values(self._locate(keys, since))
        except FileNotFoundError:
            # Another run has merged the segment since it was listed.
            self.forget()
            self.refresh()
            try:
                return self._values(self._locate(keys, since))
            except FileNotFoundError:
                return [MISSING] * len(keys)

    def _locate(self, keys: Sequence[bytes], since: int) -> list[int | None]:
        if not since:
            return self._catalog.locate(keys)
        found = self._catalog.search(keys)
        return [place if generation >= since else None for place, generation in found]

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
        self._catalog.forget()
        self._decoded.clear()
        self._decoded_bytes = 0

    def _values(self, positions: list[int | None]) -> list[Any]:
        """Return the value at each position of the catalog."""
        values: list[Any] = [MISSING] * len(positions)
        start = 0
        # Consecutive keys were usually committed together, in one block: each block is fetched once for them.
        for number, group in itertools.groupby(positions, lambda p: None if p is None else (p >> 16) & BLOCK):
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
            warn(self.lake, self._catalog.block(number)[0], segments.unpickling_error(errors[0]))
            return [MISSING if type(value) is Unfreezable else value for value in thawed]
        return thawed

    def _block(self, number: int) -> list[Any] | None:
        if number in self._decoded:
            self._decoded.move_to_end(number)
            return self._decoded[number][0]
        catalog = self._catalog
        path, block = catalog.block(number)
        if path in catalog.damaged:
            return None
        try:
            if path in catalog.whole:
                whole = memoryview(catalog.whole[path])
                data: bytes | memoryview = whole[block.offset : block.offset + block.length]
            else:
                data = self.lake.read_range(path, block.offset, block.length)
            values = segments.read_block(data, block)
        except SegmentError as error:
            catalog.ignore(path, error)
            return None
        size = block.length + _VALUE_BYTES * block.count
        self._decoded[number] = (values, size)
        self._decoded_bytes += size
        while self._decoded_bytes > _DECODED and len(self._decoded) > 1:
            _, (_, size) = self._decoded.popitem(last=False)
            self._decoded_bytes -= size
        return values

    # Writing

    def commit(
        self,
        keys: bytes,
        blocks: list[tuple[int, bytes]],
        generation: int | list[tuple[int, int]] | None = None,
    ) -> str:
        """Commit results atomically; any number of processes and machines may do so at once.

        Args:
            keys: 16 bytes for each result, joined.
            blocks: the results as returned by `segments.to_blocks`, in the order of the keys.
            generation: of two results of a key, the one with the higher generation counts; or numbers of
                consecutive results and their generation. By default that of results of absent keys.

        Returns:
            The path of the new segment in the lake.
        """
        if generation is None:
            generation = self.generation
        runs = [(len(keys) // segments.KEY_BYTES, generation)] if isinstance(generation, int) else generation
        name = segments.new_name(max(highest for _, highest in runs))
        path = f"{self.folder}/{name}"
        self.lake.write(path, segments.encode(keys, blocks, runs))
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

    def compact(self) -> int:
        """Merge small segments into few, while others may read and write.

        Returns:
            The number of segments merged.
        """
        from lightwork.store.tending import merge_all

        return merge_all(self.lake, self.folder)


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


def check_task_name(lake: Lake, task: str) -> None:
    """Refuse the name of a task without results in this lake.

    Raises:
        LightworkError: there are none; the message suggests other names.
    """
    names = [folder.rsplit("/", 1)[-1] for folder in lake.folders("results")]
    if results_folder(task).rsplit("/", 1)[-1] not in names:
        raise LightworkError(f"no results of task {task!r} in {lake.root}{near(task, names)}")
