"""The `pipeline` decorator: a function whose signature becomes a run's typed parameters."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A pipeline: calling it calls the function; `lightwork run NAME` runs it in a session.

    Attributes:
        fn: the function as written.
        name: its name on the command line and in the cluster: `windy_city` is `windy-city`.
        module: the module that defines it.
        doc: its docstring, dedented; empty if it has none.
        signature: its signature, with annotations resolved where they can be.
    """

    def __init__(self, fn: Callable[P, R], name: str | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = name or fn.__name__.replace("_", "-")
        self.module = fn.__module__
        self.doc = inspect.getdoc(fn) or ""

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The signature, with annotations given as strings evaluated."""
        return inspect.signature(self.fn, eval_str=True)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name} ({self.module})>"


def pipeline(fn: Callable[P, R]) -> Pipeline[P, R]:
    """Make a function a pipeline; each parameter needs a type, which the command line checks."""
    return Pipeline(fn)
