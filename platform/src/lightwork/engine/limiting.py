"""Limits while calls run: a slot is taken before each attempt at an element, and given back after it.

In this process the slots are counted here. On workers Dask's scheduler counts them, as leases: their holders
renew them, so that the slots of a worker that was lost are free again after `_LEASE` seconds, and at most 10
more, in which the scheduler looks for such leases. A slot of a rate is held until its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from lightwork.errors import InputError, near
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from lightwork.engine.job import Job
    from lightwork.functions.decorated import TaskFunction
    from lightwork.functions.limits import Limit

_LEASE = 15.0
"""Seconds after which a slot is free whose holder does not renew it."""
_RENEW = 3.0
"""Seconds between two renewals."""
_TELL = 5.0
"""Seconds of waiting for a slot after which a log line says so."""

_held: ContextVar[frozenset[str]] = ContextVar("lightwork_slots", default=frozenset())
"""The limits of which this call has a slot already: a task that it maps needs none."""


class Slots(Protocol):
    """The slots of one limit."""

    def take(self, seconds: float) -> str:
        """Take a slot, waiting for some seconds at most; return its name, empty if there is none."""

    def give_back(self, slot: str, began: float) -> None:
        """Give a slot back, or a slot of a rate once its time is over.

        Args:
            slot: its name, as `take` returned it.
            began: when it was taken, as `time.monotonic` tells.
        """


class Limiter:
    """Takes a slot of a limit for each call.

    Args:
        task: the task's name, for messages.
        limit: the limit.
        slots: its slots.
        note: is called with the seconds that a call has waited.
    """

    def __init__(self, task: str, limit: Limit, slots: Slots, note: Callable[[float], object]) -> None:
        self._task = task
        self._limit = limit
        self._slots = slots
        self._note = note
        self._turn = asyncio.Lock()

    def call(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a function that waits for a slot before it calls another one."""

        def run(element: Any) -> Any:
            with self._slot():
                return call(element)

        return run

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._limit.name in _held.get():
            yield
            return
        begin, told = time.monotonic(), False
        while not (slot := self._slots.take(_TELL)):
            told = self._tell(told=told)
        with self._holding(slot, begin):
            yield

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, which is given back at the end of the block, while other coroutines run."""
        if self._limit.name in _held.get():
            yield
            return
        begin, told = time.monotonic(), False
        async with self._turn:  # so that one thread is enough
            while not (slot := await self._taken()):
                told = self._tell(told=told)
        with self._holding(slot, begin):
            yield

    async def _taken(self) -> str:
        """Take a slot in another thread; a coroutine that is cancelled meanwhile gives it back."""
        lock, wanted = threading.Lock(), True
        slots: list[str] = []

        def take() -> None:
            slot = self._slots.take(_TELL)
            with lock:
                slots.append(slot)
                if slot and not wanted:
                    self._slots.give_back(slot, time.monotonic())

        try:
            await asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, take)
        except BaseException:
            with lock:
                wanted = False
                if any(slots):
                    self._slots.give_back(slots[0], time.monotonic())
            raise
        return slots[0]

    def _tell(self, *, told: bool) -> bool:
        """Say once that a call waits."""
        if not told:
            name = self._limit.name
            get_logger("lightwork").info(
                f"{self._task}: waiting for the limit {name!r} ({self._limit})", limit=name
            )
        return True

    @contextlib.contextmanager
    def _holding(self, slot: str, begin: float) -> Iterator[None]:
        """Note the wait for a slot, and give it back at the end of the block."""
        began = time.monotonic()
        self._note(began - begin)
        token = _held.set(_held.get() | {self._limit.name})
        try:
            yield
        finally:
            _held.reset(token)
            self._slots.give_back(slot, began)


class LocalSlots:
    """The slots of a limit in this process."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._free = threading.Condition()
        self._used = 0
        self._ends: list[float] = []

    def take(self, seconds: float) -> str:
        """Take a slot, as `Slots` does."""
        end = time.monotonic() + seconds
        with self._free:
            while True:
                now = time.monotonic()
                self._ends = [over for over in self._ends if over > now]
                if self._used + len(self._ends) < self._limit.count:
                    self._used += 1
                    return self._limit.name
                if now >= end:
                    return ""
                self._free.wait(min([end, *self._ends]) - now)

    def give_back(self, slot: str, began: float) -> None:  # noqa: ARG002 - one is as good as another
        """Give a slot back, as `Slots` does."""
        with self._free:
            self._used -= 1
            if self._limit.seconds:
                self._ends.append(began + self._limit.seconds)
            self._free.notify_all()


class WorkerSlots:
    """The slots of a limit on the workers of a session, counted by Dask's scheduler.

    Args:
        run: the session's name: each session has its own slots.
        limit: the limit.

    Raises:
        InputError: this process is not a worker.
    """

    def __init__(self, run: str, limit: Limit) -> None:
        from distributed import get_worker

        try:
            self._worker = get_worker()
        except ValueError:
            raise InputError(
                f"limit={limit.name!r}: a task inside one with a time limit cannot wait for a limit; use the"
                " limit on the outer task"
            ) from None
        self._limit = limit
        self._name = slots_name(run, limit)

    def take(self, seconds: float) -> str:
        """Take a slot, as `Slots` does."""
        lease = uuid.uuid4().hex
        ask = {"name": self._name, "timeout": seconds, "lease_id": lease}
        try:
            granted = self._ask("semaphore_acquire", **ask)
        except RuntimeError:  # the scheduler does not know it yet, or is a new one
            count = self._limit.count
            self._ask("semaphore_register", name=self._name, max_leases=count, lease_timeout=_LEASE)
            granted = self._ask("semaphore_acquire", **ask)
        if not granted:
            return ""
        _leases.add(self._worker, self._name, lease)
        return lease

    def give_back(self, slot: str, began: float) -> None:
        """Give a slot back, as `Slots` does."""
        left = began + self._limit.seconds - time.monotonic()
        if left > 0:
            timer = threading.Timer(left, self._release, (slot,))
            timer.daemon = True
            timer.start()
        else:
            self._release(slot)

    def _release(self, lease: str) -> None:
        _leases.discard(self._name, lease)
        with contextlib.suppress(Exception):  # the scheduler is gone, and the slot with it
            self._ask("semaphore_release", name=self._name, lease_id=lease)

    def _ask(self, request: str, **given: Any) -> Any:
        return _ask(self._worker, request, **given)


def _ask(worker: Any, request: str, **given: Any) -> Any:
    from distributed.utils import sync

    async def ask() -> Any:
        return await getattr(worker.scheduler, request)(**given)

    return sync(worker.loop, ask)


class _Leases:
    """The leases that this worker holds; a thread renews them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, set[str]] = {}
        self._worker: Any = None

    def add(self, worker: Any, name: str, lease: str) -> None:
        with self._lock:
            self._held.setdefault(name, set()).add(lease)
            if self._worker is None:
                self._worker = worker
                threading.Thread(target=self._renew, name="lightwork-leases", daemon=True).start()

    def discard(self, name: str, lease: str) -> None:
        with self._lock:
            self._held.get(name, set()).discard(lease)

    def _renew(self) -> None:
        while True:
            time.sleep(_RENEW)
            with self._lock:
                held = {name: list(leases) for name, leases in self._held.items() if leases}
            for name, leases in held.items():
                with contextlib.suppress(Exception):
                    _ask(self._worker, "semaphore_refresh_leases", name=name, lease_ids=leases)


_leases = _Leases()


_of_worker: dict[str, WorkerSlots] = {}
"""The slots that this worker has used, by their names."""


def slots_on_worker(run: str, limit: Limit) -> WorkerSlots:
    """Return the slots of a session's limit, for a worker.

    Raises:
        InputError: this process is not a worker.
    """
    name = slots_name(run, limit)
    if name not in _of_worker:
        _of_worker[name] = WorkerSlots(run, limit)
    return _of_worker[name]


def limiter(job: Job, note: Callable[[float], object]) -> Limiter | None:
    """Return what takes a slot on a worker for each call of a job; None if its task has no limit.

    Args:
        job: the job.
        note: is called with the seconds that each call has waited.
    """
    if job.options.limit is None:
        return None
    limit = job.limits[job.options.limit]
    return Limiter(job.task, limit, slots_on_worker(job.context.get("run", ""), limit), note)


def limited(job: Job, call: Callable[[Any], Any], note: Callable[[float], object]) -> Callable[[Any], Any]:
    """Return the function of an element as a worker calls it: with a slot, if the task has a limit.

    Args:
        job: the job.
        call: the function without one.
        note: is called with the seconds that each call has waited.
    """
    taker = limiter(job, note)
    return call if taker is None else taker.call(call)


def check_limit(task: TaskFunction[..., Any], limits: Mapping[str, Limit]) -> None:
    """Check that a session has the limit of a task.

    Raises:
        InputError: it does not.
    """
    name = task.options.limit
    if name is not None and name not in limits:
        raise InputError(
            f"{task.name}: limit={name!r}: the session has no limit of this name{near(name, limits)};"
            f" expected connect(limits={{{name!r}: 4}}), LIGHTWORK_LIMITS={name}=4, or in a cluster `limits`"
            " in the tenant's file"
        )


def slots_name(run: str, limit: Limit) -> str:
    """Return the name under which Dask's scheduler counts the slots of a session's limit."""
    return f"lightwork-{run}-{limit.name}"
