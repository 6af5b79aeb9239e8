"""The tasks of a run of the driver, and their outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.driver.precious import Step


class Command(StrEnum):
    """An operation on stacks."""

    UP = "up"
    PREVIEW = "preview"
    DESTROY = "destroy"


class Result(StrEnum):
    """The result for one stack."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    """The plan would delete or replace something precious: nothing was changed."""
    LOCKED = "locked"
    """Another run holds the stack's lock."""
    SKIPPED = "skipped"
    """Not started, because a stack that it depends on is missing or failed."""
    STOPPED = "stopped"
    """Interrupted while it was running."""
    LEFT = "left"
    """Not started before the interrupt."""


GOOD = frozenset({Result.DONE, Result.SKIPPED})
"""Results that do not count as failures. A skipped stack's cause has a result of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A stack to work on.

    Attributes:
        stack: its name.
        allowed: the logical names of precious resources that a committed `destroy` entry allows to delete.
        reason: the changed file that affects the stack; empty if the stack was named.
    """

    stack: str
    allowed: frozenset[str] = frozenset()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The number of resources by kind of change; a replacement counts once."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    same: int = 0

    @classmethod
    def of(cls, changes: Mapping[str, int]) -> Counts:
        """Convert the engine's counts by operation."""
        return cls(
            create=changes.get("create", 0) + changes.get("import", 0),
            update=changes.get("update", 0),
            replace=max(changes.get("replace", 0), changes.get("create-replacement", 0)),
            delete=changes.get("delete", 0) + changes.get("discard", 0),
            same=changes.get("same", 0),
        )

    @property
    def changed(self) -> int:
        """The number of resources that change."""
        return self.create + self.update + self.replace + self.delete

    def __str__(self) -> str:
        words = (
            f"{count} to {word}" if count else ""
            for word, count in (
                ("create", self.create),
                ("update", self.update),
                ("replace", self.replace),
                ("delete", self.delete),
            )
        )
        return ", ".join(filter(None, words)) or "no changes"


NONE = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome for one stack.

    Attributes:
        stack: its name.
        result: the result.
        counts: the changes made, or the changes planned if it was a preview or refused.
        seconds: the duration.
        error: the problems, one line each.
        steps: the changing steps, in the engine's order.
        reason: the changed file that affects the stack; empty if the stack was named.
    """

    stack: str
    result: Result
    counts: Counts = NONE
    seconds: float = 0.0
    error: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    reason: str = ""
