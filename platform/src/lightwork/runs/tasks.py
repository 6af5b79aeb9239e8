"""The `task` decorator: turns a plain function into one that can be mapped over many inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, overload

from lightwork.errors import public
from lightwork.functions.decorated import TaskFunction
from lightwork.functions.options import Options, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from lightwork.engine.calls import Future, Later
    from lightwork.engine.mapping import Results

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@public
class Task(TaskFunction[P, R]):
    """A task: calling it calls the function directly, uncached; `map` and `submit` use the session.

    Attributes:
        fn: the function as written.
        name: `module.qualname`, also the name of its results in the lake.
        options: the options given to the decorator.
    """

    @overload  # a task of an async function
    def map(  # type: ignore[misc]
        self: Callable[..., Coroutine[Any, Any, A]],
        *iterables: Iterable[Any],
        shared: Mapping[str, Any] | None = None,
        **keywords: Iterable[Any],
    ) -> Results[A]: ...
    @overload
    def map(
        self: Callable[Concatenate[A, ...], R],
        first: Iterable[A],
        /,
        *,
        shared: Mapping[str, Any] | None = None,
        **keywords: Iterable[Any],
    ) -> Results[R]: ...
    @overload
    def map(
        self: Callable[Concatenate[A, B, ...], R],
        first: Iterable[A],
        second: Iterable[B],
        /,
        *,
        shared: Mapping[str, Any] | None = None,
        **keywords: Iterable[Any],
    ) -> Results[R]: ...
    @overload
    def map(
        self: Callable[Concatenate[A, B, C, ...], R],
        first: Iterable[A],
        second: Iterable[B],
        third: Iterable[C],
        /,
        *more: Iterable[Any],
        shared: Mapping[str, Any] | None = None,
        **keywords: Iterable[Any],
    ) -> Results[R]: ...
    @overload
    def map(self, *, shared: Mapping[str, Any] | None = None, **keywords: Iterable[Any]) -> Results[R]: ...
    def map(  # type: ignore[misc]  # what the first argument of an overload is called does not matter
        self,
        *iterables: Iterable[Any],
        shared: Mapping[str, Any] | None = None,
        **keywords: Iterable[Any],
    ) -> Results[Any]:
        """Call the task once for each element of the input, on the session's workers.

        Lazy: nothing runs until the results are iterated, and the input is read as needed.

        >>> from lightwork import connect, task
        >>> @task
        ... def power(x: int, n: int) -> int:
        ...     return x**n
        >>> with connect("serial"):
        ...     list(power.map(range(4), shared={"n": 2}))
        [0, 1, 4, 9]

        Args:
            iterables: one per positional parameter, as for the builtin `map`; the shortest one ends the map.
            shared: arguments that are the same for every element, by name; sent to each worker once.
            keywords: iterables of arguments that vary, by the names of their parameters.

        Returns:
            Results, iterated in the order of the input as elements finish.

        Raises:
            InputError: no iterables, one that is not iterable, or arguments that do not fit the function.
        """
        from lightwork.runs.session import active_session

        return active_session().map(self, iterables, shared or {}, keywords)

    @overload  # a task of an async function
    def starmap(  # type: ignore[misc]
        self: Callable[..., Coroutine[Any, Any, A]],
        tuples: Iterable[tuple[Any, ...]],
        /,
        *,
        shared: Mapping[str, Any] | None = None,
    ) -> Results[A]: ...
    @overload
    def starmap(
        self, tuples: Iterable[tuple[Any, ...]], /, *, shared: Mapping[str, Any] | None = None
    ) -> Results[R]: ...
    def starmap(
        self, tuples: Iterable[tuple[Any, ...]], /, *, shared: Mapping[str, Any] | None = None
    ) -> Results[Any]:
        """Call the task once for each tuple of positional arguments, as `map` does.

        >>> from lightwork import connect, task
        >>> @task
        ... def power(x: int, n: int = 2) -> int:
        ...     return x**n
        >>> with connect("serial"):
        ...     list(power.starmap([(2, 3), (5,)]))
        [8, 25]

        Args:
            tuples: the arguments of each element; those that a tuple leaves out have their defaults.
            shared: as for `map`.

        Raises:
            InputError: the input is not iterable, or the function takes no fixed number of arguments.
        """
        from lightwork.runs.session import active_session

        return active_session().starmap(self, tuples, shared or {})

    @overload
    def submit(  # type: ignore[misc]
        self: Callable[..., Coroutine[Any, Any, A]], *args: P.args, **kwargs: P.kwargs
    ) -> Future[A]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def submit(
        self: Callable[Concatenate[A, ...], R], first: Later[A], /, *args: Any, **kwargs: Any
    ) -> Future[R]: ...
    @overload
    def submit(
        self: Callable[Concatenate[A, B, ...], R], first: A, second: Later[B], /, *args: Any, **kwargs: Any
    ) -> Future[R]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
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

    def is_cached(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Return whether the session's lake has the result of a call, so that it would not be computed.

        >>> from lightwork import connect, task
        >>> @task
        ... def cube(number: int) -> int:
        ...     return number**3
        >>> with connect("serial"):
        ...     before = cube.is_cached(3)
        ...     cube.map([3]).wait().computed
        ...     before, cube.is_cached(3)
        1
        (False, True)

        Raises:
            InputError: arguments that do not fit the function.
        """
        from lightwork.runs.session import active_session

        return active_session().is_cached(self, args, kwargs)

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of a call, so that it is computed when it is needed next.

        Returns:
            Whether there was one.

        Raises:
            InputError: arguments that do not fit the function, or have no key.
        """
        from lightwork.runs.session import active_session

        return active_session().forget(self, args, kwargs)

    def forget_all(self) -> int:
        """Delete all results of the task in the session's lake, those of earlier versions of its code too.

        Returns:
            The number of files deleted.
        """
        from lightwork.runs.session import active_session

        return active_session().forget_all(self)

    def with_options(self, **options: Unpack[Options]) -> Self:
        """Return the same task with other options, for one map or call.

        >>> from lightwork import connect, task
        >>> @task
        ... def square(number: int) -> int:
        ...     return number * number
        >>> with connect("serial"):
        ...     list(square.with_options(retries=5, cache=False).map([2]))
        [4]

        Args:
            options: those of `task`; the others stay as they are.

        Raises:
            InputError: an invalid option.
        """
        return self._with(options_of(f"{self.name}.with_options", options, self.options))


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make a function a task; it stays a plain function when called directly.

    >>> from lightwork import task
    >>> @task(retries=2)
    ... def square(number: int) -> int:
    ...     return number * number
    >>> square(3)
    9

    A result is found again if neither the code nor the arguments have changed. Dictionaries that are
    equal are equal arguments, whatever their order, and a `pathlib.Path` counts with its file's size and
    modification time. Not seen are a file that code opens by a text path, environment variables, the clock,
    random state and the network: pass what is read as an argument.

    Args:
        fn: the function, or anything else that can be called: a partial, a bound method, a class, an object.
            The coroutines of an async function run in an event loop of their own. Generators are refused.
        cache: keep each result in the lake, and do not compute it again.
        version: a text to use as the key instead of the code: results are kept until the version changes,
            even if the code changes. By default the key is computed from the code. They are kept under the
            module's name, or that of the script's file, with the values that the function has captured; a
            lambda is refused.
        ignore: names of parameters that do not affect the result, left out of its key; of a method also the
            name of its instance.
        retries: how often to retry an element that raised.
        retry_delay: seconds before the first retry; doubled for each further one, up to 60. `backoff` says
            where the delays end and how much they vary.
        on_error: what a map does if an element fails after all retries: `raise` stops early and keeps the
            finished results, `skip` leaves the element out, `collect` yields an `ElementError` in its place.
        batch: elements per batch; by default chosen from the measured duration.
        retry_on: the exceptions after which to retry; all others fail the element at once.
        timeout: seconds that one attempt at an element may take; it fails with a `TaskTimeoutError` then.
            On workers the function runs in a process of its own, which is ended, so that a call that hangs
            in compiled code ends too. In a serial session a signal interrupts Python code in the main
            thread, and nothing else.
        ordered: yield the results of a map in the order of its input; otherwise as they are computed.
        expires: an age such as `7d` or `12h`: an older result is computed again. It counts from the start of
            the map or call that computed it, or a little earlier. Results from before the option was set
            count as expired.
        refresh: compute everything again, and keep the new results.
        limit: the name of one of the session's limits, `connect(limits={...})`: calls wait until it allows
            them, over all workers and together with other tasks of the same limit.
        resources: what a worker must offer, and each call takes of it, as in `{"GPU": 1}`: Dask's own
            resources. A serial session takes them for granted.
        concurrency: of an async function, how many elements of a batch run at once on a worker, by default
            16; one if the task has a `timeout` or a `limit`.

    Raises:
        InputError: an invalid option.
    """
    task_options = options_of("@task", options)

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return Task(function, task_options)

    return decorate if fn is None else decorate(fn)


public(task)
