"""What runs in the process that a worker starts for calls with a time limit: it receives calls one by one."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lightwork.engine import worker
from lightwork.engine.apart import IDLE_SECONDS
from lightwork.engine.causes import Sent, send
from lightwork.engine.compute import Failure, advice, trace
from lightwork.engine.looping import awaited, together
from lightwork.engine.proof import Different, check
from lightwork.errors import LightworkError
from lightwork.functions.frozen import Unfreezable, freeze, open_argument
from lightwork.functions.raised import describe, raise_if_interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from lightwork.engine.compute import Computed
    from lightwork.engine.job import Job, Parcel

_DIE_WITH_PARENT = 1
"""The option of Linux's `prctl` that sends a signal once the parent has ended."""


def serve(link: Connection, where: int, parent: int) -> None:
    """Answer messages until the worker has ended, or nothing comes for long.

    Args:
        link: the connection to the worker.
        where: the file to which SIGUSR1 writes a traceback.
        parent: the worker's process.
    """
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to all processes
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    faulthandler.register(signal.SIGUSR1, file=where, all_threads=False)
    _Inner(link).serve(parent)


class _Inner:
    def __init__(self, link: Connection) -> None:
        self._link = link
        self._parcel: Parcel | None = None
        worker.forward_to(lambda line: self._tell("log", line))

    def _tell(self, kind: str, content: Any = None) -> None:
        self._link.send_bytes(pickle.dumps((kind, content), protocol=5))

    def serve(self, parent: int) -> None:
        while os.getppid() == parent and self._link.poll(IDLE_SECONDS):
            try:
                kind, content = pickle.loads(self._link.recv_bytes())
            except EOFError:
                return
            try:
                if kind == "job":
                    if (difference := check(content.proof)) is not None:
                        raise Different(difference)
                    worker.unpacked(content)
                    self._parcel = content
                    self._tell("ready")
                else:
                    self._run(kind, content)
            except LightworkError as error:
                self._tell("refused", error)

    def _run(self, kind: str, content: Any) -> None:
        assert self._parcel is not None  # noqa: S101 - the worker sends it first
        with worker.inside(self._parcel) as job:
            self._tell("begun")
            try:
                value, warning = self._outcome(job, kind, content)
            except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
                raise_if_interrupted(error)
                self._tell("raised", (send(error), describe(error) + advice(error), trace(error)))
                return
            names = worker.changed_by(self._parcel)
            if names or warning:
                self._tell("changed", (names, warning))
            if type(value) is Unfreezable:
                text = f"a result of type {value.kind} cannot be sent to the driver: {describe(value.error)}"
                self._tell("raised", (send(value.error), text, ""))
            else:
                self._tell("done", value)

    def _outcome(self, job: Job, kind: str, content: Any) -> tuple[Any, str]:
        """Return what is asked for, and a warning about shared arguments."""
        if kind == "element":
            return _element(job, content)
        if kind == "batch":
            elements, budget = content
            return _batch(job, elements, budget, lambda: self._tell("alive"))
        return _call(job, *content), ""


def _batch(
    job: Job, elements: Sequence[Any], budget: float, alive: Callable[[], object]
) -> tuple[Computed, str]:
    """Return the outcome of elements that run together, in a form that travels."""
    stop = job.options.on_error == "raise"
    done, warning = job.shared.run(
        lambda loan: together(
            *(job.call(loan), elements, job.options),
            stop_at_failure=stop,
            budget=budget,
            keep=freeze,
            alive=alive,
        )
    )
    for position, value in enumerate(done.values):
        if type(value) is Unfreezable:
            done.values[position] = worker.unsendable(position, elements[position], value)
    failures = [value for value in done.values if type(value) is Failure]
    for failure in failures:
        if type(failure.exception) is not Sent:
            failure.exception = send(failure.exception)
    return replace(done, failures=failures), warning


def _element(job: Job, element: Any) -> tuple[Any, str]:
    """Return the result of one element, frozen, and a warning about its shared arguments."""
    return job.shared.run(
        lambda loan: freeze(awaited(job.call(loan), is_async=job.is_async)(open_argument(element)))
    )


def _call(job: Job, data: Any, arguments: Sequence[Any]) -> Any:
    args, kwargs = worker.fill(open_argument(data), arguments)
    return freeze(awaited(lambda _: job.fn(*args, **kwargs), is_async=job.is_async)(None))
