"""The `task` decorator: a plain function that can also be mapped over many inputs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, get_args, overload

from lightwork.errors import InputError, LightworkError
from lightwork.pickling import is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lightwork.futures import Future
    from lightwork.results import Results

P = ParamSpec("P")
R = TypeVar("R")

OnError = Literal["raise", "skip", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task is run; see `task` for what each field means."""

    cache: bool = True
    version: str | None = None
    ignore: tuple[str, ...] = ()
    retries: int = 0
    retry_delay: float = 0.5
    on_error: OnError = "raise"
    batch: int | None = None


class Task(Generic[P, R]):
    """A task: calling it calls the function, here and now, uncached; `map` and `submit` use the session.

    Attributes:
        fn: the function as written.
        name: `module.qualname`, which also names its results in the lake.
        options: how it is run.
    """

    def __init__(self, fn: Callable[P, R], options: TaskOptions) -> None:
        if not callable(fn) or not hasattr(fn, "__qualname__"):
            kind = type(fn).__name__
            raise InputError(
                f"@task: expected a function, got {kind}; write a function that calls it with def"
            )
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.options = options
        self.name = f"{fn.__module__}.{fn.__qualname__}".replace("<locals>.", "")
        _check(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def map(self, *iterables: Iterable[Any], shared: Mapping[str, Any] | None = None) -> Results[R]:
        """Call the task once for each element of the input, over the session's workers.

        Lazy: nothing runs before the results are iterated, and the input is read as it is needed.

        Args:
            iterables: one per positional parameter, as with the builtin `map`; the shortest ends it.
            shared: arguments that are the same for every element, by name; sent once to each worker.

        Returns:
            Results, which iterate in the order of the input as elements finish.

        Raises:
            InputError: no iterable, one that isn't iterable, or arguments that do not fit the function.
        """
        from lightwork.session import active_session

        return active_session().map(self, iterables, shared or {})

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Start one call on the session's workers; arguments may be futures of other calls.

        Raises:
            InputError: arguments that do not fit the function.
        """
        from lightwork.session import active_session

        return active_session().submit(self, args, kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # A method of this instance: it too can be called, mapped and submitted.
        if instance is None:
            return self
        options, method = self.options, types.MethodType(self.fn, instance)
        if options.ignore:  # the instance is no parameter of the method
            names = inspect.signature(method).parameters
            options = dataclasses.replace(options, ignore=tuple(n for n in options.ignore if n in names))
        return Task(method, options)

    def __reduce__(self) -> Any:
        # By name where the name leads back here, as for functions; otherwise by value.
        if _importable(self):
            return _named, (self.fn.__module__, self.fn.__qualname__)
        return Task, (self.fn, self.options)

    def __repr__(self) -> str:
        return f"<task {self.name}>"


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    cache: bool = True,
    version: str | None = None,
    ignore: Iterable[str] = (),
    retries: int = 0,
    retry_delay: float = 0.5,
    on_error: OnError = "raise",
    batch: int | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make a function a task; it stays a plain function when called directly.

    Args:
        fn: the function.
        cache: keep each result in the lake, and skip what is there already.
        version: a text that stands for the code: results are kept under it whatever the code does, and
            a new one forgets them. Without it the key follows the code itself.
        ignore: names of parameters that do not change the result, left out of its key.
        retries: how often an element that raised is tried again.
        retry_delay: seconds before the first retry; doubled for each further one, 60 at most.
        on_error: what a map does when an element has failed for good: `raise` stops early and keeps what
            is done, `skip` leaves the element out, `collect` yields an `ElementError` in its place.
        batch: elements in a batch; by default the measured duration decides.

    Raises:
        InputError: an option that cannot be.
    """
    if "ignore" in options:
        ignore = options["ignore"]
        options["ignore"] = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    try:
        chosen = TaskOptions(**options)
    except TypeError as error:
        from lightwork.suggest import near

        unknown = next(o for o in options if o not in TaskOptions.__dataclass_fields__)
        allowed = sorted(TaskOptions.__dataclass_fields__)
        raise InputError(f"@task: there is no option {unknown!r}{near(unknown, allowed)}") from error

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return Task(function, chosen)

    return decorate if fn is None else decorate(fn)


def _check(task: Task[Any, Any]) -> None:
    """Refuse what cannot be run, where it is written."""
    fn, options, where = task.fn, task.options, f"@task on {task.name}"
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InputError(f"{where}: a generator or coroutine cannot be a task; return the values instead")
    if options.on_error not in get_args(OnError):
        raise InputError(
            f"{where}: on_error={options.on_error!r}; it is one of {', '.join(get_args(OnError))}"
        )
    if not isinstance(options.retries, int) or options.retries < 0:
        raise InputError(f"{where}: retries={options.retries!r}; it is a whole number, 0 or more")
    if options.retry_delay < 0:
        raise InputError(f"{where}: retry_delay={options.retry_delay!r}; it is in seconds, 0 or more")
    if options.batch is not None and (not isinstance(options.batch, int) or options.batch < 1):
        raise InputError(f"{where}: batch={options.batch!r}; it is a whole number of elements, 1 or more")
    unknown = [name for name in options.ignore if name not in inspect.signature(fn).parameters]
    if unknown:
        raise InputError(f"{where}: ignore names {unknown[0]!r}, which is not one of its parameters")


def _importable(task: Task[Any, Any]) -> bool:
    module = task.fn.__module__
    if module == "__main__" or is_held(module):
        return False
    return _find(module, task.fn.__qualname__) is task


def _named(module: str, qualname: str) -> Any:
    found = _find(module, qualname)
    if found is None:
        raise LightworkError(f"there is no task {module}.{qualname} here; its module is not installed")
    return found


def _find(module: str, qualname: str) -> Any:
    import importlib

    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found
