"""One map, from its checked arguments to what the engines need to carry it out."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightwork.engine.feed import Feed, Keyer
from lightwork.engine.progress import Stats
from lightwork.errors import ElementError, InputError, public
from lightwork.logs import get_logger
from lightwork.store.results import MANY, CodeResults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lightwork.engine.job import Job
    from lightwork.engine.runner import Runner
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey


_TICK = 0.1
_FAILURES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Request:
    """A map whose arguments are checked, before anything of it runs.

    Attributes:
        runner: where it is to run.
        task: what is called.
        source: the elements; tuples if there are several iterables.
        total: how many elements, if known beforehand.
        width: how many iterables there are.
        shared: arguments that are the same for each element.
        stats: what became of the elements so far.
    """

    runner: Runner
    task: TaskFunction[..., Any]
    source: Iterator[Any]
    total: int | None
    width: int
    shared: Mapping[str, Any]
    stats: Stats = field(default_factory=Stats)


class MapCall:
    """A map that runs.

    Attributes:
        runner: where it runs.
        task: what is called.
        stats: what became of the elements so far.
        code: the task's code key; None if nothing is cached.
        results: what the lake has for this code; None if nothing is cached.
        feed: the input as it is read.
    """

    def __init__(self, request: Request) -> None:
        self._started = time.monotonic()
        self._request = request
        self.runner = request.runner
        self.task = request.task
        self.stats = request.stats
        self.code = self.runner.code_of(self.task)
        self.results: CodeResults | None = None
        keyer = None
        if self.code is not None:
            self.results = self.runner.results_of(self.task, self.code, newest=True)
            keyer = _keyer(request, self.code)
            if keyer is None:
                self.code = self.results = None
        self.feed = Feed(request.source, request.total, keyer, None if self.runner.refresh else self.results)
        self._bar = self.runner.progress.start(self.task.name, request.total)
        self._ticked = 0.0
        self._paths: list[str] = []
        self._merging: threading.Thread | None = None

    def job(self) -> Job:
        """What a worker must know."""
        request = self._request
        return self.runner.job(self.task, self.code, shared=request.shared, wide=request.width > 1)

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
        self.runner.count(self.stats)
        if self._bar is not None:
            self._bar.close(self.stats)
        if self._merging is not None:
            self._merging.join()
        if self.results is not None and len(self._paths) >= MANY:
            self._merge(self._paths)


def _keyer(request: Request, code: CodeKey) -> Keyer | None:
    """What gives the keys of elements; None, with a warning, if the arguments they share have none."""
    from lightwork.keys import ElementKeys, Unkeyable

    task, log = request.task, get_logger("lightwork")
    try:
        keys = ElementKeys(
            task.fn, code, varying=request.width, fixed=request.shared, ignore=task.options.ignore
        )
    except Unkeyable as error:
        log.warning(f"{task.name}: nothing of this map is cached: {error}")
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
                        log.warning(f"{task.name}: some elements are not cached: {error}")
                    warned = True
            return found

    return each


def check_map(
    runner: Runner,
    task: TaskFunction[..., Any],
    iterables: Sequence[Iterable[Any]],
    shared: Mapping[str, Any],
) -> Request:
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
    return Request(runner, task, source, total, len(iterables), dict(shared))


def _size(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):
        return None


R = TypeVar("R")


@public
class Results(Generic[R]):
    """The results of a map, in the order of its input; an iterator, so they can be had once.

    Nothing runs before the first one is asked for. `len()` is the input's, where the input has one.
    """

    def __init__(self, request: Request, engine: Callable[[MapCall], Iterator[R]]) -> None:
        self._request = request
        self._engine = engine
        self._results: Iterator[R] | None = None

    @property
    def stats(self) -> Stats:
        """What became of the elements so far: total, cached, computed, failed, batches, seconds."""
        return self._request.stats

    def __iter__(self) -> Iterator[R]:
        if self._results is None:
            self._results = _run(self._request, self._engine)
        return self._results

    def __next__(self) -> R:
        return next(iter(self))

    def __len__(self) -> int:
        if self._request.total is None:
            raise TypeError("the length of the input is not known")
        return self._request.total

    def wait(self) -> Stats:
        """Run the map to its end for what it does, without keeping the results.

        Returns:
            What became of the elements.
        """
        for _ in self:
            pass
        return self.stats

    def __repr__(self) -> str:
        stats: Any = self.stats
        state = "not started" if self._results is None else f"{stats.computed + stats.cached} done"
        return f"<results of {self._request.task.name}, {state}>"


def _run(request: Request, engine: Callable[[MapCall], Iterator[R]]) -> Iterator[R]:
    # A generator: nothing of this happens before the first result is asked for. It does not know its
    # `Results`: so a loop that is left early ends the map at once, and not when garbage is collected.
    call = MapCall(request)
    try:
        yield from engine(call)
    finally:
        call.finish()
