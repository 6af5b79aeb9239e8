"""Single calls: what `Task.submit` does."""

from __future__ import annotations

import contextlib
import inspect
import uuid
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightwork import logs
from lightwork.cluster.cluster import Lost
from lightwork.engine.compute import KILLED, Failure, compute, describe
from lightwork.engine.worker import Slot, as_error, fill, pack_call, run_call
from lightwork.errors import ElementError, InputError, LightworkError, RunFailed
from lightwork.store import segments
from lightwork.store.results import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import distributed

    from lightwork.engine.runner import Runner
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey


R = TypeVar("R")


class Future(Generic[R]):
    """The result of one call, now or later; it may be an argument of further calls.

    Attributes:
        name: a name for people, made of the task's.
        runner: where it runs.
    """

    def __init__(self, name: str, runner: Runner) -> None:
        self.name = name
        self.runner = runner
        self._value: Any = None
        self._error: BaseException | None = None
        self._settled = False
        self._counted = False
        self._payload = b""
        self._inputs: Sequence[Future[Any]] = ()
        self._future: distributed.Future | None = None

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result.

        Args:
            timeout: seconds to wait, at most.

        Raises:
            ElementError: the call failed for good.
            TimeoutError: it is not done yet.
        """
        if not self._settled:
            self._wait(timeout)
        if self._error is not None:
            raise self._error
        value: R = self._value
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call to end; its error, or None if it has succeeded."""
        try:
            self.result(timeout)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - it is what was asked for
            return error
        return None

    def done(self) -> bool:
        """Whether the call has ended, well or not."""
        return self._settled or (self._future is not None and self._future.status in ("finished", "error"))

    def cancel(self) -> None:
        """Give the call up, if it has not ended."""
        if not self.done() and self._future is not None:
            self._future.cancel()
            self.settle(error=LightworkError(f"{self.name} was cancelled"))

    def settle(
        self, value: Any = None, error: BaseException | None = None, *, cached: bool = False
    ) -> Future[R]:
        """End it with a value or an error, and count it."""
        self._value, self._error, self._settled = value, error, True
        self._count("failed" if error is not None else "cached" if cached else "computed")
        return self

    def _count(self, outcome: str) -> None:
        """Count the call once; if it has succeeded, so have those whose results it took."""
        if self._counted:
            return
        self._counted = True
        self.runner.elements[outcome] += 1
        if outcome == "computed":
            for item in self._inputs:
                item._count("computed")  # noqa: SLF001

    def _input(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value if self._settled else self._future or self._send()

    def _forget(self) -> None:
        """What the lost scheduler knew is gone: this call and its inputs are to be sent again."""
        self._future = None
        for item in self._inputs:
            item._forget()  # noqa: SLF001

    def start(self, payload: bytes, inputs: Sequence[Future[Any]]) -> Future[R]:
        """Send the call to a worker, after those whose results it takes."""
        self._payload, self._inputs = payload, inputs
        with contextlib.suppress(Lost):  # whoever waits for it reaches a scheduler again, and sends it then
            self._send()
        return self

    def _send(self) -> distributed.Future:
        arguments = [item._input() for item in self._inputs]  # noqa: SLF001
        self._future = self.runner.cluster.submit(run_call, self._payload, *arguments, key=self.name)
        return self._future

    def _wait(self, timeout: float | None) -> None:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        while True:
            try:
                future = self._future or self._send()
                value = future.result(timeout)
            except (FutureCancelledError, Lost, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                self.runner.cluster.reconnect()
                self._forget()
            except ElementError as error:
                self.settle(error=error)
                return
            except KilledWorker:
                self.settle(error=ElementError(self.name, None, "see its arguments", KILLED))
                return
            except (LightworkError, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a worker could not do
                failed = RunFailed(f"{self.name}: a worker could not run the call: {describe(error)}")
                failed.__cause__ = error
                self.settle(error=failed)
                return
            else:
                self.settle(value)
                return

    def __repr__(self) -> str:
        return f"<future {self.name}, {'done' if self.done() else 'pending'}>"

    def __reduce__(self) -> Any:
        raise InputError("a future cannot be an element of a map; take its result() first")


def take_out(value: Any, found: list[Future[Any]]) -> Any:
    """Replace the futures in a call's arguments by slots, inside lists, tuples and dicts too.

    Args:
        value: the arguments.
        found: takes the futures, in the order of the slots' numbers.
    """
    if isinstance(value, Future):
        found.append(value)
        return Slot(len(found) - 1)
    if type(value) in (list, tuple):
        return type(value)(take_out(item, found) for item in value)
    if type(value) is dict:
        return {key: take_out(item, found) for key, item in value.items()}
    return value


def start_call(
    runner: Runner, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """Start one call of a task; what the lake has already is not computed.

    Raises:
        InputError: arguments that do not fit the function.
    """
    signature = inspect.signature(task.fn)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(
            f"{task.name}.submit: {error}; the function is {task.fn.__name__}{signature}"
        ) from None
    future: Future[Any] = Future(f"{task.fn.__name__}-{uuid.uuid4().hex[:16]}", runner)
    runner.elements["total"] += 1
    inputs: list[Future[Any]] = []
    call = take_out((args, kwargs), inputs)
    code = runner.code_of(task)
    if runner.on == "serial":
        return _here(future, task, code, fill(call, [item.result() for item in inputs]))
    key = None
    if code is not None and not inputs:
        code, key = _key_of(runner, task, code, call)
        if _found(future, task, code, key):
            return future
    return future.start(pack_call(runner.parcel(task, code), call, code, key, runner.refresh), inputs)


def _here(future: Future[Any], task: TaskFunction[..., Any], code: CodeKey | None, call: Any) -> Future[Any]:
    runner = future.runner
    key = None
    if code is not None:
        code, key = _key_of(runner, task, code, call)
        if _found(future, task, code, key):
            return future
    options = task.options
    with logs.context(task=task.name, attempt=1):
        done = compute(
            lambda both: task.fn(*both[0], **both[1]),
            [call],
            retries=options.retries,
            retry_delay=options.retry_delay,
        )
    value = done.values[0]
    if isinstance(value, Failure):
        return future.settle(error=as_error(task.name, None, value))
    if key is not None and code is not None:
        runner.results_of(task, code).commit(key, segments.to_blocks([value]))
    return future.settle(value)


def _key_of(
    runner: Runner, task: TaskFunction[..., Any], code: CodeKey, call: Any
) -> tuple[CodeKey | None, bytes | None]:
    from lightwork.keys import Unkeyable, call_key

    try:
        return code, call_key(task.fn, code, call[0], call[1], task.options.ignore)
    except Unkeyable as error:
        runner.log.warning(f"{task.name}: this call is not cached: {error}")
        return None, None


def _found(
    future: Future[Any], task: TaskFunction[..., Any], code: CodeKey | None, key: bytes | None
) -> bool:
    runner = future.runner
    if key is None or code is None or runner.refresh:
        return False
    value = runner.results_of(task, code).lookup([key])[0]
    if value is MISSING:
        return False
    future.settle(value, cached=True)
    return True
