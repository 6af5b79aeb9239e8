"""The sections that a report is made of, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, or several between empty lines."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One value a name, drawn from the first at the top to the last."""

    title: str
    values: dict[str, float]
    unit: str
    note: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Columns over the index: at most 2,000 points a line are kept."""

    title: str
    frame: pd.DataFrame
    unit: str
    note: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table, its index as columns where it says something."""

    title: str
    frame: pd.DataFrame
    note: str


Section = Text | Bars | Lines | Table
