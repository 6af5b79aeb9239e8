"""One map, from its checked arguments to what the engines need to carry it out."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.engine.feed import Feed, Keyer
from lightwork.errors import ElementError, InputError
from lightwork.logs import get_logger
from lightwork.store import MANY, CodeResults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lightwork.engine.job import Job
    from lightwork.keys import CodeKey
    from lightwork.progress import Bar
    from lightwork.session import Session
    from lightwork.tasks import Task

_TICK = 0.1
_FAILURES_SHOWN = 10


@dataclass(slots=True)
class Stats:
    """What became of a map's elements.

    Attributes:
        total: elements read from the input so far.
        cached: taken from the lake.
        computed: computed in this map.
        failed: failed for good.
        batches: batches carried out.
        seconds: from the first element asked for to the last one handed out.
        resubmitted: elements sent to a worker again, because a worker or the scheduler was lost.
    """

    total: int = 0
    cached: int = 0
    computed: int = 0
    failed: int = 0
    batches: int = 0
    seconds: float = 0.0
    resubmitted: int = 0


@dataclass(slots=True)
class MapCall:
    """A map that is about to run or runs.

    Attributes:
        session: where it runs.
        task: what is called.
        source: the elements; tuples if there are several iterables.
        total: how many elements, if known beforehand.
        width: how many iterables there are.
        shared: arguments that are the same for each element.
        stats: what became of the elements so far.
        code: the task's code key; None if nothing is cached.
        results: what the lake has for this code; None if nothing is cached.
        feed: the input as it is read.
    """

    session: Session
    task: Task[..., Any]
    source: Iterator[Any]
    total: int | None
    width: int
    shared: Mapping[str, Any]
    stats: Stats = field(default_factory=Stats)
    code: CodeKey | None = None
    results: CodeResults | None = None
    feed: Feed = None  # type: ignore[assignment]
    _bar: Bar | None = None
    _ticked: float = 0.0
    _started: float = 0.0
    _paths: list[str] = field(default_factory=list)
    _merging: threading.Thread | None = None

    def start(self) -> None:
        """Find the code's key and its results in the lake, and get ready to read."""
        self._started = time.monotonic()
        keyer = None
        self.code = self.session.code_of(self.task)
        if self.code is not None:
            self.results = self.session.results_of(self.task, self.code, newest=True)
            keyer = self._keyer(self.code)
        known = None if self.session.refresh else self.results
        self.feed = Feed(self.source, self.total, keyer, known)
        self._bar = self.session.progress.start(self.task.name, self.total)

    def job(self) -> Job:
        """What a worker must know."""
        return self.session.job(self.task, self.code, shared=self.shared, wide=self.width > 1)

    def _keyer(self, code: CodeKey) -> Keyer | None:
        from lightwork.keys import ElementKeys, Unkeyable

        log = get_logger("lightwork")
        try:
            keys = ElementKeys(
                self.task.fn, code, varying=self.width, fixed=self.shared, ignore=self.task.options.ignore
            )
        except Unkeyable as error:
            log.warning(f"{self.task.name}: nothing of this map is cached: {error}")
            self.code = self.results = None
            return None
        warned = False

        def each(elements: Sequence[Any]) -> Sequence[bytes | None]:
            nonlocal warned
            try:
                return keys(elements)
            except Unkeyable:
                found: list[bytes | None] = []
                for element in elements:
                    try:
                        found += keys([element])
                    except Unkeyable as error:
                        found.append(None)
                        if not warned:
                            log.warning(f"{self.task.name}: some elements are not cached: {error}")
                        warned = True
                return found

        return each

    def tick(self, *, force: bool = False) -> None:
        """Bring stats and progress up to date, at most ten times a second."""
        now = time.monotonic()
        if now - self._ticked < _TICK and not force:
            return
        self._ticked = now
        self.stats.total, self.stats.cached = self.feed.read, self.feed.cached
        self.stats.seconds = now - self._started
        if self._bar is not None:
            self._bar.update(self.stats)

    def report_failure(self, error: ElementError) -> None:
        """Log an element that failed without ending the map; the first few one by one."""
        log = get_logger("lightwork")
        if self.stats.failed <= _FAILURES_SHOWN:
            log.warning(str(error), task=self.task.name, index=error.index)
        elif self.stats.failed == _FAILURES_SHOWN + 1:
            log.warning(f"{self.task.name}: further failed elements are only counted", task=self.task.name)

    def committed(self, path: str) -> None:
        """Take note of a new segment; merge many small ones in the background."""
        if not path or self.results is None:
            return
        self._paths.append(path)
        if len(self._paths) >= 8 * MANY and (self._merging is None or not self._merging.is_alive()):
            paths, self._paths = self._paths, []
            self._merging = threading.Thread(target=self._merge, args=(paths,), daemon=True)
            self._merging.start()

    def _merge(self, paths: list[str]) -> None:
        assert self.results is not None  # noqa: S101 - only called where something was committed
        try:
            CodeResults(self.results.lake, self.results.task, self.results.code).compact(paths)
        except Exception as error:  # noqa: BLE001 - unmerged segments are as good, only slower to list
            get_logger("lightwork").warning(f"{self.task.name}: small cache files were not merged: {error}")

    def finish(self) -> None:
        """Bring everything to its end: progress, stats, small files."""
        self.tick(force=True)
        self.session.count(self.stats)
        if self._bar is not None:
            self._bar.close(self.stats)
        if self._merging is not None:
            self._merging.join()
        if self.results is not None and len(self._paths) >= MANY:
            self._merge(self._paths)


def check_map(
    session: Session, task: Task[..., Any], iterables: Sequence[Iterable[Any]], shared: Mapping[str, Any]
) -> MapCall:
    """Check a map's arguments before anything is read.

    Raises:
        InputError: no iterable, one that isn't iterable, or arguments that do not fit the function.
    """
    if not isinstance(shared, Mapping):
        raise InputError(
            f"{task.name}.map: shared is a {type(shared).__name__}; give a dict, shared={{'name': value}}"
        )
    if not iterables:
        raise InputError(
            f"{task.name}.map: nothing to map over; give one iterable for each positional parameter"
        )
    iterators = []
    for number, iterable in enumerate(iterables, 1):
        try:
            iterators.append(iter(iterable))
        except TypeError:
            raise InputError(
                f"{task.name}.map: argument {number} is a {type(iterable).__name__}, which is not iterable; "
                "give what is the same for every element as shared={'name': value}"
            ) from None
    signature = inspect.signature(task.fn)
    try:
        signature.bind(*iterables, **shared)
    except TypeError as error:
        raise InputError(f"{task.name}.map: {error}; the function is {task.fn.__name__}{signature}") from None
    sizes = [_size(iterable) for iterable in iterables]
    total = None if None in sizes else min(size for size in sizes if size is not None)
    source = iterators[0] if len(iterators) == 1 else zip(*iterators, strict=False)
    return MapCall(session, task, source, total, len(iterables), dict(shared))


def _size(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):
        return None
