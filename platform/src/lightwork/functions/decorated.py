"""The objects that the decorators return: a pipeline, and the base of a task that keys and workers use."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, get_args

from lightwork.errors import InputError, LightworkError, public
from lightwork.functions.pickling import is_held, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

OnError = Literal["raise", "skip", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options of a task; `task` explains each."""

    cache: bool = True
    version: str | None = None
    ignore: tuple[str, ...] = ()
    retries: int = 0
    retry_delay: float = 0.5
    on_error: OnError = "raise"
    batch: int | None = None


class TaskFunction(Generic[P, R]):
    """A function with the options of a task, as keys and workers use it.

    Attributes:
        fn: the function as written.
        name: `module.qualname`, under which the lake keeps its results.
        options: how it runs.
    """

    def __init__(self, fn: Callable[P, R], options: TaskOptions) -> None:
        if not callable(fn) or not hasattr(fn, "__qualname__"):
            kind = type(fn).__name__
            raise InputError(
                f"@task: expected a function, got {kind}; write a function with def that calls it"
            )
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.options = options
        self.name = f"{fn.__module__}.{fn.__qualname__}".replace("<locals>.", "")
        _check(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # A method bound to this instance can be called, mapped and submitted like any task.
        if instance is None:
            return self
        options, method = self.options, types.MethodType(self.fn, instance)
        if options.ignore:  # a bound method has no parameter for the instance
            names = inspect.signature(method).parameters
            options = dataclasses.replace(options, ignore=tuple(n for n in options.ignore if n in names))
        return type(self)(method, options)

    def by_name(self) -> tuple[str, str] | None:
        """Return the module and name under which the task is pickled; None if it goes by value."""
        return (self.fn.__module__, self.fn.__qualname__) if _importable(self) else None

    def __reduce__(self) -> Any:
        # Like a function: by name if the name leads back to this task, otherwise by value.
        if _importable(self):
            return _named, (self.fn.__module__, self.fn.__qualname__)
        return type(self), (self.fn, self.options)

    def __repr__(self) -> str:
        return f"<task {self.name}>"


def _check(task: TaskFunction[Any, Any]) -> None:
    """Refuse wrong options, where the decorator is applied."""
    fn, options, where = task.fn, task.options, f"@task on {task.name}"
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InputError(f"{where}: a generator or coroutine cannot be a task; return the values instead")
    if options.on_error not in get_args(OnError):
        raise InputError(
            f"{where}: on_error={options.on_error!r}; expected one of {', '.join(get_args(OnError))}"
        )
    if not isinstance(options.retries, int) or options.retries < 0:
        raise InputError(f"{where}: retries={options.retries!r}; expected a whole number, 0 or more")
    if options.retry_delay < 0:
        raise InputError(f"{where}: retry_delay={options.retry_delay!r}; expected seconds, 0 or more")
    if options.batch is not None and (not isinstance(options.batch, int) or options.batch < 1):
        raise InputError(f"{where}: batch={options.batch!r}; expected a whole number of elements, 1 or more")
    unknown = [name for name in options.ignore if name not in inspect.signature(fn).parameters]
    if unknown:
        raise InputError(f"{where}: ignore names {unknown[0]!r}, which is not one of its parameters")


def _importable(task: TaskFunction[Any, Any]) -> bool:
    module = task.fn.__module__
    if module == "__main__" or is_held(module):
        return False
    return _find(module, task.fn.__qualname__) is task


def _named(module: str, qualname: str) -> Any:
    """Return a task by its name, for the unpickler; pickles in lakes hold the name of this function.

    Raises:
        LightworkError: its module is not installed here.
    """
    task = _find(module, qualname)
    if task is None:
        raise LightworkError(f"no task {module}.{qualname} in this process; install its module")
    return task


def _find(module: str, qualname: str) -> Any:
    import importlib

    try:
        return resolve(importlib.import_module(module), qualname)
    except (ImportError, AttributeError):
        return None


@public
class Pipeline(Generic[P, R]):
    """A pipeline: a call runs the function directly, `lightwork run NAME` runs it in a session.

    Attributes:
        fn: the function as written.
        name: its name on the command line and in the cluster; `windy_city` becomes `windy-city`.
        module: the module that defines it.
        doc: its docstring, dedented; empty if it has none.
        signature: its signature, with annotations evaluated.
    """

    def __init__(self, fn: Callable[P, R], name: str | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = name or fn.__name__.replace("_", "-")
        self.module = fn.__module__
        self.doc = inspect.getdoc(fn) or ""

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The signature, with annotations that are strings evaluated."""
        return inspect.signature(self.fn, eval_str=True)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name} ({self.module})>"


@public
def pipeline(fn: Callable[P, R]) -> Pipeline[P, R]:
    """Make a function a pipeline; each parameter needs a type, which the command line checks.

    >>> from lightwork import pipeline
    >>> @pipeline
    ... def windy_city(hours: int = 24) -> int:
    ...     return hours * 60
    >>> windy_city.name
    'windy-city'
    >>> windy_city(hours=2)
    120
    """
    return Pipeline(fn)
