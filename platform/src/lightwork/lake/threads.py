"""Calls to a lake by several threads at once, which an interrupt does not wait for."""

from __future__ import annotations

import itertools
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from lightwork.lake.patience import abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Return a function's result for each item, computed by several threads at once in the caller's context.

    After an error no further items are started; the first one, in their order, is raised once all threads
    have ended. An interrupt is raised at once: these are daemons, unlike the threads of `concurrent.futures`.
    """
    if len(items) < 2:
        return [function(item) for item in items]
    results: list[Any] = [None] * len(items)
    errors: dict[int, BaseException] = {}
    numbers = itertools.count()
    over = threading.Event()
    context = copy_context()
    context.run(abandoned.set, over)

    def work() -> None:
        while not over.is_set() and (number := next(numbers)) < len(items):
            try:
                results[number] = context.copy().run(function, items[number])
            except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
                errors[number] = error
                over.set()

    workers = [
        threading.Thread(target=work, name=f"lightwork-lake-{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        over.set()
    if errors:
        raise errors[min(errors)]
    return results
