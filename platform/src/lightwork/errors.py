"""The errors that lightwork raises, and the wording of messages that all modules share."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
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


_SUSPECT = re.compile(r"[^\x20-\x7e\n\t]")
_COMMANDS_OR_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, invisible ones (also those that turn the direction of text),
surrogates, and separators of lines and paragraphs."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks that look like nothing."""


def visible(text: str) -> str:
    """Return a text with everything escaped that a terminal obeys or does not show, except "\\n" and "\\t".

    Whoever wrote the text cannot move the cursor, set the clipboard or turn the direction of writing.

    >>> visible("\\x1b[2Jwind\\u202e")
    '\\\\x1b[2Jwind\\\\u202e'
    """
    return _SUSPECT.sub(lambda match: _shown(match[0]), text)


def is_hidden(character: str) -> bool:
    """Return whether a terminal obeys a character or does not show it."""
    return (
        unicodedata.category(character) in _COMMANDS_OR_HIDDEN
        or character in _BLANK
        or 0xE0000 <= ord(character) < 0xE1000
    )


@lru_cache(4096)
def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode() if is_hidden(character) else character


def one_line(error: object) -> str:
    """Return the text of an error, or of any object, as one line for a terminal.

    Each run of white space becomes one space; the rest is escaped as by `visible`.

    >>> one_line(ValueError("expected one of:\\n  dev\\n  prod"))
    'expected one of: dev prod'
    """
    return visible(" ".join(str(error).split()))


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


class ClusterAway(RunFailed):
    """A cluster that this process cannot use any more, although a new process can: exit code 75."""


@public
class LakeAway(LightworkError):  # noqa: N818 - the name says what happened
    """A lake that stayed away for longer than the run waits: the command line exits with 75.

    The same command resumes from what is kept; in a cluster, Argo starts it again.
    """


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


@public
class TaskTimeoutError(TimeoutError):
    """An attempt at an element that took longer than its task's `timeout`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"took longer than timeout={self.seconds:g} s"


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
