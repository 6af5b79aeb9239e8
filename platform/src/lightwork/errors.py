"""The errors that lightwork raises, and the wording of messages that all modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


T = TypeVar("T")


def public(item: T) -> T:
    """Give a class or function of `lightwork.__all__` the package's name as its module.

    Keys of code and pickles hold that name, so its file may move without losing kept results.
    """
    item.__module__ = "lightwork"
    return item


def one_line(error: object) -> str:
    """Return the text of an error, or of any object, with each run of white space as one space.

    >>> one_line(ValueError("expected one of:\\n  dev\\n  prod"))
    'expected one of: dev prod'
    """
    return " ".join(str(error).split())


@public
class LightworkError(Exception):
    """The base of lightwork's own errors; the text is one clear line."""


@public
class InputError(LightworkError, ValueError):
    """A wrong argument, option or file: the command line prints the error and exits with 2.

    A pipeline may raise it too. The user reads the text, so say what is wrong, where, and what is expected.
    """


@public
class RunFailed(LightworkError):  # noqa: N818 - the name says what happened
    """A run that did not finish: the command line prints the error and exits with 1."""


@public
class ElementError(RunFailed):
    """One element of a map, or one submitted call, that failed in its last attempt.

    Attributes:
        task: the task's name.
        index: the element's position in the input, from 0; None for a submitted call.
        input: the element's input, shortened to one readable line.
        traceback: the traceback from the worker, as text; empty if the process died.
        error: the exception's type and text in one line.
        attempts: the number of attempts.
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


def nearest(wrong: str, names: Iterable[str]) -> str:
    """Suggest the valid name that is nearest to a wrong one, as the end of a message.

    >>> nearest("windy-cty", ["sun-hours", "windy-city"])
    "; did you mean 'windy-city'?"

    Returns:
        The suggestion; empty if no name is near.
    """
    import difflib

    matches = difflib.get_close_matches(wrong, list(names), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def near(wrong: str, names: Iterable[str]) -> str:
    """Suggest the nearest valid name, or else list all of them, as the end of a message.

    >>> near("x", ["sun-hours", "windy-city"])
    '; available: sun-hours, windy-city'
    """
    valid = sorted(names)
    if suggestion := nearest(wrong, valid):
        return suggestion
    return f"; available: {', '.join(valid)}" if valid else "; there are none"
