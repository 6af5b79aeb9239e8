"""The content of a report, added by the pipeline while it runs."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line
from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

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

        If there are more than 40, only the largest 40 are shown, with a note. Missing and infinite values are
        left out, with a note. Names that read alike are numbered.

        Raises:
            LightworkError: a value is not a number.
        """
        numbers: dict[str, float] = {}
        for name, value in values.items():
            text = _new_name(str(name), numbers)
            numbers[text] = _number(f"report.bars({title!r})", name, value)
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
        """Add lines, one per column, over the index: times, numbers or labels.

        Rows are sorted by times or numbers. Labels are not joined by lines: they become bars or, with several
        columns, rows of dots, and dots side by side if they are more than 40. Lines of more than 2,000 points
        are drawn through the minimum and maximum of each interval, which keeps their peaks. A note says what
        was sorted, thinned or left out (infinite values, rows without a time).

        Raises:
            LightworkError: a column is not numeric, or there are no columns or more than 24.
        """
        from lightwork.runs.jsonable import to_frame
        from lightwork.runs.report.frames import MAX_POINTS, arranged, numeric, summary, thinned

        where = f"report.lines({title!r})"
        frame = to_frame(frame)
        if not 1 <= len(frame.columns) <= MAX_LINES:
            raise LightworkError(f"{where}: {len(frame.columns)} columns; expected 1 to {MAX_LINES} lines")
        try:
            numbers = numeric(frame)
        except (TypeError, ValueError, OverflowError) as error:
            reason = one_line(error)
            raise LightworkError(f"{where}: a column is not numeric ({reason}); omit it") from error
        numbers, changes = arranged(numbers)
        notes = [*([note] if note else []), *changes]
        if len(numbers) > MAX_POINTS:
            notes.append(
                f"{len(numbers):,} points per line, drawn as the minimum and maximum of each of"
                f" {MAX_POINTS // 2:,} intervals"
            )
        in_short = summary(numbers) if len(numbers) > MAX_ROWS else None
        self.sections.append(Lines(str(title), thinned(numbers), str(unit), "; ".join(notes), in_short))

    def table(self, title: str, frame: pd.DataFrame) -> None:
        """Add a table; if it has more than 200 rows, only the first 200 are shown, with a note."""
        from lightwork.runs.jsonable import flat, to_frame

        frame = to_frame(frame)
        note = f"the first {MAX_ROWS} of {len(frame):,} rows" if len(frame) > MAX_ROWS else ""
        self.sections.append(Table(str(title), flat(frame.head(MAX_ROWS)).copy(), note))

    def charts(self) -> list[tuple[str, tuple[str, dict[str, float]]]]:
        """Return title, unit and values of each bar chart, for the terminal."""
        result: dict[str, tuple[str, dict[str, float]]] = {}
        for item in self.sections:
            if isinstance(item, Bars):
                result[_new_name(item.title, result)] = (item.unit, item.values)
        return list(result.items())

    def html(self, *, heading: str, facts: Mapping[str, str], result: Any = None) -> str:
        """Render the report as one self-contained page that loads nothing.

        Args:
            heading: the pipeline's name.
            facts: the facts at the top: run id, parameters, elements…
            result: the run's result as plain JSON values, shown after the facts; None if there is none.
        """
        from lightwork.runs.report.page import page

        return page(heading, facts, self.sections, result)

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame of its own."""
        import html

        page = html.escape(self.html(heading="report", facts={}), quote=True)
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width:100%;height:40em"></iframe>'


def _number(where: str, name: object, value: Any) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError) as error:
        raise LightworkError(f"{where}: {name}: {value!r} is not a number") from error


def _new_name(name: str, taken: Container[str]) -> str:
    """Return the name, with a number if it is taken."""
    names = (f"{name} ({count})" for count in itertools.count(2))
    return name if name not in taken else next(other for other in names if other not in taken)
