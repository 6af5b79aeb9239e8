"""What a pipeline says for people to read, collected while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

MAX_BARS = 40
MAX_LINES = 24
MAX_ROWS = 200


class Report:
    """The report of a run: `session.report`. Sections appear in the order in which they were added.

    Only what is shown is kept in memory, so frames may be large, and may be changed afterwards.
    """

    def __init__(self) -> None:
        self.sections: list[Section] = []

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return not self.sections

    def text(self, text: str) -> None:
        """Add a paragraph of plain text; an empty line begins another."""
        self.sections.append(Text(str(text)))

    def bars(self, title: str, values: Mapping[str, float], *, unit: str = "") -> None:
        """Add horizontal bars, one a name, in the order given; the terminal's summary shows them too.

        Of more than 40, the largest 40 are shown, and a note says so.

        Raises:
            LightworkError: a value that is not a number.
        """
        numbers = {
            str(name): _number(f"report.bars({title!r})", name, value) for name, value in values.items()
        }
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        notes = []
        if missing := len(numbers) - len(finite):
            notes.append(f"{missing} without a value left out")
        if len(finite) > MAX_BARS:
            notes.append(f"the largest {MAX_BARS} of {len(finite):,}")
            largest = sorted(finite, key=lambda name: abs(finite[name]), reverse=True)[:MAX_BARS]
            finite = {name: finite[name] for name in largest}
        self.sections.append(Bars(str(title), finite, unit, "; ".join(notes)))

    def lines(self, title: str, frame: pd.DataFrame, *, unit: str = "", note: str = "") -> None:
        """Add lines, one a column, over the index (times or numbers; in the order of the index).

        A line of more than 2,000 points is drawn by the lowest and highest of each stretch, which keeps
        its peaks, and a note says so.

        Raises:
            LightworkError: columns that are not numbers, none, or more than 24 of them.
        """
        from lightwork.runs.jsonable import to_frame
        from lightwork.runs.report.charts import MAX_POINTS, thinned

        where = f"report.lines({title!r})"
        frame = to_frame(frame)
        if not 1 <= len(frame.columns) <= MAX_LINES:
            raise LightworkError(f"{where}: {len(frame.columns)} columns; expected 1 to {MAX_LINES} lines")
        try:
            numbers = frame.astype("float64")
        except (TypeError, ValueError) as error:
            raise LightworkError(f"{where}: a column is not numbers ({error}); choose the columns") from error
        notes = [note] if note else []
        if len(numbers) > MAX_POINTS:
            notes.append(
                f"{len(numbers):,} points a line, drawn as the lowest and highest of each of"
                f" {MAX_POINTS // 2:,} stretches"
            )
        self.sections.append(Lines(str(title), thinned(numbers), unit, "; ".join(notes)))

    def table(self, title: str, frame: pd.DataFrame) -> None:
        """Add a table; of more than 200 rows the first 200 are shown, and a note says so."""
        from lightwork.runs.jsonable import flat, to_frame

        frame = to_frame(frame)
        note = f"the first {MAX_ROWS} of {len(frame):,} rows" if len(frame) > MAX_ROWS else ""
        self.sections.append(Table(str(title), flat(frame.head(MAX_ROWS)).copy(), note))

    def charts(self) -> list[tuple[str, tuple[str, dict[str, float]]]]:
        """The bars, for the terminal: title, unit, values."""
        return [(item.title, (item.unit, item.values)) for item in self.sections if isinstance(item, Bars)]

    def html(self, *, heading: str, facts: Mapping[str, str], result: Any = None) -> str:
        """The report as one self-contained page that loads nothing from anywhere.

        Args:
            heading: the pipeline's name.
            facts: what to show at the top: run id, parameters, elements…
            result: the run's result as plain JSON values, shown after the facts; None for none.
        """
        from lightwork.runs.report.page import page

        return page(heading, facts, self.sections, result)


def _number(where: str, name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise LightworkError(f"{where}: {name}: {value!r} is not a number") from error
