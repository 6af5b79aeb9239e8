"""Calling a task's function on the elements of a batch; the same code in one process and on a worker."""

from __future__ import annotations

import itertools
import random
import reprlib
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.functions import decorated
from lightwork.logs import get_logger, set_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KILLED = "the worker's process was killed each time it ran this; out of memory is the usual reason"
LONGEST_DELAY = 60.0
_SLICE = 0.01
_OURS = (__package__, decorated.__name__)

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 80
_shorten.maxlist = _shorten.maxdict = _shorten.maxtuple = _shorten.maxset = 4


@dataclass(slots=True)
class Failure:
    """An element that failed for good.

    Attributes:
        position: of the element in its batch, from 0.
        input: the element, shortened to one line.
        error: the exception's type and text, in one line.
        traceback: where it happened, as text.
        exception: the exception itself; None where it cannot be sent to another process.
        attempts: how many times the element was tried.
    """

    position: int
    input: str
    error: str
    traceback: str
    exception: BaseException | None
    attempts: int


@dataclass(slots=True)
class Computed:
    """What became of a batch's first elements.

    Attributes:
        values: a result for each element tried, in order; its `Failure` for one that failed.
        failures: the failures among them.
        seconds: how long it took.
    """

    values: list[Any]
    failures: list[Failure]
    seconds: float


def compute(
    call: Callable[[Any], Any],
    elements: Sequence[Any],
    *,
    retries: int = 0,
    retry_delay: float = 0.5,
    stop_at_failure: bool = True,
    budget: float | None = None,
) -> Computed:
    """Call a function on elements, one after the other.

    Args:
        call: takes one element.
        elements: the batch.
        retries: how often an element that raised is tried again.
        retry_delay: seconds before the first retry, doubled for each further one.
        stop_at_failure: leave the rest once an element has failed for good.
        budget: seconds after which the rest is left; at least one element is always done.

    Returns:
        What was done: all elements, or the first of them.
    """
    clock = time.perf_counter
    begin = clock()
    values: list[Any] = []
    failures: list[Failure] = []
    append = values.append
    rest = iter(elements)
    step = 1
    while len(values) < len(elements):
        start = clock()
        try:
            for element in itertools.islice(rest, step):
                append(call(element))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's function raises
            position = len(values)
            outcome = try_again(call, elements[position], position, error, retries, retry_delay)
            append(outcome)
            if isinstance(outcome, Failure):
                failures.append(outcome)
                if stop_at_failure:
                    break
        now = clock()
        if budget is not None and now - begin >= budget:
            break
        # As many elements between two looks at the clock as take about a hundredth of a second.
        took = max(now - start, 1e-7)
        step = max(1, min(4 * step, int(step * _SLICE / took)))
    return Computed(values, failures, clock() - begin)


def try_again(
    call: Callable[[Any], Any], element: Any, position: int, error: BaseException, retries: int, delay: float
) -> Any:
    """Retry an element that has raised; its result, or its `Failure` once all attempts have failed."""
    attempt = 1
    while attempt <= retries:
        pause = min(LONGEST_DELAY, delay * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
        get_logger("lightwork").warning(
            f"trying again in {pause:.1f} s: {describe(error)}", input=shorten(element), attempt=attempt
        )
        time.sleep(pause)
        attempt += 1
        set_attempt(attempt)
        try:
            value = call(element)
        except (Exception, SystemExit) as again:  # noqa: BLE001
            error = again
        else:
            set_attempt(1)
            return value
    if retries:
        set_attempt(1)
    return Failure(position, shorten(element), describe(error), trace(error), error, attempt)


def shorten(value: Any) -> str:
    """A value's repr, shortened to one line."""
    try:
        return " ".join(_shorten.repr(value).split())[:200]
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the element's own error
        return f"<{type(value).__name__}>"


def describe(error: BaseException) -> str:
    """An exception's type and text in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace(error: BaseException) -> str:
    """An exception's traceback as text, from the task's own frame on."""
    frames = error.__traceback__
    while frames is not None and _ours(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


def _ours(module: str) -> bool:
    return module in _OURS or module.startswith(f"{__package__}.")
