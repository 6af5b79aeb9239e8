"""What `Task.submit` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightwork.engine.cluster import Lost
from lightwork.engine.compute import describe
from lightwork.engine.worker import Slot, run_call
from lightwork.errors import ElementError, InputError, LightworkError, RunFailed

if TYPE_CHECKING:
    import distributed

    from lightwork.session import Session

R = TypeVar("R")


class Future(Generic[R]):
    """The result of one call, now or later; it may be an argument of further calls.

    Attributes:
        name: a name for people, made of the task's.
    """

    def __init__(self, name: str, session: Session | None = None) -> None:
        self.name = name
        self._session = session
        self._value: Any = None
        self._error: BaseException | None = None
        self._settled = False
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
            self._settle(error=LightworkError(f"{self.name} was cancelled"))

    def _settle(self, value: Any = None, error: BaseException | None = None) -> Future[R]:
        self._value, self._error, self._settled = value, error, True
        return self

    def _start(self, payload: bytes, inputs: Sequence[Future[Any]]) -> Future[R]:
        self._payload, self._inputs = payload, inputs
        self._send()
        return self

    def _send(self) -> distributed.Future:
        assert self._session is not None  # noqa: S101 - one that has no session is settled
        arguments = [item._value if item._settled else item._future or item._send() for item in self._inputs]  # noqa: SLF001
        self._future = self._session.cluster.submit(run_call, self._payload, *arguments, key=self.name)
        return self._future

    def _wait(self, timeout: float | None) -> None:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        assert self._session is not None  # noqa: S101 - one that has no session is settled
        while True:
            try:
                future = self._future or self._send()
                value = future.result(timeout)
            except (FutureCancelledError, Lost, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                self._session.recover()
            except ElementError as error:
                self._settle(error=error)
                return
            except KilledWorker:
                text = "the worker's process was killed each time; out of memory is the usual reason"
                self._settle(error=ElementError(self.name, None, "see its arguments", text))
                return
            except (LightworkError, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a worker could not do
                failed = RunFailed(f"{self.name}: a worker could not run the call: {describe(error)}")
                failed.__cause__ = error
                self._settle(error=failed)
                return
            else:
                self._settle(value)
                self._session.computed(self)
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
