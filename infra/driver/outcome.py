"""What is to be done with a stack, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.driver.precious import Step


class Command(StrEnum):
    """What is done with the stacks."""

    UP = "up"
    PREVIEW = "preview"
    DESTROY = "destroy"


class Result(StrEnum):
    """How it ended."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    """Something precious would end: nothing was changed."""
    LOCKED = "locked"
    SKIPPED = "skipped"
    """Not begun, since what it stands on is not there."""
    STOPPED = "stopped"
    """Interrupted in the middle."""
    LEFT = "left"
    """Not begun when it was interrupted."""


GOOD = frozenset({Result.DONE, Result.SKIPPED})
"""What is no failure of its own; what a stack was skipped for is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A stack to be worked on.

    Attributes:
        stack: its name.
        allowed: the logical names of what a committed `destroy` entry permits to end.
        reason: the file that touches it; empty if it was named.
    """

    stack: str
    allowed: frozenset[str] = frozenset()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many resources a plan or a deployment creates, and so on; a replacement counts once."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    same: int = 0

    @classmethod
    def of(cls, changes: Mapping[str, int]) -> Counts:
        """From the engine's own sums by operation."""
        return cls(
            create=changes.get("create", 0) + changes.get("import", 0),
            update=changes.get("update", 0),
            replace=max(changes.get("replace", 0), changes.get("create-replacement", 0)),
            delete=changes.get("delete", 0) + changes.get("discard", 0),
            same=changes.get("same", 0),
        )

    @property
    def changed(self) -> int:
        """How many do not stay as they are."""
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
    """What became of a stack.

    Attributes:
        stack: its name.
        result: how it ended.
        counts: what was changed; of a preview, and of what was refused, what would be.
        seconds: how long it took.
        error: what went wrong, one line for each thing.
        steps: what is not the same, in the engine's order.
        reason: the file that touched it; empty if it was named.
    """

    stack: str
    result: Result
    counts: Counts = NONE
    seconds: float = 0.0
    error: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    reason: str = ""
