"""The content of a report, added by the pipeline while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line
from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

MAX_BARS = 40
MAX_LINES = 24
MAX_ROWS = 200


class Report:
    """The report of a run: `session.report`. Sections appear in the order in which they are added.

    Only what the page shows is kept in memory, so frames may be large and may be changed afterwards.
    """

    def __init__(self) -> None:
        self.sections: list[Section] = []

    @property
    def empty(self) -> bool:
        """Whether nothing has been added."""
        return not self.sections

    def text(self, text: str) -> None:
        """Add a paragraph of plain text; an empty line starts another."""
        self.sections.append(Text(str(text)))

    def bars(self, title: str, values: Mapping[str, float], *, unit: str = "") -> None:
        """Add horizontal bars, one per name, in the given order; the summary in the terminal shows them too.

        If there are more than 40, only the largest 40 are shown, with a note.

        Raises:
            LightworkError: a value is not a number.
        """
        numbers = {
            str(name): _number(f"report.bars({title!r})", name, value) for name, value in values.items()
        }
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        notes = []
        if missing := len(numbers) - len(finite):
            notes.append(f"omitted {missing} without a value")
        if len(finite) > MAX_BARS:
            notes.append(f"the largest {MAX_BARS} of {len(finite):,}")
            largest = sorted(finite, key=lambda name: abs(finite[name]), reverse=True)[:MAX_BARS]
            finite = {name: finite[name] for name in largest}
        self.sections.append(Bars(str(title), finite, unit, "; ".join(notes)))

    def lines(self, title: str, frame: pd.DataFrame, *, unit: str = "", note: str = "") -> None:
        """Add lines, one per column, over the index (times, numbers or labels), in the order of the rows.

        Lines of more than 2,000 points are drawn through the minimum and maximum of each interval, which
        keeps their peaks, with a note.

        Raises:
            LightworkError: a column is not numeric, or there are no columns or more than 24.
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
            reason = one_line(error)
            raise LightworkError(f"{where}: a column is not numeric ({reason}); omit it") from error
        notes = [note] if note else []
        if len(numbers) > MAX_POINTS:
            notes.append(
                f"{len(numbers):,} points per line, drawn as the minimum and maximum of each of"
                f" {MAX_POINTS // 2:,} intervals"
            )
        self.sections.append(Lines(str(title), thinned(numbers), unit, "; ".join(notes)))

    def table(self, title: str, frame: pd.DataFrame) -> None:
        """Add a table; if it has more than 200 rows, only the first 200 are shown, with a note."""
        from lightwork.runs.jsonable import flat, to_frame

        frame = to_frame(frame)
        note = f"the first {MAX_ROWS} of {len(frame):,} rows" if len(frame) > MAX_ROWS else ""
        self.sections.append(Table(str(title), flat(frame.head(MAX_ROWS)).copy(), note))

    def charts(self) -> list[tuple[str, tuple[str, dict[str, float]]]]:
        """Return title, unit and values of each bar chart, for the terminal."""
        return [(item.title, (item.unit, item.values)) for item in self.sections if isinstance(item, Bars)]

    def html(self, *, heading: str, facts: Mapping[str, str], result: Any = None) -> str:
        """Render the report as one self-contained page that loads nothing.

        Args:
            heading: the pipeline's name.
            facts: the facts at the top: run id, parameters, elements…
            result: the run's result as plain JSON values, shown after the facts; None if there is none.
        """
        from lightwork.runs.report.page import page

        return page(heading, facts, self.sections, result)


def _number(where: str, name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise LightworkError(f"{where}: {name}: {value!r} is not a number") from error
