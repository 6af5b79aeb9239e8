"""A map in this process, one element after the other: breakpoints work, and nothing is sent to a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lightwork import logs
from lightwork.engine.compute import Failure, describe, try_again
from lightwork.engine.feed import PAGE
from lightwork.engine.worker import as_error
from lightwork.functions.pickling import dump
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
    feed, stats, options = call.feed, call.stats, call.task.options
    function = call.job().call()
    enter, leave = logs.element_context(call.task.name)
    buffer = _Buffer(call)
    try:
        while feed.read_page(PAGE):
            feed.take(PAGE)
            page = feed.pages.popleft()
            for position, value in enumerate(page.values):
                page.values[position] = None
                feed.emitted += 1
                if value is not MISSING:
                    yield value
                    continue
                call.tick()
                element = page.elements[position]
                # The context covers the call alone: the caller's own code runs between two results.
                tokens = enter()
                try:
                    result = function(element)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's function may raise anything
                    result = try_again(
                        function, element, position, error, options.retries, options.retry_delay
                    )
                finally:
                    leave(tokens)
                if isinstance(result, Failure):
                    stats.failed += 1
                    failure = as_error(call.task.name, page.start + position, result)
                    if options.on_error == "raise":
                        raise failure from result.exception
                    call.report_failure(failure)
                    if options.on_error == "collect":
                        yield failure
                    continue
                stats.computed += 1
                if page.keys is not None:
                    buffer.add(page.keys[position], result)
                yield result
        feed.check()
    finally:
        buffer.flush()


class _Buffer:
    """Results to commit to the lake: every second or so, and at the end of the map in any case."""

    def __init__(self, call: MapCall) -> None:
        self._call = call
        self._keys: list[bytes] = []
        self._values: list[Any] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._warned = False

    def add(self, key: bytes | None, value: Any) -> None:
        if key is None or self._call.results is None:
            return
        self._keys.append(key)
        self._values.append(value)
        self._bytes += _estimate_bytes(value)
        full = len(self._keys) >= _COMMIT_AT or self._bytes > _COMMIT_BYTES
        if full or time.monotonic() - self._since > _COMMIT_EVERY:
            self.flush()

    def flush(self) -> None:
        self._since = time.monotonic()
        if not self._keys or self._call.results is None:
            return
        keys, values = self._keys, self._values
        self._keys, self._values, self._bytes = [], [], 0
        try:
            blocks = segments.to_blocks(values)
        except Exception:  # noqa: BLE001 - some cannot be pickled: keep the others
            kept = [(key, value) for key, value in zip(keys, values, strict=True) if self._can_be_kept(value)]
            if not kept:
                return
            keys = [key for key, _ in kept]
            blocks = segments.to_blocks([value for _, value in kept])
        self._call.stats.batches += 1
        self._call.add_segment(self._call.results.commit(b"".join(keys), blocks))

    def _can_be_kept(self, value: Any) -> bool:
        try:
            dump(value)
        except Exception as error:  # noqa: BLE001
            if not self._warned:
                logs.get_logger("lightwork").warning(
                    f"{self._call.task.name}: results of type {type(value).__name__} are not cached: "
                    f"{describe(error)}"
                )
            self._warned = True
            return False
        return True


def _estimate_bytes(value: Any) -> int:
    """Return the rough size of bytes, a text, an array or a table; 0 for anything else."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    try:
        size = getattr(value, "nbytes", None)
        if size is None and hasattr(value, "memory_usage"):
            size = value.memory_usage(deep=False).sum()
        return int(size or 0)
    except Exception:  # noqa: BLE001 - a value's own attribute may do anything
        return 0
