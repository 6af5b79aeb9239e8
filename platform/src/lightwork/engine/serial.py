"""A map in this process, one element after the other: breakpoints work, and nothing is sent anywhere."""

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
_COMMIT_AT = 1 << 14
_COMMIT_BYTES = 32 << 20


def iterate(call: MapCall) -> Iterator[Any]:
    """Compute what is not cached; yield the results in order.

    Raises:
        ElementError: an element failed, and the task says to stop then.
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
                # The context is set for the call alone: between two results the caller's own code runs.
                tokens = enter()
                try:
                    result = function(element)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's function raises
                    result = try_again(
                        function, element, position, error, options.retries, options.retry_delay
                    )
                finally:
                    leave(tokens)
                if isinstance(result, Failure):
                    stats.failed += 1
                    failed = as_error(call.task.name, page.start + position, result)
                    if options.on_error == "raise":
                        raise failed from result.exception
                    call.report_failure(failed)
                    if options.on_error == "collect":
                        yield failed
                    continue
                stats.computed += 1
                if page.keys is not None:
                    buffer.add(page.keys[position], result)
                yield result
        feed.check()
    finally:
        buffer.flush()


class _Buffer:
    """Results on their way to the lake: committed every second, and whatever happens at the end."""

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
        self._bytes += _rough_bytes(value)
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
        except Exception:  # noqa: BLE001 - some of them cannot be pickled: keep the others
            keep = [(key, value) for key, value in zip(keys, values, strict=True) if self._can_be_kept(value)]
            if not keep:
                return
            keys = [key for key, _ in keep]
            blocks = segments.to_blocks([value for _, value in keep])
        self._call.stats.batches += 1
        self._call.committed(self._call.results.commit(b"".join(keys), blocks))

    def _can_be_kept(self, value: Any) -> bool:
        try:
            dump(value)
        except Exception as error:  # noqa: BLE001
            if not self._warned:
                text = (
                    f"a {type(value).__name__} cannot be kept, so it is computed each time: {describe(error)}"
                )
                logs.get_logger("lightwork").warning(f"{self._call.task.name}: {text}")
            self._warned = True
            return False
        return True


def _rough_bytes(value: Any) -> int:
    """The size of a value, where it is likely large and cheap to tell: bytes, texts, arrays, tables."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    try:
        size = getattr(value, "nbytes", None)
        if size is None and hasattr(value, "memory_usage"):
            size = value.memory_usage(deep=False).sum()
        return int(size or 0)
    except Exception:  # noqa: BLE001 - whatever a value calls so
        return 0
