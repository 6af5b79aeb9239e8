"""Single calls: the engine behind `Task.submit`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import time
import uuid
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from lightwork import logs
from lightwork.cluster.cluster import Lost
from lightwork.cluster.offers import check_offered
from lightwork.cluster.relief import Patience
from lightwork.engine.compute import Failure, compute, killed, renewing
from lightwork.engine.limiting import check_limit
from lightwork.engine.looping import awaited
from lightwork.engine.places import now
from lightwork.engine.proof import Different, changes_line, explain
from lightwork.engine.runner import State, state_of
from lightwork.engine.timing import timed
from lightwork.engine.worker import Call, Retried, Slot, as_error, fill, received_error, run_call, unloadable
from lightwork.errors import ElementError, InputError, LightworkError, RunFailed, TaskTimeoutError
from lightwork.functions.callables import is_coroutine
from lightwork.functions.frozen import (
    Frozen,
    Unfreezable,
    freeze_or_keep,
    freeze_views,
    open_argument,
    release,
    split,
    thaw,
    thaw_or_tell,
)
from lightwork.functions.raised import describe, watching
from lightwork.store.results import MISSING, expired_before

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import distributed

    from lightwork.engine.proof import Difference
    from lightwork.engine.runner import Runner
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey


R = TypeVar("R")

_LOOK = 2.0
"""Seconds between two looks at whether a call has ended too many workers."""


class Future(Generic[R]):
    """The result of one call, available now or later; it may be an argument of further calls.

    Args:
        runner: runs and counts the call.
        task: the task that is called.
        payload: the call as `Call.pack` makes it; empty if it never goes to a worker.
        inputs: the calls whose results are its arguments.
        state: the state of the task's code at the time of the call; None if it never goes to a worker.
        arguments: the call's frozen arguments, whose large arrays workers map.

    Attributes:
        name: a unique name that starts with the task's.
        runner: runs and counts the call.
    """

    def __init__(
        self,
        runner: Runner,
        task: TaskFunction[..., Any],
        payload: bytes = b"",
        inputs: Sequence[Future[Any]] = (),
        state: State | None = None,
        arguments: Frozen | None = None,
    ) -> None:
        self.name = f"{task.__name__}-{uuid.uuid4().hex[:16]}"
        self.runner = runner
        self._task = task
        self._payload = payload
        self._inputs = inputs
        self._state = state
        self._arguments = arguments
        self._kept: Any = None
        self._value: Any = MISSING
        self._error: BaseException | None = None
        self._settled = False
        self._sent = 0
        self._counted = False
        self._future: distributed.Future | None = None

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result; each call of this method returns the same object.

        A call that has this future as an argument gets an object of its own, as the result was computed.

        Args:
            timeout: the longest wait in seconds; None waits until the call ends.

        Raises:
            ElementError: the call failed for good.
            TimeoutError: the call has not ended in time.
        """
        if not self._settled:
            self._wait(timeout)
        if self._error is not None:
            raise self._error
        if self._value is MISSING:
            value = thaw_or_tell(self._kept)
            if type(value) is Unfreezable:
                self._error = as_error(self._task.name, None, unloadable(0, "arguments not recorded", value))
                raise self._error
            self._value = value
        result: R = self._value
        return result

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the result in a coroutine, while other coroutines run."""
        if not self._settled:
            work = contextvars.copy_context().run
            yield from asyncio.get_running_loop().run_in_executor(None, work, self.exception).__await__()
        return self.result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call to end; return its error, or None if it succeeded."""
        try:
            self.result(timeout)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller asked for the error
            return error
        return None

    def done(self) -> bool:
        """Return whether the call has succeeded or failed."""
        return self._settled or (self._future is not None and self._future.status in ("finished", "error"))

    def cancel(self) -> None:
        """Cancel the call unless it has ended."""
        if not self.done() and self._future is not None:
            self._future.cancel()
            self.settle(error=LightworkError(f"{self.name} was cancelled"))

    def settle(
        self,
        kept: Any = None,
        error: BaseException | None = None,
        *,
        value: Any = MISSING,
        cached: bool = False,
        retried: bool = False,
    ) -> Future[R]:
        """Set the outcome of the call, and count it.

        Args:
            kept: the result, `Frozen` if it may change.
            error: the error of a failed call.
            value: the object for `result`, if it exists already.
            cached: whether the result came from the lake.
            retried: whether the function was called more than once.
        """
        self._kept, self._error, self._value, self._settled = kept, error, value, True
        self._arguments = None
        if isinstance(error, ElementError) and not self._counted:
            self.runner.tally.failures.add(error)
            if type(error.__cause__) is TaskTimeoutError:
                self.runner.tally.add(self._task.name, "timed_out")
        if retried and not self._counted:
            self.runner.tally.add(self._task.name, "retried")
        self._count("failed" if error is not None else "cached" if cached else "computed")
        return self

    def _count(self, outcome: str) -> None:
        """Count the call once; if it was computed, its inputs were too."""
        if self._counted:
            return
        self._counted = True
        self.runner.tally.add(self._task.name, outcome)
        if outcome == "computed":
            for item in self._inputs:
                item._count("computed")  # noqa: SLF001

    def _input(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._kept if self._settled else self._future or self._send()

    def _as_argument(self) -> Any:
        """Return the result for another call in this process.

        Raises:
            ElementError: the call failed for good.
        """
        if not self._settled:
            self._wait(None)
        if self._error is not None:
            raise self._error
        return open_argument(self._kept)

    def _forget(self) -> None:
        """Drop what the lost scheduler held, so that this call and its inputs are sent again."""
        self._future = None
        for item in self._inputs:
            item._forget()  # noqa: SLF001

    def _carry(self, difference: Difference) -> None:
        """Pack this call and its inputs again, where a worker has other code than this process.

        Raises:
            RunFailed: the code cannot be sent, or has changed since the call was submitted.
        """
        for item in self._inputs:
            item._carry(difference)  # noqa: SLF001
        if not self._payload:
            return
        sent = Call.unpack(self._payload)
        if sent.parcel.proof != difference.proof:
            return
        runner, task, code = self.runner, self._task, sent.code
        state = state_of(task, None if code is None else runner.code_of(task))
        if state != self._state:
            raise RunFailed(explain(task.name, difference, "and it has changed again since the call"))
        arguments = thaw(sent.data)
        place = runner.large_inputs.place(lake_is_used=code is not None)
        again = runner.pack_again(
            task.name, difference, lambda: sent.again(runner.parcel(task, code, state), arguments, place)
        )
        self._payload, self._arguments = again.pack(), again.data

    def start(self) -> Future[R]:
        """Send the call to a worker; it runs there once its inputs are computed."""
        with contextlib.suppress(Lost):  # `result` reconnects, and sends it then
            self._send()
        return self

    def _send(self) -> distributed.Future:
        arguments = [item._input() for item in self._inputs]  # noqa: SLF001
        # Dask may still know the key of a call that it has refused or lost.
        key = f"{self.name}-{self._sent}" if self._sent else self.name
        self._sent += 1
        resources = self._task.options.resources
        if resources:
            check_offered(self.runner.on, self._task.name, resources)
            self.runner.cluster.offers(self._task.name, resources)
        self._future = self.runner.cluster.submit(
            *(run_call, self._payload, *arguments), key=key, place=now(), resources=resources
        )
        return self._future

    def _wait(self, timeout: float | None) -> None:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        while True:
            try:
                future = self._future or self._send()
                value = self._await(future, timeout)
            except (FutureCancelledError, Lost, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                if self._future is not None and self._future.status == "error":
                    self.settle(error=self._not_run(error))
                    return
                self.runner.cluster.reconnect()
                self._forget()
            except Different as error:
                self._carry(error.difference)
                self._forget()
            except ElementError as error:
                if not self._settled:
                    self.settle(error=received_error(error), retried=error.attempts > 1)
                return
            except KilledWorker as error:
                reason = self.runner.cluster.end_of(error.last_worker.address)
                self.settle(error=self._killed(int(error.allowed_failures) + 1, reason))
                return
            except (LightworkError, TimeoutError):
                raise
            except KeyboardInterrupt:
                if (cluster := self.runner.cluster_if_any) is not None:
                    cluster.interrupted()
                raise
            except Exception as error:  # noqa: BLE001 - anything may go wrong on a worker
                self.runner.cluster.check()  # a run that gets no workers has its connection closed under it
                self.settle(error=self._not_run(error))
                return
            else:
                retried = type(value) is Retried
                self.settle(value.value if retried else value, retried=retried)
                return

    def _await(self, future: distributed.Future, timeout: float | None) -> Any:
        """Wait for Dask's future; look at times whether work that was cancelled holds its worker."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        patience = Patience()
        while not _ends_within(future, min(end - time.monotonic(), patience.left, _LOOK)):
            blamed = self.runner.cluster.blamed
            if (culprit := self._culprit(blamed)) is not None:
                raise culprit._end(blamed)  # noqa: SLF001
            if time.monotonic() >= end:
                raise TimeoutError(f"{self.name} has no result after {timeout:g} s")
            if patience.ends():
                self.runner.cluster.relieve()
            if self._task.options.resources:  # the first workers may have come since
                self.runner.cluster.offers(self._task.name, self._task.options.resources)
        return future.result()

    def _culprit(self, blamed: Mapping[str, tuple[int, str]]) -> Future[Any] | None:
        """Return this call or one that it waits for, if that has ended too many workers."""
        if not blamed or self._settled:
            return None
        if self._future is not None and self._future.key in blamed:
            return self
        culprits = (item._culprit(blamed) for item in self._inputs)  # noqa: SLF001
        return next((item for item in culprits if item is not None), None)

    def _end(self, blamed: Mapping[str, tuple[int, str]]) -> ElementError:
        """Settle this call, which has ended too many workers; return its error."""
        assert self._future is not None  # noqa: S101 - it is blamed by its key
        self._future.cancel(force=True)
        error = self._killed(*blamed[self._future.key])
        self.settle(error=error)
        return error

    def _killed(self, tries: int, reason: str) -> ElementError:
        return ElementError(self.name, None, "arguments not recorded", killed(reason), attempts=tries)

    def _not_run(self, error: BaseException) -> RunFailed:
        failure = RunFailed(f"{self.name}: a worker could not run the call: {describe(error)}")
        failure.__cause__ = error
        return failure

    def __repr__(self) -> str:
        return f"<future {self.name}, {'done' if self.done() else 'pending'}>"

    def __reduce__(self) -> Any:
        raise InputError(FUTURE_REFUSED)


T = TypeVar("T")
Later: TypeAlias = "Future[T] | list[Future[Any]] | tuple[Future[Any], ...] | dict[str, Future[Any]]"
"""What may stand for an argument: a future of it, or several in a container."""

FUTURE_REFUSED = "a future cannot be an element of a map; pass its result() instead"


def extract_futures(value: Any, futures: list[Future[Any]]) -> Any:
    """Replace the futures in a call's arguments with slots, also inside lists, tuples and dicts.

    Args:
        value: the arguments.
        futures: the futures are appended here; a slot's number is its future's index.
    """
    if type(value) is Future:
        futures.append(value)
        return Slot(len(futures) - 1)
    if type(value) in (list, tuple):
        return type(value)(extract_futures(item, futures) for item in value)
    if type(value) is dict:
        return {key: extract_futures(item, futures) for key, item in value.items()}
    return value


def start_call(
    runner: Runner, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """Start one call of a task, unless the lake has its result.

    Raises:
        InputError: the arguments do not fit the function.
    """
    try:
        task.check_arguments(args, kwargs)
    except TypeError as error:
        raise InputError(
            f"{task.name}.submit: {error}; the function is {task.__name__}{task.signature}"
        ) from None
    check_limit(task, runner.limits)
    runner.tally.add(task.name, "total")
    inputs: list[Future[Any]] = []
    call = extract_futures((args, kwargs), inputs)
    code = runner.code_of(task)
    serial = runner.on == "serial"
    if serial:
        call, inputs = fill(call, [future._as_argument() for future in inputs]), []  # noqa: SLF001
    key = None
    generation = 0
    if code is not None and not inputs:
        key = key_of(runner, task, code, call)
        if key is None:
            code = None
        elif (value := _lookup(runner, task, code, key)) is not MISSING:
            return Future[Any](runner, task).settle(freeze_or_keep(value), value=value, cached=True)
        elif not runner.keeps(task, code):
            code = key = None
    if code is not None:
        # Set before the call is computed: a later refresh has a higher one.
        results = runner.results_of(task, code, newest=runner.refreshes(task))
        generation = runner.generation_of(task, results)
    if serial:
        return _call_here(runner, task, code, key, call, generation)
    state = state_of(task, code)
    place = runner.large_inputs.place(lake_is_used=code is not None)
    parcel = runner.parcel(task, code, state)
    sent = Call.of(parcel, call, code, key, runner.refreshes(task), place, generation)
    if code is not None:
        runner.note_call(task, code)
    return Future[Any](runner, task, sent.pack(), inputs, state, sent.data).start()


def _call_here(
    runner: Runner,
    task: TaskFunction[..., Any],
    code: CodeKey | None,
    key: bytes | None,
    call: Any,
    generation: int,
) -> Future[Any]:
    """Run a call in this process; its result goes to the lake, with others, if it has a key."""
    options = task.options
    call = freeze_views(call)
    # The retries get what the first attempt got.
    again = freeze_or_keep(call) if options.retries else call
    watch = None if code is None else runner.watch(task)
    with watching(), logs.context(task=task.name, attempt=1):
        call_once = renewing(
            awaited(lambda call: task.fn(*call[0], **call[1]), is_async=is_coroutine(task.fn)),
            lambda: open_argument(again),
        )
        if options.timeout is not None:
            call_once = timed(call_once, options.timeout, task.name)
        done = compute(runner.limited(task, call_once, lambda _: None), [call], options)
    if watch is not None and (changed := watch.after_call()):
        runner.log.warning(changes_line(task.name, changed))
    value = done.values[0]
    future = Future[Any](runner, task)
    retried = bool(done.retried)
    if type(value) is Failure:
        return future.settle(error=as_error(task.name, None, value), retried=retried)
    if key is None or code is None:
        return future.settle(release(value), retried=retried)
    kept, value = split(value)
    if type(kept) is Unfreezable:
        runner.warn(task.name, "result", not_cached(task.name, kept))
        return future.settle(value, retried=retried)
    runner.keep(task, code, key, kept, generation)
    return future.settle(kept, value=value, retried=retried)


def not_cached(task: str, result: Unfreezable) -> str:
    """Return the warning about a result that cannot be kept."""
    return f"{task}: results of type {result.kind} are not cached: {describe(result.error)}"


def key_of(runner: Runner, task: TaskFunction[..., Any], code: CodeKey, call: Any) -> bytes | None:
    """Return the call's key; None, with a warning, if its arguments have none."""
    from lightwork.keys import Unkeyable, call_key

    try:
        return call_key(task.fn, code, call[0], call[1], task.options.ignore)
    except Unkeyable as error:
        runner.warn(task.name, "arguments", f"{task.name}: this call is not cached: {error}")
        return None


def _lookup(runner: Runner, task: TaskFunction[..., Any], code: CodeKey, key: bytes) -> Any:
    """Return the call's result from the lake; `MISSING` if it is not there or is to be computed again."""
    return MISSING if runner.refreshes(task) else kept(runner, task, code, key)


def kept(runner: Runner, task: TaskFunction[..., Any], code: CodeKey, key: bytes) -> Any:
    """Return a call's result from the lake; `MISSING` if it is not there, or has expired."""
    pending = runner.pending(task, code, key)
    if pending is not MISSING:
        return thaw(pending)
    return runner.results_of(task, code).lookup([key], expired_before(task.options.lifetime))[0]


def _ends_within(future: distributed.Future, seconds: float) -> bool:
    """Wait for the end of Dask's future, `seconds` at most; return whether it has ended.

    Not by a timeout of Dask's, which now and then ends in an error of its own, nor by a callback, which would
    keep a dropped future's work going.

    Raises:
        Lost: the client was closed, as the scheduler is lost.
    """

    async def wait() -> None:
        waiting = asyncio.ensure_future(future._state.wait())  # noqa: SLF001
        await asyncio.wait({waiting}, timeout=max(0.0, seconds))
        waiting.cancel()

    if not future.done():
        try:
            future.client.sync(wait)
        except RuntimeError as error:
            if future.client.status in ("closing", "closed"):  # its event loop ends with it
                raise Lost from error
            raise
    return bool(future.done())
