"""A map in this process, one element after the other: breakpoints work, and nothing is sent to a worker."""

from __future__ import annotations

import contextlib
import copy
import time
from typing import TYPE_CHECKING, Any

from lightwork import logs
from lightwork.engine.calls import not_cached
from lightwork.engine.compute import Failure, opening, try_again
from lightwork.engine.watch import Watch
from lightwork.engine.worker import as_error
from lightwork.functions.frozen import ATOMIC, Frozen, Unfreezable, freeze_or_keep, split
from lightwork.functions.raised import raise_if_interrupted, watching
from lightwork.store import segments
from lightwork.store.results import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.engine.mapping import MapCall

_COMMIT_EVERY = 1.0
"""Seconds after which results are committed to the lake."""
_COMMIT_AT = 1 << 14
"""The number of results at which they are committed earlier."""
_COMMIT_BYTES = 32 << 20
"""The bytes of results at which they are committed earlier."""


def iterate(call: MapCall) -> Iterator[Any]:
    """Compute what is not cached, in this process; yield the results in order.

    Raises:
        ElementError: an element failed, and the task's `on_error` is "raise".
    """
    with watching():
        yield from _iterate(call)


def _iterate(call: MapCall) -> Iterator[Any]:
    feed, stats, options = call.feed, call.stats, call.task.options
    job = call.job()
    if call.code is not None:
        # The key has the shared arguments as they are now; the caller may change them between two results.
        with contextlib.suppress(Exception):
            job.shared = copy.deepcopy(job.shared)
    function = job.call()
    enter, leave = logs.element_context(call.task.name)
    # A version= says that the code does not count.
    watch = None if call.code is None or options.version is not None else Watch(job.fn)
    buffer = _Buffer(call, watch)
    try:
        for index, element, key, value in feed.stream():
            if watch is not None and (watch.moved() or (value is MISSING and watch.before_call())):
                watch = None if buffer.is_over() else watch
            if buffer.over:
                key, value = None, MISSING  # as the code is now, it is in no key
            if value is not MISSING:
                yield value
                continue
            call.tick()
            # A failed attempt may have changed the element.
            again = freeze_or_keep(element) if options.retries else element
            # The context covers the call alone: the caller's own code runs between two results.
            tokens = enter()
            try:
                result = function(element)
            except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
                raise_if_interrupted(error)
                result = try_again(
                    opening(function), again, index, error, options.retries, options.retry_delay
                )
            finally:
                leave(tokens)
            if watch is not None and (changed := watch.after_call()):
                call.note_changes(changed)
            if type(result) is Failure:
                stats.failed += 1
                failure = as_error(call.task.name, index, result)
                if options.on_error == "raise":
                    raise failure from failure.__cause__
                call.report_failure(failure)
                if options.on_error == "collect":
                    yield failure
                continue
            stats.computed += 1
            yield result if key is None else buffer.add(key, result)
        feed.check()
    finally:
        buffer.flush()


class _Buffer:
    """Results to commit to the lake: every second or so, and at the end of the map in any case.

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
        keys, values = self._keys, self._values
        self._keys, self._values, self._bytes = [], [], 0
        self._call.stats.batches += 1
        path = self._call.results.commit(b"".join(keys), segments.to_blocks(values))
        self._call.add_segment(path)

    def _warn(self, result: Unfreezable) -> None:
        if not self._warned:
            logs.get_logger("lightwork").warning(not_cached(self._call.task.name, result))
        self._warned = True
