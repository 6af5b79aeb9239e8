"""Call a task's function on the elements of a batch; the same code runs in one process and on a worker."""

from __future__ import annotations

import itertools
import math
import re
import reprlib
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.engine.proof import Different
from lightwork.errors import TaskTimeoutError, one_line
from lightwork.functions import decorated, mapped
from lightwork.functions.frozen import ATOMIC, Frozen, open_argument, thaw
from lightwork.functions.options import TaskOptions
from lightwork.functions.raised import bounded, describe, detach, raise_if_interrupted
from lightwork.logs import get_logger, set_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightwork.engine.causes import Sent

_TRACEBACK = 50_000
"""Characters of a traceback, at most."""
_READ_ONLY = re.compile(r"read-?only|WRITEABLE|not writable", re.IGNORECASE)
_OURS = (__package__, decorated.__name__)

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 80
_shorten.maxlist = _shorten.maxdict = _shorten.maxtuple = _shorten.maxset = 4


@dataclass(slots=True)
class Failure:
    """An element that failed for good.

    Attributes:
        position: the element's position in its batch, from 0.
        input: the element, shortened to one line.
        error: the exception's type and text, in one line.
        traceback: the traceback, as text.
        exception: the exception itself, or as it travels to another process; None if there is none.
        attempts: how many times the element was tried.
        timed_out: whether the last attempt exceeded the task's time limit.
    """

    position: int
    input: str
    error: str
    traceback: str
    exception: BaseException | Sent | None
    attempts: int
    timed_out: bool = False


def as_it_is(value: Any) -> Any:
    """Return a value."""
    return value


@dataclass(slots=True)
class Computed:
    """The outcome of a batch, or of its first elements.

    Attributes:
        values: the result of each element tried, in order, or its `Failure`.
        failures: the failures among them.
        seconds: the time that all of them took.
        retried: how many of them were tried more than once.
    """

    values: list[Any]
    failures: list[Failure]
    seconds: float
    retried: int = 0


class Elsewhere(Exception):  # noqa: N818 - it stands for one
    """Stands for an exception that the function has raised in another process.

    Attributes:
        error: the exception, as far as this process can load it.
        sent: the exception, as it travels.
        text: its type and text, with advice.
        traceback: its traceback.
    """

    def __init__(self, error: BaseException, sent: Sent | None, text: str, traceback: str) -> None:
        super().__init__(text)
        self.error = error
        self.sent = sent
        self.text = text
        self.traceback = traceback


_DEFAULTS = TaskOptions()


def compute(
    call: Callable[[Any], Any],
    elements: Sequence[Any],
    options: TaskOptions = _DEFAULTS,
    *,
    stop_at_failure: bool = True,
    budget: float | None = None,
    keep: Callable[[Any], Any] = as_it_is,
    opens: bool = True,
    values: list[Any] | None = None,
) -> Computed:
    """Call a function on each element, one after the other.

    Args:
        call: the function of one element.
        elements: the batch; each attempt gets a new object of a `Frozen` one.
        options: the task's options, which say what happens to an element that fails.
        stop_at_failure: stop once an element has failed for good.
        budget: seconds after which to stop; at least one element is always computed.
        keep: is called with each result that may change, before the next element; returns what to put in
            its place. It must not raise.
        opens: whether `Frozen` elements are opened here; otherwise the function does it.
        values: an empty list, which gets the outcomes one by one; another thread may read it meanwhile.

    Returns:
        The outcome of all elements, or of the first ones after an early stop.

    Raises:
        Different: the process apart that calls the function has other code.
    """
    clock = time.perf_counter
    begin = clock()
    values = [] if values is None else values
    failures: list[Failure] = []
    retried = 0
    append = values.append
    if opens and Frozen in set(map(type, elements)):
        call = opening(call)
    limit = math.inf if budget is None else begin + budget
    remaining = iter(elements)
    while len(values) < len(elements):
        try:
            for element in remaining:
                value = call(element)
                append(value if ATOMIC[type(value)] else keep(value))
                # After each element, since any may take a thousand times longer than those before it.
                if clock() >= limit:
                    break
        except Different:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
            raise_if_interrupted(error)
            position = len(values)
            outcome, attempts = try_again(call, elements[position], position, error, options)
            retried += attempts > 1
            if type(outcome) is Failure:
                append(outcome)
                failures.append(outcome)
                if stop_at_failure:
                    break
            else:
                append(keep(outcome))
        if clock() >= limit:
            break
    return Computed(values, failures, clock() - begin, retried)


def opening(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that gets a new object for each `Frozen` element."""
    return lambda element: call(open_argument(element))


def renewing(call: Callable[[Any], Any], renew: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return the function of a single element, which gets a new copy of it from the second attempt on."""
    attempts = itertools.count()
    return lambda element: call(renew() if next(attempts) else element)


def try_again(
    call: Callable[[Any], Any], element: Any, position: int, error: BaseException, options: TaskOptions
) -> tuple[Any, int]:
    """Retry an element whose first call raised, as often as its task's options say.

    Returns:
        Its result, or its `Failure` after the last attempt; and the number of attempts.
    """
    attempt, first = 1, error
    while (pause := pause_before_retry(options, attempt, error, element)) is not None:
        time.sleep(pause)
        attempt += 1
        set_attempt(attempt)
        try:
            value = call(element)
        except Different:
            raise
        except BaseException as retry_error:  # noqa: BLE001
            raise_if_interrupted(retry_error)
            detach(retry_error, first)
            error = retry_error
        else:
            set_attempt(1)
            return value, attempt
    if attempt > 1:
        set_attempt(1)
    return failed(element, position, error, attempt), attempt


def pause_before_retry(
    options: TaskOptions, attempt: int, error: BaseException, element: Any
) -> float | None:
    """Return the seconds before the next attempt, and log it; None if this one was the last.

    Args:
        options: the task's options.
        attempt: the number of the attempt that failed, from 1.
        error: what it raised.
        element: the element.
    """
    if attempt > options.retries or not options.retries_on(_raised(error)):
        return None
    pause = options.delays.seconds(attempt)
    get_logger("lightwork").warning(
        f"retrying in {pause:.1f} s: {describe(_raised(error))}", input=shorten(element), attempt=attempt
    )
    return pause


def _raised(error: BaseException) -> BaseException:
    """Return what the function has raised, here or elsewhere."""
    return error.error if type(error) is Elsewhere else error


def failed(element: Any, position: int, error: BaseException, attempts: int) -> Failure:
    """Return the failure of an element.

    Args:
        element: the element.
        position: its position in its batch.
        error: what its last attempt raised.
        attempts: the number of attempts.
    """
    if type(error) is Elsewhere:
        told = error.text, error.traceback, error.sent
        return Failure(
            position, shorten(element), *told, attempts, timed_out=type(error.error) is TaskTimeoutError
        )
    text = describe(error) + advice(error)
    timed_out = type(error) is TaskTimeoutError
    return Failure(position, shorten(element), text, trace(error), error, attempts, timed_out)


def killed(reason: str) -> str:
    """Return the error of an element whose worker process was lost on every attempt.

    Args:
        reason: why the last one was; empty if that was not seen.
    """
    told = f": {reason}" if reason else ", for a reason that was not seen"
    return f"its worker process was killed on every attempt{told}"


def advice(error: BaseException) -> str:
    """Return what to do if the task has tried to change a mapped array; usually empty."""
    # By the type: an exception may refuse to say its class.
    refused = mapped.USED and issubclass(type(error), (ValueError, TypeError, BufferError))
    return f"; {mapped.ADVICE}" if refused and _READ_ONLY.search(describe(error)) else ""


def shorten(value: Any) -> str:
    """Return a value's repr, shortened to one line."""
    try:
        return one_line(_shorten.repr(thaw(value)))[:200]
    except BaseException as error:  # noqa: BLE001 - a broken __repr__ must not hide the element's own error
        raise_if_interrupted(error)
        return f"<{type(value).__name__}>"


def trace(error: BaseException) -> str:
    """Return an exception's traceback as text, from the task's own frame on."""
    # Not by attributes: a class may define `__getattribute__`, and raise in it.
    frames = whole = BaseException.__dict__["__traceback__"].__get__(error)
    while frames is not None and _is_ours(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frames or whole)
    except BaseException as problem:  # noqa: BLE001 - formatting runs code of the error's class
        raise_if_interrupted(problem)
        lines = [*traceback.format_tb(frames or whole), describe(error)]
    return bounded("".join(lines), _TRACEBACK)


def _is_ours(module: str) -> bool:
    return module in _OURS or module.startswith(f"{__package__}.")
