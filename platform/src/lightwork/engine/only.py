"""Computing only some elements of a task, to debug them; the run ends when they are computed."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONGEST = 100
"""Characters of a parameter's value in a command that is suggested."""
_INDEX = re.compile(r"(?:(\d{1,9})/)?(\d{1,18})")


class Done(BaseException):
    """All elements that were asked for are computed."""


class Only:
    """The elements that are asked for.

    Args:
        task: the task's name.
        wanted: map and index of each: the maps of a task count from 1, the elements of a map from 0.

    Attributes:
        results: what was computed: map, index and result.
    """

    def __init__(self, task: str, wanted: Iterable[tuple[int, int]]) -> None:
        self.task = task
        self._left = set(wanted)
        self.results: list[tuple[int, int, Any]] = []

    def of(self, task: str, number: int) -> frozenset[int] | None:
        """Return the indices that are asked for in a map of a task; None if the map runs as usual."""
        if task != self.task:
            return None
        return frozenset(index for map_number, index in self._left if map_number == number)

    def keep(self, number: int, index: int, result: Any) -> None:
        """Take a result.

        Raises:
            Done: it was the last one.
        """
        self._left.discard((number, index))
        self.results.append((number, index, result))
        if not self._left:
            raise Done

    def missing(self) -> str:
        """Return the elements that were not there, in words; empty if there are none."""
        return ", ".join(written(*item) for item in sorted(self._left))


def written(number: int, index: int) -> str:
    """Return an element's index as it is shown and given: `77`, or `2/77` in the second map of its task."""
    return str(index) if number == 1 else f"{number}/{index}"


def command(pipeline: str, parameters: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return the command that debugs a failed element.

    Args:
        pipeline: the name of its pipeline.
        parameters: those of its run.
        row: the element, as `store.failures` keeps it.
    """
    given = [f"{name}={_short(value)}" for name, value in parameters.items()]
    only = f"{row['task'].rpartition('.')[2]}:{written(row['map'], row['index'])}"
    return shlex.join(["lightwork", "run", pipeline, *given, "--only", only, "--on", "serial"])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def parsed(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the task, which may be empty, and the elements that `[TASK:]INDEX[,INDEX]...` names.

    >>> parsed("speed:77,2/3")
    ('speed', [(1, 77), (2, 3)])

    Raises:
        InputError: it is not of that form.
    """
    task, _, indices = text.rpartition(":")
    matches = [_INDEX.fullmatch(item.strip()) for item in indices.split(",")]
    wanted = [(int(match[1] or 1), int(match[2])) for match in matches if match]
    if len(wanted) < len(matches) or any(number < 1 for number, _ in wanted):
        raise InputError(
            f"--only: found {text!r}; expected [TASK:]INDEX[,INDEX]... as `lightwork show` prints them, for"
            " example 77 or speed:77,78"
        )
    return task, wanted
