"""The `task` decorator: a plain function that can also be mapped over many inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from lightwork.errors import InputError, near, public
from lightwork.functions.decorated import OnError, TaskFunction, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lightwork.engine.calls import Future
    from lightwork.engine.mapping import Results

P = ParamSpec("P")
R = TypeVar("R")


@public
class Task(TaskFunction[P, R]):
    """A task: calling it calls the function, here and now, uncached; `map` and `submit` use the session.

    Attributes:
        fn: the function as written.
        name: `module.qualname`, which also names its results in the lake.
        options: how it is run.
    """

    def map(self, *iterables: Iterable[Any], shared: Mapping[str, Any] | None = None) -> Results[R]:
        """Call the task once for each element of the input, over the session's workers.

        Lazy: nothing runs before the results are iterated, and the input is read as it is needed.

        >>> from lightwork import connect, task
        >>> @task
        ... def power(x: int, n: int) -> int:
        ...     return x**n
        >>> with connect("serial"):
        ...     list(power.map(range(4), shared={"n": 2}))
        [0, 1, 4, 9]

        Args:
            iterables: one per positional parameter, as with the builtin `map`; the shortest ends it.
            shared: arguments that are the same for every element, by name; sent once to each worker.

        Returns:
            Results, which iterate in the order of the input as elements finish.

        Raises:
            InputError: no iterable, one that isn't iterable, or arguments that do not fit the function.
        """
        from lightwork.runs.session import active_session

        return active_session().map(self, iterables, shared or {})

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Start one call on the session's workers; arguments may be futures of other calls.

        >>> from lightwork import connect, task
        >>> @task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> with connect("serial"):
        ...     four = double.submit(2)
        ...     double.submit(four).result()
        8

        Raises:
            InputError: arguments that do not fit the function.
        """
        from lightwork.runs.session import active_session

        return active_session().submit(self, args, kwargs)


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

    >>> from lightwork import task
    >>> @task(retries=2)
    ... def square(number: int) -> int:
    ...     return number * number
    >>> square(3)
    9

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
        unknown = next(o for o in options if o not in TaskOptions.__dataclass_fields__)
        allowed = sorted(TaskOptions.__dataclass_fields__)
        raise InputError(f"@task: there is no option {unknown!r}{near(unknown, allowed)}") from error

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return Task(function, chosen)

    return decorate if fn is None else decorate(fn)


public(task)
