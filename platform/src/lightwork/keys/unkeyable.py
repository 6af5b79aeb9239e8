"""The error for values and code that have no stable key."""

from __future__ import annotations

from lightwork.errors import LightworkError


class Unkeyable(LightworkError, TypeError):  # noqa: N818 - reads as what it says of the value
    """No stable key: the same value would not give the same key in another process.

    Attributes:
        what: what it is, as `a generator`.
        where: where inside the value, as `[0]['rows'].source`; empty for the value itself.
        context: what holds or reads it, and what to do about it; None when nothing is known.
        reason: all of it in one line.
    """

    def __init__(self, what: str, where: str = "", context: str | None = None) -> None:
        super().__init__(what, where, context)
        self.what = what
        self.where = where
        self.context = context

    def under(self, step: str) -> Unkeyable:
        """The same error, seen from the container that holds the value at `step`."""
        return self if self.context else Unkeyable(self.what, step + self.where)

    @property
    def reason(self) -> str:
        """One line: what has no stable key, where, and what to do."""
        place = f" (at {self.where})" if self.where else ""
        line = f"{self.what}{place} has no stable key"
        return self.context.format(line) if self.context else line

    def __str__(self) -> str:
        return self.reason
