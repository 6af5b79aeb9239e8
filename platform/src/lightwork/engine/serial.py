"""A map in this process, one element after the other: breakpoints work, and nothing is sent to a worker.

Of a task that is `async def`, some elements run together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lightwork import logs
from lightwork.engine.calls import FUTURE_REFUSED, Future, not_cached
from lightwork.engine.compute import Failure, opening, shorten, try_again
from lightwork.engine.looping import together
from lightwork.engine.shared import changed
from lightwork.engine.timing import check_timed, timed
from lightwork.engine.watch import Watch
from lightwork.engine.worker import as_error
from lightwork.errors import LakeAway, LightworkError, one_line
from lightwork.functions.frozen import (
    ATOMIC,
    Frozen,
    Unfreezable,
    freeze_or_keep,
    freeze_views,
    open_argument,
    release,
    split,
    thaw,
)
from lightwork.functions.raised import raise_if_interrupted, watching
from lightwork.lake.patience import hurried
from lightwork.store import segments
from lightwork.store.results import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lightwork.engine.mapping import MapCall

_WINDOW = 0.05
"""Seconds after which shared arguments that were lent are checked, and the results handed out."""
_COMMIT_EVERY = 1.0
"""Seconds after which results are committed to the lake."""
_COMMIT_AT = 1 << 14
"""The number of results at which they are committed earlier."""
_MAYBE_FUTURES = frozenset({Future, tuple})
_COMMIT_BYTES = 32 << 20
"""The bytes of results at which they are committed earlier."""


def iterate(call: MapCall) -> Iterator[Any]:
    """Compute what is not cached, in this process; yield the results in order.

    Raises:
        ElementError: an element failed, and the task's `on_error` is "raise".
    """
    # A version= says that the code does not count.
    watch = None if call.code is None or call.task.options.version is not None else Watch(call.task.fn)
    buffer = _Buffer(call, watch)
    with watching():
        try:
            yield from _iterate(call, watch, buffer)
            buffer.flush()
        except BaseException as error:
            buffer.close(error)
            raise


def _iterate(call: MapCall, watch: Watch | None, buffer: _Buffer) -> Iterator[Any]:
    stats, options, keeps = call.stats, call.task.options, call.code is not None
    only = call.runner.only
    wanted = None if only is None else only.of(call.task.name, call.number)
    for index, key, result, cached in _Attempts(call, watch, buffer).outcomes():
        if cached:
            yield result
            continue
        if type(result) is Failure:
            stats.failed += 1
            stats.timed_out += result.timed_out
            failure = as_error(call.task.name, index, result)
            call.runner.tally.failures.add(failure, call.number)
            if options.on_error == "raise" or wanted is not None:
                raise failure from failure.__cause__
            call.report_failure(failure)
            if options.on_error == "collect":
                yield failure
            continue
        stats.computed += 1
        value = buffer.add(key, result) if key is not None and keeps and not buffer.over else release(result)
        if only is not None and wanted is not None:
            only.keep(call.number, index, value)
        yield value
    call.feed.check()


class _Attempts:
    """Calls the function on the elements of a map, with shared arguments as they were when it started."""

    def __init__(self, call: MapCall, watch: Watch | None, buffer: _Buffer) -> None:
        self._call = call
        self._watch = watch
        self._buffer = buffer
        self._job = call.job()
        self._options = call.task.options
        self._enter, self._leave = logs.element_context(call.task.name)
        only = call.runner.only
        self._wanted = None if only is None else only.of(call.task.name, call.number)

    def outcomes(self) -> Iterator[tuple[int, bytes | None, Any, bool]]:
        """Yield each element's index, its key, its result or `Failure`, and whether it was cached.

        Results with lent shared arguments are yielded once these are checked: at most `_WINDOW` seconds
        later, and before the input is read any further.
        """
        if self._job.is_async:
            yield from self._outcomes_together()
            return
        feed, shared = self._call.feed, self._job.shared
        loan = shared.lend()
        function = self._with_limits(self._job.call(loan))
        window: list[tuple[int, bytes | None, Any, bool]] = []
        inputs: list[Any] = []
        begin = 0.0
        watch, buffer, wanted = self._watch, self._buffer, self._wanted
        for index, element, key, value in feed.stream():
            if wanted is not None:
                if index in wanted:
                    value = MISSING  # it is to be debugged: compute it again
                elif value is MISSING:
                    continue
            if watch is not None and (watch.moved() or (value is MISSING and watch.before_call())):
                watch = None if buffer.is_over() else watch
            if buffer.over:
                key, value = None, MISSING  # as the code is now, it is in no key
            if value is not MISSING:
                outcome, again = (index, key, value, True), None
            else:
                self._call.tick()
                begin = begin or time.monotonic()
                element, again = self._input(element, lent=loan is not None)
                outcome = (index, key, self._attempt(function, index, element, again), False)
                if watch is not None and (names_changed := watch.after_call()):
                    self._call.note_changes(names_changed)
            if loan is None:
                yield outcome
                continue
            window.append(outcome)
            inputs.append(again)
            ends = index + 1 >= feed.read or self._is_last(outcome)
            if ends or (begin and time.monotonic() - begin > _WINDOW):
                names = shared.give_back(loan)
                loan = shared.lend()
                if names is not None:
                    function = self._with_limits(self._job.call())
                    window = [self._again(function, *pair) for pair in zip(window, inputs, strict=True)]
                    self._warn(names)
                yield from window
                window, inputs, begin = [], [], 0.0

    def _outcomes_together(self) -> Iterator[tuple[int, bytes | None, Any, bool]]:
        """Do as `outcomes`, with up to `concurrency` elements at once, of those that are read already."""
        check_timed(self._options.timeout, self._call.task.name)
        feed, buffer, wanted = self._call.feed, self._buffer, self._wanted
        window: list[tuple[int, bytes | None, Any, bool]] = []
        missing = 0
        for index, element, key, value in feed.stream():
            if wanted is not None:
                if index in wanted:
                    value = MISSING
                elif value is MISSING:
                    continue
            if buffer.over:
                key, value = None, MISSING
            is_cached = value is not MISSING
            if is_cached and not missing:
                yield index, key, value, True
                continue
            if not is_cached:
                self._call.tick()
                missing += 1
                value = _refused(index, element) or self._input(element, lent=True)[1]
            window.append((index, key, value, is_cached))
            if missing >= self._options.most_together or index + 1 >= feed.read:
                yield from self._computed_together(window)
                window, missing = [], 0
        if window:
            yield from self._computed_together(window)

    def _computed_together(
        self, window: list[tuple[int, bytes | None, Any, bool]]
    ) -> Iterator[tuple[int, bytes | None, Any, bool]]:
        """Yield some outcomes, once those that are not cached are computed."""
        watch = self._watch
        if watch is not None and (watch.moved() or watch.before_call()):
            self._watch = None if self._buffer.is_over() else watch
        elements = [item for _, _, item, is_cached in window if not is_cached and type(item) is not Failure]
        values = iter(self._run_together(elements))
        if watch is not None and (names_changed := watch.after_call()):
            self._call.note_changes(names_changed)
        outcomes = []
        for index, key, value, is_cached in window:
            given = is_cached or type(value) is Failure
            outcome = value if given else thaw(next(values, MISSING))
            if outcome is MISSING:
                break
            outcomes.append((index, key, outcome, is_cached))
        self._keep_after_failure(outcomes)
        yield from outcomes

    def _keep_after_failure(self, outcomes: list[tuple[int, bytes | None, Any, bool]]) -> None:
        """Keep the results that are not handed out, as an element before them ends the map."""
        failures = [place for place, outcome in enumerate(outcomes) if self._is_last(outcome)]
        for _, key, result, is_cached in outcomes[failures[0] :] if failures else ():
            if not is_cached and type(result) is not Failure:
                self._call.stats.computed += 1
                if key is not None and self._call.code is not None and not self._buffer.over:
                    self._buffer.add(key, result)

    def _run_together(self, elements: list[Any]) -> list[Any]:
        """Compute elements in this thread's event loop; return the outcomes of those that have begun."""
        call, options = self._call, self._options
        tokens = self._enter()
        try:
            done, warning = self._job.shared.run(
                lambda loan: together(
                    *(self._job.call(loan), elements, options),
                    stop_at_failure=options.on_error == "raise",
                    keep=freeze_or_keep,
                    limiter=call.runner.limiter(call.task, call.stats.wait),
                )
            )
        finally:
            self._leave(tokens)
        call.stats.retried += done.retried
        if warning:
            logs.get_logger("lightwork").warning(f"{call.task.name}: {warning}")
        return done.values

    def _with_limits(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        call, seconds = self._call, self._options.timeout
        if seconds is not None:
            function = timed(function, seconds, call.task.name)
        return call.runner.limited(call.task, function, call.stats.wait)

    def _is_last(self, outcome: tuple[int, bytes | None, Any, bool]) -> bool:
        return self._options.on_error == "raise" and type(outcome[2]) is Failure

    def _input(self, element: Any, *, lent: bool) -> tuple[Any, Any]:
        """Return an element to call the function on, and what a further call gets."""
        if ATOMIC[type(element)]:
            return element, element
        element = freeze_views(element)
        # A failed attempt may have changed the element.
        return element, freeze_or_keep(element) if lent or self._options.retries else element

    def _attempt(self, function: Any, index: int, element: Any, again: Any) -> Any:
        if type(element) in _MAYBE_FUTURES and (refused := _refused(index, element)) is not None:
            return refused
        # The context covers the call alone: the caller's own code runs between two results.
        tokens = self._enter()
        try:
            return function(element if type(element) is not Frozen else open_argument(element))
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
            raise_if_interrupted(error)
            outcome, attempts = try_again(opening(function), again, index, error, self._options)
            self._call.stats.retried += attempts > 1
            return outcome
        finally:
            self._leave(tokens)

    def _again(
        self, function: Any, outcome: tuple[int, bytes | None, Any, bool], again: Any
    ) -> tuple[int, bytes | None, Any, bool]:
        index, key, _, cached = outcome
        return outcome if cached else (index, key, self._attempt(function, index, again, again), False)

    def _warn(self, names: tuple[str, ...]) -> None:
        if names:
            logs.get_logger("lightwork").warning(f"{self._call.task.name}: {changed(names)}")


def _refused(index: int, element: Any) -> Failure | None:
    """Return the failure of an element that is a future, or has one among its arguments."""
    if type(element) is Future or (type(element) is tuple and Future in set(map(type, element))):
        return Failure(index, shorten(element), FUTURE_REFUSED, "", None, 1)
    return None


class _Buffer:
    """Results to commit to the lake: every second or so, and at the end of the map in any case.

    None leaves the buffer before it is committed, or the lake has refused it. While the lake is away, the map
    waits in `add`, so that the buffer does not grow.

    Args:
        call: the map.
        watch: watches its code; None if its key does not depend on it.

    Attributes:
        over: whether nothing is kept any more, as the code is no longer as the map's key says.
    """

    def __init__(self, call: MapCall, watch: Watch | None) -> None:
        self._call = call
        self._watch = watch
        self.over = False
        self._keys: list[bytes] = []
        self._values: list[Any] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._warned = False

    def add(self, key: bytes, result: Any) -> Any:
        """Take a result for the lake; return what to hand out in its place."""
        kept = result
        if not ATOMIC[type(result)]:
            kept, result = split(result)
            if type(kept) is Unfreezable:
                self._warn(kept)
                return result
            if type(kept) is Frozen:
                self._bytes += len(kept.data)
        elif isinstance(result, (bytes, str)):
            self._bytes += len(result)
        self._keys.append(key)
        self._values.append(kept)
        full = len(self._keys) >= _COMMIT_AT or self._bytes > _COMMIT_BYTES
        # A look at much data takes long.
        every = _COMMIT_EVERY if self._watch is None else max(_COMMIT_EVERY, 20 * self._watch.seconds)
        if full or time.monotonic() - self._since > every:
            self.flush()
        return result

    def is_over(self) -> bool:
        """Look whether the code is still as the key says; if not, drop what is not committed, and warn."""
        changed = self._watch.changed() if self._watch is not None and not self.over else []
        if changed:
            self.over = True
            self._keys, self._values, self._bytes = [], [], 0
            logs.get_logger("lightwork").warning(
                f"{self._call.task.name}: {', '.join(changed)} changed while the map ran; "
                "what is computed from now on is not kept"
            )
        return self.over

    def flush(self) -> None:
        self._since = time.monotonic()
        if not self._keys or self._call.results is None or self.is_over():
            return
        try:
            path = self._call.results.commit(
                b"".join(self._keys), segments.to_blocks(self._values), self._call.generation
            )
        except LakeAway:
            raise
        except LightworkError as error:
            self._call.note_unkept(len(self._keys), one_line(error))
        else:
            self._call.stats.batches += 1
            self._call.add_segment(path, len(self._keys))
        self._keys, self._values, self._bytes = [], [], 0
        self._since = time.monotonic()

    def close(self, error: BaseException) -> None:
        """Commit what is left when an error ends the map; after an interrupt, do not wait for the lake."""
        try:
            with hurried(not issubclass(type(error), Exception | GeneratorExit)):
                self.flush()
        except BaseException as problem:
            count = len(self._keys)
            if count:
                self._call.note_unkept(count, one_line(problem) or "interrupted")
            if not isinstance(problem, LakeAway):
                raise

    def _warn(self, result: Unfreezable) -> None:
        if not self._warned:
            logs.get_logger("lightwork").warning(not_cached(self._call.task.name, result))
        self._warned = True
