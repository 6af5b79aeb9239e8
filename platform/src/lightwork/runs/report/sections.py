"""The sections of a report, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Text:
    """One or more paragraphs, separated by empty lines."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One horizontal bar per name, the first at the top."""

    title: str
    values: dict[str, float]
    unit: str
    note: str


@dataclass(frozen=True, slots=True)
class Lines:
    """One line per column over the index, with at most 2,000 points each.

    Attributes:
        title: the section's title.
        frame: floats, in the order of their times or numbers.
        unit: the unit of the values; empty if there is none.
        note: what was left out or changed, and the author's note.
        summary: a row for each line, in place of a table of the values if they are many.
    """

    title: str
    frame: pd.DataFrame
    unit: str
    note: str
    summary: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table, with its index as columns unless it is an unnamed range."""

    title: str
    frame: pd.DataFrame
    note: str


Section = Text | Bars | Lines | Table
