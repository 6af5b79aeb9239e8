"""Functions that run on a worker: a batch comes in as one bytes object, and its results go out as one.

A worker commits results to the lake before it returns them, so that a finished batch stays finished whatever
happens to the worker, the scheduler or the driver.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import pickle
import socket
import sys
import threading
import time
from bdb import BdbQuit
from collections import OrderedDict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lightwork import logs
from lightwork.engine.causes import Sent, receive, send
from lightwork.engine.compute import Failure, shorten, trace
from lightwork.engine.computing import compute_batch, compute_call
from lightwork.engine.job import CURRENT, MARK, Job, Parcel, unpack
from lightwork.engine.proof import Changes, Different, changes_line, check, extended
from lightwork.errors import ElementError, LakeAway, LightworkError, one_line
from lightwork.functions.frozen import (
    Frozen,
    Unfreezable,
    freeze_input,
    freeze_or_keep,
    open_argument,
)
from lightwork.functions.pickling import dump, noting
from lightwork.functions.raised import describe
from lightwork.lake.patience import hurried
from lightwork.store import segments
from lightwork.store.groups import Group, Groups, at_exit
from lightwork.store.results import MISSING, CodeResults, expired_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lightwork.engine.proof import Proof
    from lightwork.functions.mapped import Place
    from lightwork.keys import CodeKey

NO_KEY = bytes(segments.KEY_BYTES)
"""Stands for the key of an element that has none."""
_JOBS_KEPT = 4
_REFRESH_EVERY = 1.0
"""Seconds after which a call looks again for new results in the lake."""
_WARNINGS_KEPT = 1000
_LARGE_REPLY = 8 << 20
"""Bytes of results above which the driver reads them from the lake."""

_jobs: OrderedDict[str, Job] = OrderedDict()
_changes: dict[str, Changes] = {}
"""What the runs of the jobs above have changed, for those whose results are kept."""
_jobs_lock = threading.Lock()
_running: set[_Partial] = set()
"""The batches that run in this process."""


@dataclass(slots=True)
class Reply:
    """A worker's reply to a batch.

    Attributes:
        done: the number of elements tried: all of the batch, or the first ones.
        blocks: the results of those that succeeded, in order, as made by `segments.to_blocks`; None if they
            are so large that the driver reads them from the segment.
        failures: the elements that failed for good.
        seconds: the time that the function took for all of them.
        path: the path of the segment in the lake that holds the results; empty if there is none.
        warning: a problem that did not affect the results; usually empty.
        changed: names of values that the function reads and that its runs have changed; usually empty.
        unkept: the number of results that the lake has refused; usually 0.
        refusal: why it has; usually empty.
        retried: the number of elements that were tried more than once.
        waited: the seconds that elements have waited for the task's limit.
        worker: the name of the worker, among those of the run.
        begun: when the batch began, by the worker's clock (Unix seconds).
    """

    done: int
    blocks: list[tuple[int, bytes]] | None
    failures: list[Failure]
    seconds: float
    path: str = ""
    warning: str = ""
    changed: tuple[str, ...] = ()
    unkept: int = 0
    refusal: str = ""
    retried: int = 0
    waited: float = 0.0
    worker: str = ""
    begun: float = 0.0

    def __reduce__(self) -> Any:
        # Most have nothing to say but their results, and there is one for each batch.
        first = self.done, self.blocks, self.failures, self.seconds
        told = self.path, self.warning, self.changed, self.unkept, self.refusal, self.retried, self.waited
        return Reply, first + told if any(told) else first


def pack_batch(parcel: Parcel, elements: Sequence[Any], keys: bytes | None, budget: float) -> bytes:
    """Pickle a batch into one bytes object, which is opaque to Dask.

    Args:
        parcel: the map's job.
        elements: the inputs, each of them plain or `Frozen`.
        keys: 16 bytes for each element, joined, all zero for one without a stable key; None if nothing is
            kept.
        budget: seconds after which the worker returns the rest.
    """
    return pickle.dumps((parcel, elements, keys, budget), protocol=5)


def run_batch(payload: bytes) -> bytes:
    """Compute a batch on a worker; return a pickled `Reply`, or a `Difference` if it has other code."""
    parcel, elements, keys, budget = pickle.loads(payload)
    if (difference := check(parcel.proof)) is not None:
        return pickle.dumps(difference, protocol=5)
    job = _job(parcel)
    begun = time.time()
    with _inside(job), _Partial(job, elements, keys) as partial:
        try:
            done, notes = compute_batch(job, parcel, elements, budget, partial.values, _forward)
        except Different as error:  # a process apart imports what this one has imported long ago
            return pickle.dumps(error.difference, protocol=5)
        reply = _reply(job, elements, keys, done.values, done.failures, done.seconds)
        reply.warning = reply.warning or notes.warning
        reply.changed = tuple(notes.names) or _changed(parcel)
        reply.waited = notes.waited
        reply.retried = done.retried
        reply.worker, reply.begun = _place(), begun
        return pickle.dumps(reply, protocol=5)


class _Partial:
    """A batch that runs, and what is computed of it so far.

    Attributes:
        values: the results and failures so far, in order.
    """

    def __init__(self, job: Job, elements: Sequence[Any], keys: bytes | None) -> None:
        self._job = job
        self._elements = elements
        self._keys = keys
        self.values: list[Any] = []

    def __enter__(self) -> _Partial:
        _running.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _running.discard(self)

    def commit(self) -> None:
        """Commit what is computed so far to the lake."""
        values = list(self.values)
        failures = [value for value in values if type(value) is Failure]
        if self._keys is not None and len(values) > len(failures):
            _reply(self._job, self._elements, self._keys, values, failures, 0.0)


def commit_running() -> str:
    """Commit what is computed so far of the batches that run in this process, before it is killed.

    A batch that ends meanwhile commits the same results once more. A lake that is away is not waited for.

    Returns:
        What to tell the user: results that could not be kept; usually empty.
    """
    for partial in list(_running):
        try:
            with hurried():
                partial.commit()
        except LakeAway as error:
            return f"results were computed but not kept in the lake: {one_line(error)}"
    try:
        with hurried():
            _calls.commit()
    except LakeAway as error:
        return f"results were computed but not kept in the lake: {one_line(error)}"
    return ""


def _reply(
    job: Job,
    elements: Sequence[Any],
    keys: bytes | None,
    values: list[Any],
    failures: list[Failure],
    seconds: float,
) -> Reply:
    tried = len(values)
    if Unfreezable in set(map(type, values)):
        for position, value in enumerate(values):
            if type(value) is Unfreezable:
                values[position] = unsendable(position, elements[position], value)
        failures = [value for value in values if type(value) is Failure]
    blocks = segments.to_blocks([value for value in values if type(value) is not Failure])
    for failure in failures:
        if type(failure.exception) is not Sent:
            failure.exception = send(failure.exception)
    reply = Reply(tried, blocks, failures, seconds)
    if keys is None or job.code is None or tried == len(failures):
        return reply
    failed = {failure.position for failure in failures}
    size = segments.KEY_BYTES
    kept = [i for i in range(tried) if i not in failed and keys[i * size : (i + 1) * size] != NO_KEY]
    if len(kept) == tried:
        reply.path, reply.refusal = _commit(job, keys[: tried * size], blocks, job.generation)
    elif kept:
        kept_keys = b"".join(keys[i * size : (i + 1) * size] for i in kept)
        kept_blocks = segments.to_blocks([values[i] for i in kept])
        reply.path, reply.refusal = _commit(job, kept_keys, kept_blocks, job.generation)
    reply.unkept = len(kept) if reply.refusal else 0
    if (
        len(kept) == tried
        and reply.path
        and sum(len(data) for _, data in blocks) > _LARGE_REPLY
        and not failures
    ):
        reply.blocks = None
    return reply


def unsendable(position: int, element: Any, result: Unfreezable) -> Failure:
    """Return the failure of an element whose result cannot be pickled."""
    text = f"a result of type {result.kind} cannot be sent to the driver: {describe(result.error)}"
    return Failure(position, shorten(element), text, "", None, 1)


def unloadable(position: int, element: str, result: Unfreezable) -> Failure:
    """Return the failure of an element whose result cannot be loaded in the driver."""
    text = f"its result cannot be loaded here: {describe(result.error)}"
    return Failure(position, element, text, "", result.error, 1)


def _commit(
    job: Job, keys: bytes, blocks: list[tuple[int, bytes]], generation: int | list[tuple[int, int]] = 0
) -> tuple[str, str]:
    """Commit results to the lake; go on without keeping them if it refuses.

    Args:
        job: the job that computed them.
        keys: their keys, joined.
        blocks: the results.
        generation: their generation, or numbers of consecutive ones and their generation.

    Returns:
        The path of the segment, empty if nothing was kept; and why the lake refuses, empty if all is well.

    Raises:
        LakeAway: the lake stayed away.
    """
    try:
        return CodeResults(job.lake, job.task, job.code or "").commit(keys, blocks, generation), ""
    except LakeAway:
        raise
    except (LightworkError, OSError) as error:
        return "", one_line(error) or type(error).__name__


def _sent_error(job: Job, failure: Failure) -> ElementError:
    """Return the error of a failed call for Dask to send: its cause is attached in a form that travels."""
    cause = failure.exception
    failure.exception = None
    error = as_error(job.task, None, failure)
    error.sent = cause if type(cause) is Sent else send(cause)  # type: ignore[attr-defined]
    return error


def received_error(error: ElementError) -> ElementError:
    """Return the error of a failed call with its cause, as the worker attached it."""
    sent = error.__dict__.pop("sent", None)
    if sent is not None:
        error.__cause__ = receive(sent)
    return error


def run_call(payload: bytes, *arguments: Any) -> Any:
    """Run one submitted call on a worker.

    Args:
        payload: the call as `Call.pack` made it.
        arguments: results of other calls, which replace the `Slot`s in the payload.

    Returns:
        The result, if it is plain, else `Frozen`: Dask hands the same object to several calls.

    Raises:
        ElementError: the call failed for good.
        Different: this worker has other code than the driver; nothing has run.
    """
    call = Call.unpack(payload)
    data, code = call.data, call.code
    if (difference := check(call.proof)) is not None:
        raise Different(difference)
    job = _job(call.parcel)
    with _inside(job):
        try:
            first = fill(open_argument(data), arguments)
        except BaseException as error:  # noqa: BLE001 - unpickling runs code of the arguments' classes
            text = f"an argument cannot be loaded by a worker: {describe(error)}"
            raise _sent_error(job, Failure(0, "arguments not loaded", text, trace(error), error, 1)) from None
        key = call.key
        if key is None and job.code is not None and code is not None:
            key = _call_key(job, code, *first)
            if key is not None and not call.refresh:
                cached = _look_up(job, key)
                if cached is not MISSING:
                    return freeze_or_keep(cached)
        renew: Callable[[], Any] = lambda: fill(open_argument(data), arguments)  # noqa: E731
        done, notes = compute_call(job, call.parcel, (data, arguments), first, renew, _forward)
        if changed := tuple(notes.names) or _changed(call.parcel):
            logs.get_logger("lightwork").warning(changes_line(job.task, changed))
        value = done.values[0]
        if type(value) is Unfreezable:
            value = unsendable(0, first, value)
        if type(value) is Failure:
            raise _sent_error(job, value)
        if key is not None:
            _calls.add((job.lake, job.task, job.code), job, key, value, call.generation)
        return Retried(value) if done.retried else value


@dataclass(frozen=True, slots=True)
class Retried:
    """The result of a call that was tried more than once."""

    value: Any


def _commit_group(group: Group[Job]) -> None:
    """Commit the results of some calls; if the lake refuses, warn and go on without keeping them."""
    with _inside(group.about):
        job = group.about
        _, refusal = _commit(job, *group.parts())
        if refusal:
            text = f"{job.task}: results were computed but not kept in the lake: {refusal}"
            _warn_once(job, "lake", text)


_calls = Groups(_commit_group)
"""The results of calls that this process has still to commit."""
at_exit(_calls.commit)


async def commit_calls() -> str:
    """Commit the results of calls that this worker has returned.

    Returns:
        What to tell the user: results that are not kept yet; usually empty.
    """
    try:
        await asyncio.to_thread(_calls.commit)
    except LakeAway as error:
        return f"results were computed but not kept in the lake: {one_line(error)}"
    return ""


@dataclass(slots=True)
class _View:
    """Results in the lake, as one run's calls on this worker see them."""

    results: CodeResults
    refreshed: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)


_views: OrderedDict[tuple[Any, ...], _View] = OrderedDict()


def _look_up(job: Job, key: bytes) -> Any:
    """Return a call's result from the lake, as it was a second ago at most; `MISSING` if there is none."""
    value = _calls.find((job.lake, job.task, job.code), key)
    if value is not MISSING:
        return value
    name = (job.context.get("run", ""), job.lake, job.task, job.code)
    with _jobs_lock:
        view = _views.pop(name, None) or _View(CodeResults(job.lake, job.task, job.code or ""))
        _views[name] = view
        while len(_views) > _JOBS_KEPT:
            _views.popitem(last=False)
    with view.lock:
        if time.monotonic() - view.refreshed > _REFRESH_EVERY:
            view.results.refresh()
            view.refreshed = time.monotonic()
        return view.results.lookup([key], expired_before(job.options.lifetime))[0]


def _call_key(job: Job, code: CodeKey, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
    from lightwork.keys import Unkeyable, call_key

    try:
        return call_key(job.fn, code, args, kwargs, job.options.ignore)
    except Unkeyable as error:
        _warn_once(job, "arguments", f"this call is not cached: {error}")
        return None


_warned: OrderedDict[tuple[str, str, str], None] = OrderedDict()
"""The run, task and kind of warnings about single calls that this process has logged."""


def _warn_once(job: Job, kind: str, message: str) -> None:
    """Log a warning about a single call, unless this worker logged one of its kind in the run."""
    key = (job.context.get("run", ""), job.task, kind)
    if key not in _warned:
        logs.get_logger("lightwork").warning(message)
    _warned[key] = None
    while len(_warned) > _WARNINGS_KEPT:
        _warned.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder in a call's arguments for the result of another call."""

    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """A submitted call, as it is sent.

    Attributes:
        parcel: the job of the task, whose proof has what the arguments name too.
        data: the arguments, positional and by keyword.
        code: the task's code key; None if the result is not kept.
        key: the call's key, if it does not depend on other calls.
        refresh: compute the call even if the lake has its result.
        generation: the generation of its result in the lake.
    """

    parcel: Parcel
    data: Frozen
    code: CodeKey | None
    key: bytes | None
    refresh: bool
    generation: int

    @classmethod
    def of(
        cls,
        parcel: Parcel,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        code: CodeKey | None,
        key: bytes | None,
        refresh: bool,
        place: Place | None,
        generation: int = 0,
    ) -> Call:
        """Return a call with its arguments frozen, large ones at a place where workers map them."""
        names: set[tuple[str, str]] = set()
        with noting(names):
            data = freeze_input(arguments, place)
            if type(data) is not Frozen:
                data = Frozen(dump(arguments))  # raises what is wrong with them
        if names:
            parcel = replace(parcel, proof=extended(parcel.proof, names))
        return cls(parcel, data, code, key, refresh, generation)

    def again(
        self, parcel: Parcel, arguments: tuple[tuple[Any, ...], dict[str, Any]], place: Place | None
    ) -> Call:
        """Return the call with another job, its arguments pickled anew."""
        return Call.of(parcel, arguments, self.code, self.key, self.refresh, place, self.generation)

    @property
    def proof(self) -> Proof:
        """What a worker has to find by name as the driver has it."""
        return self.parcel.proof

    def pack(self) -> bytes:
        """Pickle the call into one bytes object, which is opaque to Dask."""
        return pickle.dumps(self, protocol=5)

    @staticmethod
    def unpack(payload: bytes) -> Call:
        """Return the call that `pack` made."""
        call: Call = pickle.loads(payload)
        return call


def fill(value: Any, arguments: Sequence[Any]) -> Any:
    """Replace the slots in a value with arguments, also inside lists, tuples and dicts.

    What is `Frozen` becomes a new object for each slot.
    """
    if type(value) is Slot:
        argument = arguments[value.number]
        return open_argument(argument.value if type(argument) is Retried else argument)
    if type(value) in (list, tuple):
        return type(value)(fill(item, arguments) for item in value)
    if type(value) is dict:
        return {key: fill(item, arguments) for key, item in value.items()}
    return value


def as_error(task: str, index: int | None, failure: Failure) -> ElementError:
    """Return the error that the user sees for a failed element."""
    error = ElementError(task, index, failure.input, failure.error, failure.traceback, failure.attempts)
    sent = failure.exception
    # Not `isinstance`, which asks the exception for its class.
    error.__cause__ = receive(sent) if type(sent) is Sent else sent
    return error


def _job(parcel: Parcel) -> Job:
    _allow_processes()
    logs.configure(forward=_forward if parcel.forward else None)  # first: it may have to wait for the lake
    with _jobs_lock:
        if parcel.id in _jobs:
            _jobs.move_to_end(parcel.id)
            return _jobs[parcel.id]
        job = _unpack_checked(parcel)
        _jobs[parcel.id] = job
        small = parcel.data is not None  # a look at much data takes long
        if small and (job.code is not None or parcel.proof.names):
            _changes[parcel.id] = Changes(job.fn, parcel.proof)
        while len(_jobs) > _JOBS_KEPT:
            old, _ = _jobs.popitem(last=False)
            _changes.pop(old, None)
        return job


@lru_cache(maxsize=1)
def _allow_processes() -> None:
    """Let tasks start processes of `multiprocessing`, which refuses them in Dask's workers: they are daemons.

    Whatever a task leaves behind ends with the worker, or soon after it.
    """
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001
    config["daemon"] = False


def _changed(parcel: Parcel) -> tuple[str, ...]:
    """Return what a job's runs have changed of the values that it reads."""
    with _jobs_lock:
        changes = _changes.get(parcel.id)
        return () if changes is None else tuple(changes.after_run())


def _unpack_checked(parcel: Parcel) -> Job:
    """Unpack a job, and check that this worker sees the driver's lake.

    Raises:
        LightworkError: it sees another one.
    """
    job = None if parcel.data is None else unpack(parcel)
    if job is not None and job.code is None:
        return job  # it does not use the lake
    try:
        mark = parcel.lake.read(MARK).decode(errors="replace")
    except FileNotFoundError:
        mark = ""
    if job is None and mark:
        job = unpack(parcel)
    if job is None or not mark or mark != parcel.mark:
        raise LightworkError(
            f"the workers cannot reach the driver's lake {parcel.lake.root}; "
            "choose a lake that both can reach, such as s3://bucket/prefix"
        )
    return job


@contextmanager
def _inside(job: Job) -> Iterator[None]:
    """Set the logging context and the current job while a task runs on a worker."""
    if sys.breakpointhook is sys.__breakpointhook__:
        sys.breakpointhook = _breakpoint
    with ExitStack() as stack:
        stack.enter_context(logs.context(**job.context, task=job.task, attempt=1, worker=_worker_name()))
        token = CURRENT.set(job)
        stack.callback(CURRENT.reset, token)
        try:
            yield
        except BdbQuit:
            raise LightworkError(
                f"{job.task}: a debugger needs a terminal, which a worker does not have; use --on serial, "
                "in a script connect(on='serial')"
            ) from None


def _breakpoint(*args: Any, **kwargs: Any) -> Any:
    """Stand in for `breakpoint()`: quit the debugger at once in a worker, which has no terminal."""
    if CURRENT.get() is None or os.environ.get("PYTHONBREAKPOINT", "") not in ("", "pdb.set_trace"):
        return sys.__breakpointhook__(*args, **kwargs)  # noqa: T100 - asked for by the caller
    raise BdbQuit


@lru_cache(maxsize=1)
def _worker_name() -> str:
    return str(os.getpid())


@lru_cache(maxsize=1)
def _place() -> str:
    """Return what tells this worker from the others of its run: its pod, or its host and process."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}/{os.getpid()}"


_forwards: list[Callable[[str], object]] = []
"""What forwards log lines in place of Dask's worker, in a process that has none."""


def _forward(line: str) -> None:
    if _forwards:
        _forwards[0](line)
        return
    from distributed import get_worker

    get_worker().log_event(logs.TOPIC, line)


# For the process of calls with a time limit, in which there is no worker of Dask's.


def forward_to(forward: Callable[[str], object]) -> None:
    """Forward log lines in this way from now on."""
    _forwards[:] = [forward]


def unpacked(parcel: Parcel) -> Job:
    """Return the job in a parcel, unpacked once."""
    return _job(parcel)


@contextmanager
def inside(parcel: Parcel) -> Iterator[Job]:
    """Set the logging context and the current job while its function runs."""
    job = _job(parcel)
    with _inside(job):
        yield job


def changed_by(parcel: Parcel) -> tuple[str, ...]:
    """Return what a job's runs have changed of the values that it reads, in this process."""
    return _changed(parcel)
