"""A map: its checked arguments, its state while it runs, and its results."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from lightwork.engine.feed import Feed, Keyer
from lightwork.engine.job import Parcel, by_value
from lightwork.engine.limiting import check_limit
from lightwork.engine.progress import Stats
from lightwork.engine.proof import changes_line, explain, extended
from lightwork.engine.runner import state_of
from lightwork.engine.shared import Shared, freeze_shared
from lightwork.errors import ElementError, InputError, RunFailed, public
from lightwork.logs import get_logger
from lightwork.store.results import expired_before

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence

    from lightwork.engine.job import Job
    from lightwork.engine.proof import Difference
    from lightwork.engine.runner import Runner
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey


_TICK = 0.1
"""Seconds between two updates of the progress display."""
_AGAIN = "and it has changed again since the map started"
_CLASSES_KEPT = 1000
"""Classes and functions inside elements whose code is analysed once for a map, at most."""
_FAILURES_SHOWN = 10
"""Failures of a map that are logged one by one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A map whose arguments are checked and which has not started.

    Attributes:
        runner: runs and counts the map.
        task: the task that is called.
        source: the elements; tuples if there are several iterables.
        total: the number of elements; None if unknown.
        width: the number of iterables of positional arguments.
        names: the names of the arguments that vary by name.
        shared: arguments that are the same for every element.
        stats: counts of the elements so far.
    """

    runner: Runner
    task: TaskFunction[..., Any]
    source: Iterator[Any]
    total: int | None
    width: int
    shared: Mapping[str, Any]
    names: tuple[str, ...] = ()
    stats: Stats = field(default_factory=Stats)


class MapCall:
    """A running map.

    Attributes:
        runner: runs and counts the map.
        task: the task that is called.
        number: which of the maps of this task in the session it is, from 1.
        stats: counts of the elements so far.
        code: the task's code key; None if nothing is cached.
        results: the results in the lake under this code; None if nothing is cached.
        generation: the generation of its results in the lake.
        feed: reads the input.
        shared: the shared arguments, as they are when the map starts.
    """

    def __init__(self, request: Request) -> None:
        self._started = time.monotonic()
        self._request = request
        self.runner = request.runner
        self.task = request.task
        self.number = self.runner.tally.begin(self.task.name)
        self.stats = request.stats
        code = self.runner.code_of(self.task)
        self.runner.commit_calls()  # they count as kept from here on
        results = None if code is None else self.runner.results_of(self.task, code, newest=True)
        # Set before anything is computed: a later refresh has a higher one.
        self.generation = 0 if results is None else self.runner.generation_of(self.task, results)
        keyer = None if code is None else _keyer(request, code)
        self.code, self.results = (None, None) if keyer is None else (code, results)
        if self.code is not None and not self.runner.keeps(self.task, self.code):
            self.code = None  # results are looked up, but the lake refuses new ones
        self.feed = Feed(
            request.source,
            request.total,
            keyer,
            None if self.runner.refreshes(self.task) else self.results,
            expired_before(self.task.options.lifetime),
            live=self.runner.on == "serial",
            place=self.runner.large_inputs.place(lake_is_used=self.code is not None),
            ordered=self.task.options.ordered,
        )
        self.shared = self._freeze_shared(request.shared)
        self._state = None if self.runner.on == "serial" else state_of(self.task, code)
        self._packed = self._pack()
        self._bar = self.runner.progress.start(self.task.name, request.total)
        self._ticked = 0.0
        self._changed: set[str] = set()
        self._unkept = 0

    def _freeze_shared(self, values: Mapping[str, Any]) -> Shared:
        serial = self.runner.on == "serial"
        return freeze_shared(
            values,
            self.task.options.ignore,
            self.runner.large_inputs.place(lake_is_used=True),
            None if serial else by_value(self.task.fn),
            borrow=serial and self.code is None,
        )

    def job(self) -> Job:
        """Return the job that tells a worker how to compute the elements."""
        return self.runner.job(
            self.task,
            self.code,
            shared=self.shared,
            wide=self._request.width + len(self._request.names) > 1,
            names=self._request.names,
            generation=self.generation,
        )

    def _pack(self) -> Parcel | InputError | None:
        """Pack the job as the map starts, before the caller's code runs again; the error if that fails."""
        if self.runner.on == "serial":
            return None
        try:
            return self.runner.pack(self.job())
        except InputError as error:
            return error  # it counts if there is anything to compute

    def parcel(self) -> Parcel:
        """Return the job as it was when the map started, ready to send.

        Raises:
            InputError: it cannot be sent to another process.
        """
        if not isinstance(self._packed, Parcel):
            raise self._packed or InputError("a serial map has no job to send")
        return self.runner.store(self._packed)

    def extend(self, parcel: Parcel) -> Parcel:
        """Return the job with a proof of what the elements read so far name, too."""
        proof = extended(parcel.proof, self.feed.names)
        return parcel if proof is parcel.proof else replace(parcel, proof=proof)

    def carry(self, difference: Difference) -> Parcel:
        """Return the job with the code of this process, which a worker has otherwise.

        Raises:
            RunFailed: it cannot be sent, or has changed since the map started.
        """
        if state_of(self.task, self.runner.code_of(self.task)) != self._state:
            raise RunFailed(
                explain(self.task.name, difference, "and it has changed again since the map started")
            )

        def pack() -> Parcel:
            self.shared = self._freeze_shared(self.shared.new())
            return self.extend(self.runner.store(self.runner.pack(self.job())))

        return self.runner.pack_again(self.task.name, difference, pack)

    @property
    def total(self) -> int | None:
        """The number of its elements; None while its input is read and that is not known."""
        return self.stats.total if self.feed.exhausted else self._request.total

    def note_changes(self, names: Sequence[str]) -> None:
        """Warn about values that the task reads and that its own runs change; about each once."""
        new = [name for name in names if name not in self._changed]
        if new and self.code is not None:
            self._changed.update(new)
            get_logger("lightwork").warning(changes_line(self.task.name, new))

    def tick(self, *, force: bool = False) -> None:
        """Update the stats and the progress display, at most ten times a second."""
        now = time.monotonic()
        if now - self._ticked < _TICK and not force:
            return
        self._ticked = now
        self.stats.total, self.stats.cached = self.feed.read, self.feed.cached
        self.stats.seconds = now - self._started
        if self._bar is not None:
            self._bar.update(self.stats)

    def report_failure(self, error: ElementError) -> None:
        """Log a failed element that does not end the map; log only the first few of them."""
        log = get_logger("lightwork")
        if self.stats.failed <= _FAILURES_SHOWN:
            log.warning(str(error), task=self.task.name, index=error.index)
        elif self.stats.failed == _FAILURES_SHOWN + 1:
            log.warning(
                f"{self.task.name}: further failed elements are counted but not logged", task=self.task.name
            )

    def note_unkept(self, count: int, reason: str) -> None:
        """Count results that are not in the lake; the first ones are told at once, all when the map ends."""
        if not self._unkept:
            get_logger("lightwork").warning(
                f"{self.task.name}: results were computed but not kept in the lake: {reason}"
            )
        self._unkept += count

    def add_segment(self, path: str, count: int) -> None:
        """Note a new segment in the lake, so that small ones are merged once there are many.

        Args:
            path: the segment's path; empty if nothing was kept.
            count: the number of results in it, about.
        """
        if path and self.results is not None:
            self.runner.tender.note(self.results.lake, self.results.folder, 1, count)

    def finish(self) -> None:
        """Update the stats, and close the progress display."""
        self.tick(force=True)
        self.runner.tally.count(self.task.name, self.stats)
        if self._bar is not None:
            self._bar.close(self.stats)
        if self._unkept:
            get_logger("lightwork").warning(
                f"{self.task.name}: {self._unkept:,} computed results are not in the lake; "
                "the next run computes them again"
            )


def _keyer(request: Request, code: CodeKey) -> Keyer | None:
    """Return a function that computes elements' keys; None, with a warning, if shared arguments have none."""
    from lightwork.keys import ElementKeys, Unkeyable
    from lightwork.keys.values.canonical import Scope

    task, log = request.task, get_logger("lightwork")
    try:
        keys = ElementKeys(
            *(task.fn, code),
            varying=request.width,
            fixed=request.shared,
            keywords=request.names,
            ignore=task.options.ignore,
        )
    except Unkeyable as error:
        log.warning(f"{task.name}: this map is not cached: {error}")
        return None
    warned = False
    memo: dict[object, tuple[object, bytes]] = {}
    scope = Scope(memo)

    def keys_of(elements: Sequence[Any]) -> Sequence[bytes | None]:
        nonlocal warned
        if len(memo) > _CLASSES_KEPT:
            memo.clear()
        try:
            # Elements come one by one too: the code of their classes is analysed once for all of them.
            with scope:
                return keys(elements)
        except Unkeyable:
            each: list[bytes | None] = []
            for element in elements:
                try:
                    each += keys([element])
                except Unkeyable as error:
                    each.append(None)
                    if not warned:
                        log.warning(f"{task.name}: some elements are not cached: {error}")
                    warned = True
            return each

    return keys_of


def check_map(
    runner: Runner,
    task: TaskFunction[..., Any],
    iterables: Sequence[Iterable[Any]],
    shared: Mapping[str, Any],
    keywords: Mapping[str, Iterable[Any]] | None = None,
) -> Request:
    """Check a map's arguments before any input is read.

    Raises:
        InputError: there is no iterable, one of them is not iterable, or they do not fit the function.
    """
    if not isinstance(shared, Mapping):
        raise InputError(
            f"{task.name}.map: shared: expected a dict, got {type(shared).__name__}; "
            "for example shared={'name': value}"
        )
    check_limit(task, runner.limits)
    keywords = keywords or {}
    if not iterables and not keywords:
        raise InputError(
            f"{task.name}.map: nothing to map over; pass one iterable for each positional parameter"
        )
    if twice := [name for name in keywords if name in shared]:
        raise InputError(f"{task.name}.map: {twice[0]} is given for each element and in shared")
    iterators = []
    varying: dict[Any, Iterable[Any]] = {**dict(enumerate(iterables, 1)), **keywords}
    for name, iterable in varying.items():
        try:
            iterators.append(iter(iterable))
        except TypeError:
            raise InputError(
                f"{task.name}.map: argument {name}: expected an iterable, got {type(iterable).__name__}; "
                "pass a value that is the same for every element as shared={'name': value}"
            ) from None
    try:
        task.check_arguments(iterables, {**shared, **keywords})
    except TypeError as error:
        raise InputError(
            f"{task.name}.map: {error}; the function is {task.__name__}{task.signature}"
        ) from None
    sizes = [_size(iterable) for iterable in varying.values()]
    total = None if None in sizes else min(size for size in sizes if size is not None)
    source = iterators[0] if len(iterators) == 1 else zip(*iterators, strict=False)
    return Request(runner, task, source, total, len(iterables), dict(shared), tuple(keywords))


def check_starmap(
    runner: Runner, task: TaskFunction[..., Any], tuples: Iterable[Any], shared: Mapping[str, Any]
) -> Request:
    """Check the arguments of a map over tuples of positional arguments before any input is read.

    Raises:
        InputError: the input is not iterable, or the function takes no fixed number of them.
    """
    where = f"{task.name}.starmap"
    parameters = list(task.signature.parameters.values())
    fixed = [item for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    names = [item.name for item in fixed]
    width = min((names.index(name) for name in shared if name in names), default=len(names))
    if any(item.kind is item.VAR_POSITIONAL for item in parameters) or not width:
        raise InputError(
            f"{where}: the function is {task.__name__}{task.signature}; expected one with a fixed number of"
            " positional parameters"
        )
    try:
        iterator = iter(tuples)
    except TypeError:
        kind = type(tuples).__name__
        raise InputError(f"{where}: expected an iterable of tuples, got {kind}") from None
    request = check_map(runner, task, [()] * width, shared)
    source = _filled_up(where, iterator, fixed[:width])
    return replace(request, source=source, total=_size(tuples))


def _filled_up(where: str, tuples: Iterator[Any], parameters: list[inspect.Parameter]) -> Iterator[Any]:
    """Yield tuples with the defaults of the parameters that they leave out; values if there is one parameter.

    Raises:
        InputError: something is not a tuple of as many arguments.
    """
    defaults = [item.default for item in parameters]
    most, least = len(defaults), sum(default is inspect.Parameter.empty for default in defaults)
    for index, item in enumerate(tuples):
        if not isinstance(item, (tuple, list)) or not least <= len(item) <= most:
            count = str(most) if least == most else f"{least} to {most}"
            got = f"{len(item)}" if isinstance(item, (tuple, list)) else type(item).__name__
            raise InputError(f"{where}: element {index}: expected a tuple of {count} arguments, got {got}")
        full = (*item, *defaults[len(item) :])
        yield full if most > 1 else full[0]


def _size(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):
        return None


R = TypeVar("R")


class Inside(Protocol):
    """Makes the map's session current for each step of the map, whichever context asks for a result.

    Attributes:
        entered: the sessions that the last step left entered.
    """

    entered: Any

    def here(self) -> Any:
        """Return the sessions that are entered in this context; `entered` if there is nothing to switch."""

    def enter(self) -> Any:
        """Start a step; return what `leave` restores, None if that is nothing."""

    def leave(self, token: Any) -> None:
        """End a step that `enter` started."""


@public
class Results(Generic[R]):
    """The results of a map, an iterator that can be read once.

    They come in the order of the input, or as they are computed if the task has `ordered=False`.
    Iterating again over results that have been read to their end raises `InputError`.

    The map starts when the first result is asked for. `len()` works if the input has a length.
    """

    def __init__(self, request: Request, engine: Callable[[MapCall], Iterator[R]], inside: Inside) -> None:
        self._request = request
        self._engine = engine
        self._inside = inside
        self._results: Generator[R, None, None] | None = None

    @property
    def stats(self) -> Stats:
        """Counts of the elements so far: total, cached, computed, failed, batches, seconds."""
        return self._request.stats

    def __iter__(self) -> Iterator[R]:
        if self._results is not None and inspect.getgeneratorstate(self._results) == inspect.GEN_CLOSED:
            raise InputError(
                f"the results of {self._request.task.name} have been read already; map again, which takes "
                "cached ones from the lake, or keep them: results = list(...)"
            )
        return self._started()

    def _started(self) -> Iterator[R]:
        if self._results is None:
            self._results = _run(self._request, self._engine, self._inside)
        return self._results

    def __next__(self) -> R:
        return next(self._started())

    async def __aiter__(self) -> AsyncIterator[R]:
        """Iterate in a coroutine: others run while it waits, except in a serial session."""
        results = iter(self)
        if self._request.runner.on == "serial":
            for value in results:
                yield value
                await asyncio.sleep(0)
            return
        loop, end, context = asyncio.get_running_loop(), object(), contextvars.copy_context()
        # One thread and one context for all steps: the map notes in them which session is current.
        thread = ThreadPoolExecutor(1, "lightwork-results")

        def step() -> Any:
            return context.run(next, results, end)

        try:
            while (value := await loop.run_in_executor(thread, step)) is not end:
                yield value
        finally:
            if self._results is not None:
                thread.submit(context.run, self._results.close)
            thread.shutdown(wait=False)

    def __len__(self) -> int:
        if self._request.total is None:
            raise TypeError("the input has no length")
        return self._request.total

    def wait(self) -> Stats:
        """Run the map to its end and discard the results.

        Returns:
            Counts of the elements.
        """
        for _ in self._started():
            pass
        return self.stats

    def _repr_html_(self) -> str:
        """Show the state in a notebook; this computes nothing."""
        import html

        state = "not started" if self._results is None else f"{self.stats.seconds:,.1f} s"
        names = ("total", "cached", "computed", "failed", "retried", "timed_out", "batches")
        counts = {name.replace("_", " "): getattr(self.stats, name) for name in names}
        cells = "".join(f"<td>{number:,}</td>" for number in counts.values())
        heads = "".join(f"<th>{name}</th>" for name in counts)
        title = html.escape(self._request.task.name)
        return (
            f"<table><caption>{title}, {state}</caption><thead><tr>{heads}</tr></thead>"
            f"<tbody><tr>{cells}</tr></tbody></table>"
        )

    def __repr__(self) -> str:
        stats: Any = self.stats
        state = "not started" if self._results is None else f"{stats.computed + stats.cached} done"
        return f"<results of {self._request.task.name}, {state}>"


def _run(
    request: Request, engine: Callable[[MapCall], Iterator[R]], inside: Inside
) -> Generator[R, None, None]:
    # A generator, so that nothing happens before the first result is asked for. It holds no reference to its
    # `Results`: leaving a loop early then ends the map at once, not at the next garbage collection.
    steps = _steps(request, engine)
    here = inside.here
    token = inside.enter()
    try:
        for value in steps:
            # As `leave` and `enter` do, without a call in the usual case: this runs for each element.
            if token is None:
                inside.entered = here()
            else:
                inside.leave(token)
                token = None
            yield value
            if here() is not inside.entered:
                token = inside.enter()
    finally:
        if token is None:
            token = inside.enter()
        try:
            steps.close()
        finally:
            inside.leave(token)


def _steps(request: Request, engine: Callable[[MapCall], Iterator[R]]) -> Generator[R, None, None]:
    call = MapCall(request)
    call.runner.maps.add(call)
    try:
        yield from engine(call)
    finally:
        call.runner.maps.discard(call)
        call.finish()
