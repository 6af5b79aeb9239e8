"""Tasks that are `async def`: their coroutines run in an event loop of the executor's thread.

The elements of a batch run together; with a time limit on workers, in the process that `apart` starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from lightwork.engine.compute import Computed, Failure, as_it_is, failed, pause_before_retry
from lightwork.engine.timing import Coroutines
from lightwork.functions.frozen import ATOMIC, open_argument
from lightwork.functions.raised import raise_if_interrupted
from lightwork.logs import set_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager

    from lightwork.engine.limiting import Limiter
    from lightwork.functions.options import TaskOptions

_here = threading.local()
"""The event loop of each thread: clients that a task keeps open belong to one."""


def awaited(call: Callable[[Any], Any], *, is_async: bool) -> Callable[[Any], Any]:
    """Return the function of one element that waits for the coroutine of an async function.

    Args:
        call: the function of one element.
        is_async: whether it returns a coroutine.
    """
    return (lambda element: run(call(element))) if is_async else call


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine; in another thread if a loop runs in this one, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(coroutine)
    return _run_elsewhere(coroutine)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop: asyncio.AbstractEventLoop | None = getattr(_here, "loop", None)
    if loop is None or loop.is_closed():
        loop = _here.loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        left = asyncio.all_tasks(loop)
        for item in left:
            item.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def _run_elsewhere(coroutine: Coroutine[Any, Any, Any]) -> Any:
    outcome: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(_run(coroutine))
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            errors.append(error)
        finally:
            with contextlib.suppress(AttributeError):
                _here.loop.close()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="lightwork-loop")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def together(
    call: Callable[[Any], Any],
    elements: Sequence[Any],
    options: TaskOptions,
    *,
    stop_at_failure: bool = True,
    budget: float | None = None,
    keep: Callable[[Any], Any] = as_it_is,
    values: list[Any] | None = None,
    limiter: Limiter | None = None,
    alive: Callable[[], object] = list,
) -> Computed:
    """Compute a batch as `compute` does, with up to `concurrency` elements at once.

    After an early stop, those that have begun are waited for: they are the first ones of the batch.

    Args:
        call: as for `compute`.
        elements: as for `compute`.
        options: as for `compute`; its time limit holds too.
        stop_at_failure: as for `compute`.
        budget: as for `compute`.
        keep: as for `compute`.
        values: as for `compute`, but gets the outcomes at the end.
        limiter: takes a slot for each attempt; None for none.
        alive: is called every now and then if there is a time limit, while nothing holds up the loop.
    """
    batch = _Together(call, elements, options, keep, stop_at_failure=stop_at_failure, budget=budget)
    if limiter is not None:
        batch.slot = limiter.slot
    if options.timeout is not None:
        batch.time = Coroutines(options.timeout, alive)
    run(batch.run())
    results = [batch.outcomes[position] for position in range(batch.begun)]
    if values is not None:
        values += results
        results = values
    failures = [value for value in results if type(value) is Failure]
    return Computed(results, failures, time.perf_counter() - batch.begin, batch.retried)


class _Together:
    """Elements of a batch that run together.

    Attributes:
        begin: when it began.
        begun: how many have begun.
        outcomes: their results and failures, by position.
        retried: how many were tried more than once.
        slot: what each attempt is made in.
        time: the limit of each attempt's time; None if there is none.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        elements: Sequence[Any],
        options: TaskOptions,
        keep: Callable[[Any], Any],
        *,
        stop_at_failure: bool,
        budget: float | None,
    ) -> None:
        self._call = call
        self._elements = elements
        self._options = options
        self._keep = keep
        self._stop_at_failure = stop_at_failure
        self.begin = time.perf_counter()
        self._limit = math.inf if budget is None else self.begin + budget
        self._stopped = False
        self.slot: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext
        self.time: Coroutines | None = None
        self.begun = 0
        self.outcomes: dict[int, Any] = {}
        self.retried = 0

    async def run(self) -> None:
        """Run the elements."""
        count = min(self._options.most_together, len(self._elements))
        with contextlib.nullcontext() if self.time is None else self.time.watched():
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(self._some())

    async def _some(self) -> None:
        """Run one element after the other, each the first that has not begun."""
        while not self._stopped and self.begun < len(self._elements):
            position = self.begun
            self.begun += 1
            outcome = self.outcomes[position] = await self._one(position)
            late = time.perf_counter() >= self._limit
            self._stopped |= late or (type(outcome) is Failure and self._stop_at_failure)

    async def _one(self, position: int) -> Any:
        element, attempt = self._elements[position], 1
        while True:
            try:
                async with self.slot(), contextlib.nullcontext() if self.time is None else self.time.within():
                    value = await self._call(open_argument(element))
                return value if ATOMIC[type(value)] else self._keep(value)
            except BaseException as error:
                raise_if_interrupted(error)
                me = asyncio.current_task()
                if me is not None and me.cancelling():
                    raise
                pause = pause_before_retry(self._options, attempt, error, element)
                if pause is None:
                    return failed(element, position, error, attempt)
            await asyncio.sleep(pause)
            attempt += 1
            self.retried += attempt == 2
            set_attempt(attempt)
