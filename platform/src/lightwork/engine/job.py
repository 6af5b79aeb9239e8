"""Everything a worker needs for a map except its elements: sent once, and identified by content."""

from __future__ import annotations

import gc
import importlib.machinery
import pickle
import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lightwork.engine.proof import NOTHING, Proof, names_of, proof_of
from lightwork.errors import InputError, LightworkError
from lightwork.functions import pickling
from lightwork.functions.callables import modules_of
from lightwork.keys.reached.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import ModuleType

    from lightwork.engine.shared import Loan, Shared
    from lightwork.functions.decorated import TaskOptions
    from lightwork.functions.limits import Limit
    from lightwork.keys.reached.survey import Name
    from lightwork.lake import Lake

CURRENT: ContextVar[Job | None] = ContextVar("lightwork_job", default=None)
"""The job of the task that runs in this thread; None outside tasks."""

MARK = "lightwork-lake"
"""The marker file in the lake: by its content a worker recognizes the driver's lake."""

MARK_ANEW = "lightwork-lake-anew"
"""What the marker file is to hold where it was found damaged."""

_PARCELS_KEPT = 16
"""Parcels that a worker keeps, so that it unpacks each only once."""

INLINE_BYTES = 32 * 1024
"""A job up to this size is sent with each batch; a larger one is put in the lake and read once."""


@dataclass(slots=True)
class Job:
    """A task with the options and arguments of one map.

    Attributes:
        fn: the task's function.
        task: the task's name.
        options: the task's options.
        shared: arguments that are the same for every element, as they were when the map started.
        wide: whether an element is a tuple of several arguments.
        is_async: whether the function returns a coroutine.
        names: the names of the arguments at the end of an element; those before are positional.
        lake: the tenant's lake.
        code: the digest of the code key under which results are kept; None if they are not kept.
        context: fields that every log line of the run carries.
        forward: whether log lines are forwarded to the driver.
        generation: the generation of a map's results in the lake; a call has its own.
        limits: the session's limits by name.
    """

    fn: Callable[..., Any]
    task: str
    options: TaskOptions
    shared: Shared
    wide: bool
    lake: Lake
    code: str | None
    context: Mapping[str, str] = field(default_factory=dict)
    forward: bool = False
    generation: int = 0
    limits: Mapping[str, Limit] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    is_async: bool = False

    def call(self, loan: Loan | None = None) -> Callable[[Any], Any]:
        """Return the function of one element, with shared arguments of a loan, or with new ones."""
        fn = self.shared.bind(self.fn, loan)
        if names := self.names:
            if not self.wide:
                return lambda element: fn(**{names[0]: element})
            count = len(names)
            return lambda element: fn(*element[:-count], **dict(zip(names, element[-count:], strict=True)))
        if self.wide:
            return lambda element: fn(*element)
        return fn


def is_mark(text: str) -> bool:
    """Return whether a text is the content of a marker file."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A packed job: its bytes, or their path in the lake.

    Attributes:
        id: the digest of the bytes.
        data: the bytes; None if they are in the lake.
        lake: the tenant's lake.
        path: their path in it.
        proof: what a worker has to find by name as the driver has it.
        mark: the content of the lake's marker file.
        keeps: whether a worker looks results up in the lake, and keeps them there.
        forward: whether log lines are forwarded to the driver.
    """

    id: str
    data: bytes | None
    lake: Lake
    path: str
    proof: Proof = NOTHING
    mark: str = ""
    keeps: bool = True
    forward: bool = False
    _packed: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __reduce__(self) -> Any:
        # It goes along with each batch and each call, so it is packed and unpacked once.
        if not self._packed:
            values = self.id, self.data, self.lake, self.path, self.proof, self.mark, self.keeps, self.forward
            object.__setattr__(self, "_packed", pickle.dumps(values, protocol=5))
        return _unpacked, (self._packed,)

    @property
    def is_large(self) -> bool:
        """Whether it holds bytes that are put in the lake rather than sent."""
        return self.data is not None and len(self.data) > INLINE_BYTES

    def stored(self, mark: Callable[[], str]) -> Parcel:
        """Return the parcel, ready to send; put a large job in the lake.

        Args:
            mark: returns the content of the lake's marker file; called if a worker uses the lake.
        """
        data = self.data
        if data is not None and not (self.is_large or self.keeps):
            return self
        if data is not None and self.is_large:
            self.lake.write(self.path, data, durable=False)  # no run after this one needs it
            data = None
        return replace(self, data=data, mark=mark())


@lru_cache(maxsize=_PARCELS_KEPT)
def _unpacked(packed: bytes) -> Parcel:
    return Parcel(*pickle.loads(packed))


def pack(job: Job, folder: str, absent: Collection[Name] = ()) -> Parcel:
    """Pickle a job as it is now.

    Args:
        job: the job.
        folder: the folder in the lake for the run's jobs.
        absent: names that workers are known to lack, and need not have.

    Raises:
        InputError: the function or its shared arguments cannot be sent to another process.
    """
    names = set(job.shared.written)
    with by_value(job.fn):
        try:
            data = pickling.dump_code(job, names)
        except Exception as error:
            by_name = _dump_by_name(job, names)
            if by_name is None:
                raise InputError(
                    f"{job.task}: the function or its shared arguments cannot be sent to a worker: {error}"
                ) from error
            data = by_name
    code = survey(job.fn)
    kept = job.code is not None and job.options.version is None
    proof = proof_of(names_of(names, code) - set(absent), code.libraries if kept else ())
    name = _digest(data)
    path = f"{folder}/{name}.job"
    return Parcel(name, data, job.lake, path, proof, keeps=job.code is not None, forward=job.forward)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def unpack(parcel: Parcel) -> Job:
    """Return the job in a parcel.

    Raises:
        LightworkError: the bytes are not those that were packed, or are gone from the lake.
    """
    try:
        data = parcel.data if parcel.data is not None else parcel.lake.read(parcel.path)
    except FileNotFoundError:
        raise LightworkError(
            f"{parcel.path} is gone from the lake: the run has ended, or stood still for so long that it "
            "counted as ended; run again"
        ) from None
    if _digest(data) != parcel.id:
        raise LightworkError(f"{parcel.path} in the lake is damaged; run again")
    job: Job = pickle.loads(data)
    if pickling.SUBCLASSES.encode() in data:
        gc.collect()  # a class that is known already was made once more, and is a subclass until then
    return job


def _dump_by_name(job: Job, names: set[tuple[str, str]]) -> bytes | None:
    """Pickle a job with its function by name, for one that uses what cannot be pickled, such as a lock.

    Returns:
        The bytes; None if another process could not import the function.
    """
    try:
        module, qualname = job.fn.__module__, job.fn.__qualname__
        if module == "__main__" or not importable(module) or pickling.find(module, qualname) is not job.fn:
            return None
        with pickling.by_name():
            return pickling.dump_code(replace(job, fn=_Named(module, qualname)), names)
    except Exception:  # noqa: BLE001 - the caller reports the first error
        return None


class _Named:
    """A stand-in for a function, which unpickles as the function itself."""

    def __init__(self, module: str, qualname: str) -> None:
        self.name = module, qualname

    def __call__(self) -> None:
        """Do nothing: it is never called, since unpickling gives the function."""

    def by_name(self) -> tuple[str, str]:
        """Return the function's module and name."""
        return self.name

    def __reduce__(self) -> Any:
        return pickling.find, self.name


class by_value:  # noqa: N801 - reads as a statement
    """Pickle the modules that define a callable by value, if other processes could not import them."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        import cloudpickle

        known = cloudpickle.list_registry_pickle_by_value()
        self.modules: list[ModuleType] = [
            sys.modules[name]
            for name in sorted(modules_of(fn))
            if name in sys.modules and name != "__main__" and name not in known and not importable(name)
        ]

    def __enter__(self) -> None:
        import cloudpickle

        for module in self.modules:
            cloudpickle.register_pickle_by_value(module)

    def __exit__(self, *_: object) -> None:
        import cloudpickle

        for module in self.modules:
            cloudpickle.unregister_pickle_by_value(module)


def importable(name: str) -> bool:
    """Return whether a new process with the same path could import this module."""
    path: Any = None
    parts = name.split(".")
    for depth in range(len(parts)):
        try:
            spec = None
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = find(".".join(parts[: depth + 1]), path) if find else None
                if spec is not None:
                    break
        except (ImportError, ValueError, AttributeError):
            return False
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return isinstance(spec, importlib.machinery.ModuleSpec)
