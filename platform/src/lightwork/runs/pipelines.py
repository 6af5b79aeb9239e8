"""The `pipeline` decorator: turns a plain function into one that `lightwork run` runs in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from lightwork.errors import InputError, near, public
from lightwork.functions import decorated

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.runs.outcome import Run

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = ("on", "workers", "lake", "tenant", "refresh", "cache", "progress", "dashboard")


@public
class Pipeline(decorated.Pipeline[P, R]):
    """A pipeline: a call runs the function directly; `run` and `lightwork run NAME` run it in a session.

    Attributes:
        fn: the function as written.
        name: its name on the command line and in the cluster; `windy_city` becomes `windy-city`.
        module: the module that defines it.
        doc: its docstring, dedented; empty if it has none.
        interval: the two parameters that take the start and the end of the interval of time that a run works
            on; None if it has none.
        signature: its signature, with annotations evaluated.
    """

    def run(self, **given: Any) -> Run:
        """Run the pipeline in a session of its own, with a record in the lake, as `lightwork run` does.

        >>> from lightwork import pipeline, task
        >>> @task
        ... def square(number: int) -> int:
        ...     return number * number
        >>> @pipeline
        ... def squares(count: int = 3) -> int:
        ...     return sum(square.map(range(count)))
        >>> run = squares.run(count=4, on="serial")
        >>> run.status, run.result, run.elements["computed"]
        ('succeeded', 14, 4)

        Args:
            given: the pipeline's parameters, and options as for `connect`: on, workers, lake, tenant,
                refresh, cache, progress, dashboard. A parameter with the name of an option is the parameter.

        Raises:
            InputError: a parameter or an option is wrong; nothing has started.
            Exception: what the pipeline raised; a note says under which name the run is recorded.
        """
        from lightwork.functions import parameters
        from lightwork.runs.run import run_pipeline

        names = parameters.of(self)
        options = {name: value for name, value in given.items() if name in _OPTIONS and name not in names}
        values = {name: value for name, value in given.items() if name not in options}
        for wrong in values.keys() - names.keys():
            raise InputError(
                f"{self.name}: there is no parameter or option {wrong!r}{near(wrong, [*names, *_OPTIONS])}"
            )
        ended: list[Run] = []
        try:
            return run_pipeline(self, parameters.check(self, values), **options, tell=ended.append)
        except Exception as error:
            for run in ended:
                error.add_note(f"recorded as run {run.name}: lightwork show {run.name}")
            raise


@overload
def pipeline(fn: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, interval: tuple[str, str] | None = None) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(fn: Callable[..., Any] | None = None, /, *, interval: tuple[str, str] | None = None) -> Any:
    """Make a function a pipeline; each parameter needs a type, which the command line checks.

    >>> from lightwork import pipeline
    >>> @pipeline
    ... def windy_city(hours: int = 24) -> int:
    ...     return hours * 60
    >>> windy_city.name
    'windy-city'
    >>> windy_city(hours=2)
    120

    Args:
        fn: the function.
        interval: the two parameters that take the start and the end of the interval of time that a run works
            on, in ISO 8601. A run of a schedule gets the interval from the firing before to its own, start
            included and end not; `lightwork backfill` gives any.
    """
    if fn is None:
        return lambda function: Pipeline(function, interval=interval)
    return Pipeline(fn, interval=interval)


public(pipeline)
