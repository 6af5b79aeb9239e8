"""The errors that lightwork raises, and what every other module shares with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


T = TypeVar("T")


def public(item: T) -> T:
    """Name a class or function of `lightwork.__all__` by the package, wherever its file is.

    Keys of code and pickles hold that name, so a file may move without losing kept results.
    """
    item.__module__ = "lightwork"
    return item


@public
class LightworkError(Exception):
    """Anything lightwork itself refuses or fails at; its text is one clear line."""


@public
class InputError(LightworkError, ValueError):
    """A wrong input: an argument, an option, a file. The command line prints it and exits with 2.

    Raise it in a pipeline for the same effect: the text is what the user reads, so say what is wrong,
    where, and what would be right.
    """


@public
class RunFailed(LightworkError):  # noqa: N818 - it says what happened
    """A run that could not finish: the command line prints it and exits with 1."""


@public
class ElementError(RunFailed):
    """One element of a map (or one submitted call) that failed after all its attempts.

    Attributes:
        task: the task's name.
        index: the element's position in the input, from 0; None for a submitted call.
        input: the element's input, shortened to one readable line.
        traceback: the traceback where it happened, as text; empty if the process died.
        error: the exception's type and text in one line.
        attempts: how many times the element was tried.
    """

    def __init__(
        self,
        task: str,
        index: int | None,
        input: str,  # noqa: A002 - the attribute's name
        error: str,
        traceback: str = "",
        attempts: int = 1,
    ) -> None:
        super().__init__(task, index, input, error, traceback, attempts)
        self.task = task
        self.index = index
        self.input = input
        self.error = error
        self.traceback = traceback
        self.attempts = attempts

    def __str__(self) -> str:
        where = "the call" if self.index is None else f"element {self.index}"
        tries = "" if self.attempts == 1 else f" after {self.attempts} attempts"
        return f"{self.task}: {where} ({self.input}) failed{tries}: {self.error}"


def near(wrong: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest name, or else all of them.

    Returns:
        Text such as `; did you mean 'windy-city'?` or `; there are: a, b` (or `; there are none`).
    """
    import difflib

    known = list(names)
    if close := difflib.get_close_matches(wrong, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    if not known:
        return "; there are none"
    return f"; there are: {', '.join(sorted(known))}"
